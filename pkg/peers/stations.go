package peers

import (
	"maps"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// stations maps MAC addresses in gossip to nodes. stations keeps a MAC address while its node is known, because gossip
// does not show links that are down.
type stations map[layer2.MAC]string

// note adds the MAC addresses of members, sorted by name. When several members name the same MAC address, a member that
// announces addresses from it goes before the others, and then the last member by name.
func (s stations) note(members []membership.Member) {
	for _, m := range members {
		for _, mac := range m.MACs {
			s[layer2.MAC(mac)] = m.Name
		}
	}
	for _, m := range members {
		for _, l := range m.Links {
			s[layer2.MAC(l.MAC)] = m.Name
		}
	}
}

// forget removes the MAC addresses of unknown nodes.
func (s stations) forget(known func(name string) bool) {
	maps.DeleteFunc(s, func(_ layer2.MAC, name string) bool { return !known(name) })
}

// with returns s with the MAC addresses that the API server has of the Nodes. Gossip has priority over the API server.
// When several Nodes have the same MAC address, the first Node by name gets it.
func (s stations) with(nodes []cluster.Node) map[layer2.MAC]string {
	all := make(map[layer2.MAC]string, len(s))
	for _, n := range slices.Backward(nodes) {
		for _, mac := range n.MACs {
			if mac != [6]byte{} {
				all[mac] = n.Name
			}
		}
	}
	maps.Copy(all, s)
	return all
}

// sameNodes reports whether two lists have the same Nodes with the same MAC addresses.
func sameNodes(a, b []cluster.Node) bool {
	return slices.EqualFunc(a, b, func(x, y cluster.Node) bool {
		return x.Name == y.Name && slices.Equal(x.MACs, y.MACs)
	})
}
