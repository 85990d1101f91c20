package peers

import (
	"maps"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// stations names the node of each MAC address that members have named in gossip. A MAC address stays after its member stops naming it,
// as long as the node is known: members do not name a link that is down.
type stations map[layer2.MAC]string

// note adds the MAC addresses of members, which are sorted by name. When several members name the
// same MAC address, a member that announces addresses from it goes before the others, and then the last one by name.
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

// forget removes the MAC addresses of nodes that are not known.
func (s stations) forget(known func(name string) bool) {
	maps.DeleteFunc(s, func(_ layer2.MAC, name string) bool { return !known(name) })
}

// with returns s and the MAC addresses of the Nodes, which the speakers reported to the API server. Gossip goes before the API server;
// when several Nodes have the same MAC address, the first one by name gets it.
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
	return slices.EqualFunc(a, b, func(x, y cluster.Node) bool { return x.Name == y.Name && slices.Equal(x.MACs, y.MACs) })
}
