package cluster

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/config"
)

// Routed lists the addresses that a node announces to routers, as reported by the speaker of the node.
type Routed struct {
	// Node names the Node.
	Node string
	Sets []RoutedSet
	// Partial is true when the report had no room for all addresses. The node may then announce an address outside of
	// Sets.
	Partial bool
}

// RoutedSet lists addresses that a node announces to the same peers.
type RoutedSet struct {
	// Peers names the peers of the routers that received the addresses, in the order of the configuration.
	Peers []string
	// Ranges are sorted, and do not overlap. An address in Ranges that no Service has counts for nothing.
	Ranges []config.Range
}

// PeersOf returns the names of the peers to which the node announces a, nil for none. The caller must not change the
// list.
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

// Equal reports whether both reports have the same content.
func (r *Routed) Equal(o *Routed) bool {
	return r.Node == o.Node && r.Partial == o.Partial && slices.EqualFunc(r.Sets, o.Sets, func(x, y RoutedSet) bool {
		return slices.Equal(x.Peers, y.Peers) && slices.Equal(x.Ranges, y.Ranges)
	})
}
