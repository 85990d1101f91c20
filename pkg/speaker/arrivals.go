package speaker

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// arrivals dates the addresses: since when a node may announce each, and when it came to Services. The addresses that Services had when this
// node became ready are old. So are those that Services had from another load balancer before Lanlord adopted them.
type arrivals struct {
	byAddr map[netip.Addr]ownership.Arrival
	// dated is true once the addresses that were there at the start are noted.
	dated bool
}

// unannounced tells since when no node may announce an address, and the node that should have before.
type unannounced func(netip.Addr) (since time.Time, owner string, is bool)

// update notes the addresses of a round. ready tells that this node is ready.
func (a *arrivals) update(now time.Time, ready bool, placements []placement.Placement, services []*cluster.Service, un unannounced) {
	old := !ready || !a.dated
	a.dated = ready
	next := make(map[netip.Addr]ownership.Arrival, len(placements))
	note := func(addr netip.Addr, came time.Time) {
		arrival, known := a.byAddr[addr]
		if !known && !old {
			arrival = ownership.Arrival{Since: now, Came: came}
		}
		next[addr] = arrival
	}
	for i := range placements {
		if p := &placements[i]; p.Reason == reason.Announced {
			note(p.Addr, came(now, p.Addr, un))
		}
	}
	for _, s := range services {
		if s.Managed && s.AllocatedFrom == "" {
			for _, addr := range s.Ingress {
				note(addr, now)
			}
		}
	}
	a.byAddr = next
}

// came returns when an address that a node may announce now came to Services; zero when it only waited for endpoints again.
func came(now time.Time, addr netip.Addr, un unannounced) time.Time {
	since, owner, is := un(addr)
	switch {
	case !is:
		return now
	case owner != "":
		return time.Time{}
	}
	return since
}
