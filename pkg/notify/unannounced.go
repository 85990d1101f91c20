package notify

import (
	"cmp"
	"net/netip"
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
	told   bool
	// owner is the previous owner of the address, empty for none.
	owner string
}

// unannouncedSet holds the addresses that no node may announce.
type unannouncedSet map[netip.Addr]unannounced

// review returns the unannounced addresses after a round, and the placements to report.
func (s unannouncedSet) review(now time.Time, r Round) (next unannouncedSet, tell []*placement.Placement) {
	next = make(unannouncedSet, len(s))
	for i := range r.Placements {
		p := &r.Placements[i]
		if p.Reason == reason.Announced {
			continue
		}
		u := s[p.Addr]
		if u.since.IsZero() || u.reason != p.Reason {
			u = unannounced{reason: p.Reason, since: now, owner: cmp.Or(r.PrevOwners[p.Addr], u.owner)}
		}
		if !u.told && now.Sub(u.since) >= reportDelay(r.First) {
			u.told = true
			if r.First {
				tell = append(tell, p)
			}
		}
		next[p.Addr] = u
	}
	return next, tell
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
func (s unannouncedSet) due(first bool) (next time.Time) {
	for _, u := range s {
		if at := u.since.Add(reportDelay(first)); !u.told && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
