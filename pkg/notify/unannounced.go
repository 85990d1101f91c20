package notify

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// unannouncedDelay is the time for which an address must be unannounced before the Notifier reports the address,
// because the endpoints of a new Service, and the speakers of a new cluster, need a moment to become ready.
const unannouncedDelay = 5 * time.Second

// unannounced describes an address that no node may announce.
type unannounced struct {
	reason reason.Announcement
	since  time.Time
	// owner is the previous owner of the address, empty for none.
	owner string
}

// unannouncedSet holds the addresses that no node may announce.
type unannouncedSet struct {
	byAddr map[netip.Addr]unannounced
	// untold has the addresses of byAddr that were not reported yet, by this node or, as far as this node knows,
	// another.
	untold map[netip.Addr]struct{}
}

func newUnannouncedSet() unannouncedSet {
	return unannouncedSet{map[netip.Addr]unannounced{}, map[netip.Addr]struct{}{}}
}

// review updates the set after a round, and returns the placements to report.
func (s *unannouncedSet) review(now time.Time, r Round) (tell []*placement.Placement) {
	for _, addr := range r.Touched {
		p := placement.Find(r.Placements, addr)
		if p == nil || p.Reason == reason.Announced {
			delete(s.byAddr, addr)
			delete(s.untold, addr)
			continue
		}
		if u := s.byAddr[addr]; u.since.IsZero() || u.reason != p.Reason {
			s.byAddr[addr] = unannounced{reason: p.Reason, since: now, owner: cmp.Or(r.PrevOwner(addr), u.owner)}
			s.untold[addr] = struct{}{}
		}
	}
	for addr := range s.untold {
		if u := s.byAddr[addr]; now.Sub(u.since) >= reportDelay(r.First) {
			delete(s.untold, addr)
			if r.First {
				tell = append(tell, placement.Find(r.Placements, addr))
			}
		}
	}
	slices.SortFunc(tell, func(x, y *placement.Placement) int { return x.Addr.Compare(y.Addr) })
	return tell
}

// reportDelay returns the time after which this node reports an unannounced address or, unless first is true, takes for
// granted that the first of the ready nodes has reported the address. In between, this node reports the address if this
// node becomes the first: the previous first node was lost before the report.
func reportDelay(first bool) time.Duration {
	if first {
		return unannouncedDelay
	}
	return 2 * unannouncedDelay
}

// due returns the time of the next review, zero for never. first is Round.First.
func (s *unannouncedSet) due(first bool) (next time.Time) {
	for addr := range s.untold {
		if at := s.byAddr[addr].since.Add(reportDelay(first)); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
