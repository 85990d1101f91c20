package notify

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// unannouncedDelay is how long no node may announce an address before people are told: the endpoints of a new Service, and the speakers of a
// new cluster, need a moment.
const unannouncedDelay = 5 * time.Second

// unannounced is an address that no node may announce.
type unannounced struct {
	reason reason.Announcement
	since  time.Time
	told   bool
	// owner is the node that should have announced the address before, empty for none.
	owner string
}

// Unannounced returns since when no node may announce an address, and the node that should have announced it before. It tells what the
// last Review saw.
func (n *Notifier) Unannounced(a netip.Addr) (since time.Time, owner string, is bool) {
	u, is := n.unannounced[a]
	return u.since, u.owner, is
}

// reviewUnannounced brings the unannounced addresses up to date, and returns those to tell of.
func (n *Notifier) reviewUnannounced(now time.Time, r Round) (tell []*placement.Placement) {
	still := make(map[netip.Addr]unannounced, len(n.unannounced))
	for i := range r.Placements {
		p := &r.Placements[i]
		if p.Reason == reason.Announced {
			continue
		}
		was := n.unannounced[p.Addr]
		if was.since.IsZero() || was.reason != p.Reason {
			was = unannounced{reason: p.Reason, since: now, owner: cmp.Or(r.PrevOwners[p.Addr], was.owner)}
		}
		if !was.told && now.Sub(was.since) >= unannouncedDelay {
			was.told = true
			if r.First {
				n.noteUnannounced(now, p, was.owner)
				tell = append(tell, p)
			}
		}
		still[p.Addr] = was
	}
	n.unannounced = still
	return tell
}

func (n *Notifier) noteUnannounced(now time.Time, p *placement.Placement, owner string) {
	x := item{
		group: group{reason: p.Reason.String(), warning: true, node: owner}, addr: p.Addr, placement: p,
		message: fmt.Sprintf("nobody answers for %s: %s", p.Addr, p.Detail), head: "nobody answers for", tail: ": " + p.Detail,
	}
	if owner != "" {
		x.tail = fmt.Sprintf(", which node %q had: %s", owner, p.Detail)
	}
	n.add(now, x)
}
