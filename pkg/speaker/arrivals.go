package speaker

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// lateAfter is the minimum age of a Service at which the other nodes may have known its address for a long time.
const lateAfter = 5 * time.Second

// arrivals records two times for each address: the time from which some node may announce the address, and the time at
// which the address came to Services. An address is old if Services had it when this node became ready, or when Lanlord
// adopted the Service from another load balancer.
type arrivals struct {
	byAddr map[netip.Addr]ownership.Arrival
	// waiting maps each address that no node may announce to the time at which the address came to Services; zero once the
	// service proxies have had the time to write its rules.
	waiting map[netip.Addr]time.Time
	// dated is true once arrivals has recorded the addresses present at the start.
	dated bool
}

// update records the addresses of a round. ready means that this node is ready.
func (a *arrivals) update(now time.Time, ready bool, placements []placement.Placement, services []*cluster.Service) {
	old := !ready || !a.dated
	a.dated = ready
	next, waiting := make(map[netip.Addr]ownership.Arrival, len(placements)), map[netip.Addr]time.Time{}
	var created map[netip.Addr]time.Time // made when the first address arrives
	note := func(addr netip.Addr, came time.Time) {
		arrival, known := a.byAddr[addr]
		if !known && !old {
			if created == nil {
				created = newest(services)
			}
			arrival = ownership.Arrival{Since: now, Came: came, Late: came.Sub(created[addr]) > lateAfter}
		}
		next[addr] = arrival
	}
	for i := range placements {
		p := &placements[i]
		came := a.came(now, p.Addr)
		if p.Reason == reason.Announced {
			note(p.Addr, came)
		} else {
			waiting[p.Addr] = came
		}
	}
	for _, s := range services {
		if s.Managed && s.AllocatedFrom == "" {
			for _, addr := range s.Ingress {
				note(addr, now)
			}
		}
	}
	a.byAddr, a.waiting = next, waiting
}

// newest returns the creation time of the newest Service with each address.
func newest(services []*cluster.Service) map[netip.Addr]time.Time {
	created := make(map[netip.Addr]time.Time, len(services))
	for _, s := range services {
		for _, addr := range s.Ingress {
			if s.Created.After(created[addr]) {
				created[addr] = s.Created
			}
		}
	}
	return created
}

// came returns the time at which an address came to Services; zero if the address was announced before for long enough
// that the service proxies have its rules.
func (a *arrivals) came(now time.Time, addr netip.Addr) time.Time {
	if came, is := a.waiting[addr]; is {
		return came
	}
	arrival, known := a.byAddr[addr]
	switch {
	case !known:
		return now
	case now.Sub(arrival.Came) < proxyDelay:
		return arrival.Came
	}
	return time.Time{}
}
