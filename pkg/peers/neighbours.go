package peers

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// maxNeighbours is the greatest number of neighbours on each side of a node.
const maxNeighbours = 8

// neighbours returns the names of the members that self probes, none if self is not ready or alone. The ready members
// form a circle in the order of their names, and each member probes the members directly before and after itself. So
// two nodes probe each member, and the cost for a node does not grow with the cluster. For each unreachable neighbour,
// self also probes one member further away. Therefore each part of a divided segment finds its members, and a node that
// hears nobody finds that it is cut off.
func neighbours(self string, members []membership.Member, unreachable func(name string) bool) []string {
	var names []string
	for _, m := range members {
		if m.State == membership.Ready {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	i, ready := slices.BinarySearch(names, self)
	if !ready {
		return nil
	}
	n := len(names)
	var found []string
	for _, step := range []int{n - 1, 1} { // before and after
		heard, silent := 0, 0
		for k := 1; k <= min(n-1, maxNeighbours) && heard < max(1, silent); k++ {
			name := names[(i+k*step)%n]
			if unreachable(name) {
				silent++
			} else {
				heard++
			}
			if !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// probeAddress returns an address that the member answers for on a network of this node, and the MAC address of the
// answers. Without such an address, the result is invalid. probeAddress skips addresses outside the subnets of their
// links, because the member answers for such an address from another interface.
func probeAddress(m membership.Member, interfaces []layer2.Interface) (layer2.MAC, netip.Addr) {
	for _, l := range m.Links {
		inside := func(p netip.Prefix) bool { return p.Contains(l.Beacon) }
		if !l.Beacon.IsValid() || len(l.Subnets) > 0 && !slices.ContainsFunc(l.Subnets, inside) {
			continue
		}
		if slices.ContainsFunc(interfaces, func(own layer2.Interface) bool { return own.Up && own.Holds(l.Beacon) }) {
			return layer2.MAC(l.MAC), l.Beacon
		}
	}
	return layer2.MAC{}, netip.Addr{}
}

// route is the way of heartbeats between this node and a neighbour.
type route struct {
	// network is the first address of a subnet of both nodes, and invalid without such a subnet.
	network netip.Addr
	// macs holds the MAC addresses of the neighbour in the subnet.
	macs []layer2.MAC
}

// heartbeatRoute returns the way of heartbeats between self and the neighbour. Both nodes find the same subnet.
func heartbeatRoute(self, neighbour membership.Member) (found route) {
	var common netip.Prefix
	for _, own := range self.Links {
		for _, p := range own.Subnets {
			if (!common.IsValid() || p.Compare(common) < 0) && len(stationsIn(neighbour, p)) > 0 {
				common = p
			}
		}
	}
	if !common.IsValid() {
		return route{}
	}
	return route{network: common.Addr(), macs: stationsIn(neighbour, common)}
}

// stationsIn returns the MAC addresses of the member in a subnet.
func stationsIn(m membership.Member, subnet netip.Prefix) (macs []layer2.MAC) {
	for _, l := range m.Links {
		if slices.Contains(l.Subnets, subnet) {
			macs = append(macs, layer2.MAC(l.MAC))
		}
	}
	return macs
}

// uses reports whether the MAC address is one of the member's.
func uses(m membership.Member, mac layer2.MAC) bool {
	return m.Has(membership.MAC(mac)) || slices.Contains(m.MACs, membership.MAC(mac))
}
