package routes

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// holder is a Service with an address in its status.
type holder struct {
	addr    netip.Addr
	pool    *config.Pool
	service *cluster.Service
}

// item is an address with its Services.
type item struct {
	addr netip.Addr
	// pool is nil without a pool.
	pool *config.Pool
	// holders are sorted by the keys of the Services; at least one.
	holders []holder
}

// gather returns the addresses of announceable Services for which wanted is true, sorted by address.
func gather(snap *cluster.Snapshot, wanted func(netip.Addr) (*config.Pool, bool)) []item {
	holders := make([]holder, 0, len(snap.Services))
	for s := range placement.Announceable(snap) {
		for _, a := range s.Ingress {
			if pool, ok := wanted(a); ok && (s.Managed || pool != nil) {
				holders = append(holders, holder{a, pool, s})
			}
		}
	}
	slices.SortFunc(holders, func(x, y holder) int {
		if c := x.addr.Compare(y.addr); c != 0 {
			return c
		}
		return x.service.Key.Compare(y.service.Key)
	})
	items := make([]item, 0, len(holders))
	for len(holders) > 0 {
		n := 1
		for n < len(holders) && holders[n].addr == holders[0].addr {
			n++
		}
		items = append(items, item{holders[0].addr, holders[0].pool, deciding(holders[:n:n])})
		holders = holders[n:]
	}
	return items
}

// deciding returns the holders of one address that decide on it; see [placement.Holders].
func deciding(holders []holder) []holder {
	managed := func(h holder) bool { return h.service.Managed }
	if !slices.ContainsFunc(holders, managed) {
		return holders
	}
	return slices.DeleteFunc(holders, func(h holder) bool { return !managed(h) })
}

// keysOf returns the keys of the Services of all items, one item after the other.
func keysOf(items []item) []cluster.Key {
	keys := make([]cluster.Key, 0, len(items))
	for _, it := range items {
		for _, h := range it.holders {
			keys = append(keys, h.service.Key)
		}
	}
	return keys
}

// serving yields the Services with a serving endpoint. A Service without one has no influence on a shared address.
func (it *item) serving(yield func(*cluster.Service) bool) {
	for _, h := range it.holders {
		if h.service.HasServing && !yield(h.service) {
			return
		}
	}
}

// near returns the nodes that should announce the address rather than others; see [placement.Near].
func (it *item) near() []string {
	return placement.Near(slices.Collect(it.serving), it.pool)
}

// local reports whether a serving Service has the policy Local.
func (it *item) local() bool {
	for s := range it.serving {
		if s.TrafficPolicy == cluster.TrafficLocal {
			return true
		}
	}
	return false
}

// localNodes returns the nodes that announce the addresses of a Service with the policy Local, sorted. An endpoint that
// terminates counts only when no node has a ready one.
func localNodes(s *cluster.Service) []string {
	if len(s.ReadyNodes) > 0 {
		return s.ReadyNodes
	}
	return s.ServingNodes
}

const (
	noEndpointHere  = "the Service has externalTrafficPolicy Local and no ready endpoint on this node"
	terminatingHere = "the last endpoint on this node terminates, and another node has a ready one " +
		"(externalTrafficPolicy Local)"
)

// obstacle returns the reason for which the named node does not announce the address whatever the node is like,
// reason.Routed if there is none. detail is empty when the text of the reason says enough.
func (it *item) obstacle(node string) (why reason.Route, detail string) {
	if it.pool == nil {
		return reason.RouteNotInPool, ""
	}
	return it.idle(node)
}

// idle is obstacle without the pool.
func (it *item) idle(node string) (why reason.Route, detail string) {
	why = reason.RouteNoEndpoints
	for s := range it.serving {
		why = reason.Routed
		if s.TrafficPolicy != cluster.TrafficLocal {
			continue
		}
		if _, here := slices.BinarySearch(localNodes(s), node); here {
			continue
		}
		if _, here := slices.BinarySearch(s.ServingNodes, node); here {
			return reason.NoLocalEndpoint, terminatingHere
		}
		return reason.NoLocalEndpoint, noEndpointHere
	}
	return why, ""
}
