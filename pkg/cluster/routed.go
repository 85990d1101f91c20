package cluster

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/config"
)

// Routed lists the addresses that a node announces to routers, as the speaker of the node has reported them.
type Routed struct {
	// Node is the name of the Node.
	Node string
	Sets []RoutedSet
	// Partial is true when the report had no room for all addresses: an address outside of Sets may be announced.
	Partial bool
}

// RoutedSet lists addresses that a node announces to the same peers.
type RoutedSet struct {
	// Peers are the names of the peers whose routers were told the addresses, in the order of the configuration.
	Peers []string
	// Ranges are sorted, and do not overlap. An address in them that no Service has counts for nothing.
	Ranges []config.Range
}

// PeersOf returns the names of the peers that the node announces a to, nil for none. The caller must not change them.
func (r *Routed) PeersOf(a netip.Addr) []string {
	for i := range r.Sets {
		ranges := r.Sets[i].Ranges
		at, found := slices.BinarySearchFunc(ranges, a, func(x config.Range, a netip.Addr) int { return x.From.Compare(a) })
		if found || at > 0 && ranges[at-1].Contains(a) {
			return r.Sets[i].Peers
		}
	}
	return nil
}

// Equal reports whether both reports say the same.
func (r *Routed) Equal(o *Routed) bool {
	return r.Node == o.Node && r.Partial == o.Partial && slices.EqualFunc(r.Sets, o.Sets, func(x, y RoutedSet) bool {
		return slices.Equal(x.Peers, y.Peers) && slices.Equal(x.Ranges, y.Ranges)
	})
}
