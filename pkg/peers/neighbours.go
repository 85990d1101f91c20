package peers

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// maxNeighbours is how many members on each side a node probes when it hears none of the nearer ones.
const maxNeighbours = 8

// neighbours returns the names of the members that self probes, none if self is not ready or alone. The ready members form a circle in
// the order of their names; the neighbours of a member are the one before and the one after it. Each member is thus probed by two, at a
// cost that does not grow with the cluster. Beyond unreachable neighbours a node probes as many more: so each part of a segment that
// has fallen apart finds its members, and a node that hears nobody at all finds that it is cut off itself.
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

// probeAddress returns an address that the member answers for, on a network that this node is on too, and the MAC address that it
// answers from. The address is invalid when there is none. An address outside the subnets of its link is not used: the member would
// answer from another interface than it says.
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

// uses reports whether the MAC address is one of the member's.
func uses(m membership.Member, mac layer2.MAC) bool {
	return m.Has(membership.MAC(mac)) || slices.Contains(m.MACs, membership.MAC(mac))
}
