package speaker

import (
	"slices"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// Routed returns the addresses that routers were told by this node, for the condition of the Services. says is false when
// the configuration has no pool for BGP.
func (s *Speaker) Routed() (sets []cluster.RoutedSet, says bool) {
	r := s.Status().routing
	if s.opt.Routing.Routers == nil || len(r.table.Addresses) == 0 && len(r.sessions) == 0 {
		return nil, false
	}
	return r.routed(s.opt.Routing.Routers.Status()), true
}

// routed returns the addresses that routers were told, by the peers that were told. A range goes on over addresses that no
// Service has, so that one range is enough for a pool whose addresses go to the same peers.
func (r *routingStatus) routed(now []bgp.Status) (sets []cluster.RoutedSet) {
	states := statuses(r.sessions, now)
	before := -1 // the set of the address before, -1 for none
	for i := range r.table.Addresses {
		a := &r.table.Addresses[i]
		told := r.toldPeers(a, states)
		if len(told) == 0 {
			before = -1
			continue
		}
		at := slices.IndexFunc(sets, func(x cluster.RoutedSet) bool { return slices.Equal(x.Peers, told) })
		if at < 0 {
			at = len(sets)
			sets = append(sets, cluster.RoutedSet{Peers: told})
		}
		ranges := &sets[at].Ranges
		if last := len(*ranges) - 1; at == before && (*ranges)[last].From.Is4() == a.Addr.Is4() {
			(*ranges)[last].To = a.Addr
		} else {
			*ranges = append(*ranges, config.Range{From: a.Addr, To: a.Addr})
		}
		before = at
	}
	return sets
}
