package speaker

import (
	"net/netip"
	"slices"
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

// update records the touched addresses of a round: those whose placement or Services have changed. ready means that
// this node is ready. services returns all Services with an address.
func (a *arrivals) update(now time.Time, ready bool, touched []netip.Addr, placements []*placement.Placement,
	services func(netip.Addr) []*cluster.Service) {
	if a.byAddr == nil {
		a.byAddr, a.waiting = map[netip.Addr]ownership.Arrival{}, map[netip.Addr]time.Time{}
	}
	old := !ready || !a.dated
	a.dated = ready
	for _, addr := range touched {
		a.note(now, old, addr, placement.Find(placements, addr), services(addr))
	}
}

// note records one address. p is nil for an address without a placement. old means that an unknown address is old.
func (a *arrivals) note(now time.Time, old bool, addr netip.Addr, p *placement.Placement, services []*cluster.Service) {
	arrival, known := a.byAddr[addr]
	came := a.came(now, addr)
	announced := p != nil && p.Reason == reason.Announced
	adoptable := slices.ContainsFunc(services, func(s *cluster.Service) bool { return s.Managed && s.AllocatedFrom == "" })
	if delete(a.waiting, addr); p != nil && !announced {
		a.waiting[addr] = came
	}
	if !announced && !adoptable {
		delete(a.byAddr, addr)
		return
	}
	if adoptable {
		came = now
	}
	if !known && !old {
		arrival = ownership.Arrival{Since: now, Came: came, Late: came.Sub(newest(services)) > lateAfter}
	}
	a.byAddr[addr] = arrival
}

// newest returns the creation time of the newest Service.
func newest(services []*cluster.Service) (created time.Time) {
	for _, s := range services {
		if s.Created.After(created) {
			created = s.Created
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
