package bgp

import (
	"cmp"
	"net/netip"
	"slices"
)

// nodeAddress is an address of an interface of this node.
type nodeAddress struct {
	// addr is without a zone.
	addr netip.Addr
	// subnet holds the hosts that are reached without a router; for a point-to-point link it is the other end.
	subnet netip.Prefix
	// index is the index of the interface.
	index int
	// unusable is true while the kernel still checks the address, or after the check found it in use by another host.
	unusable bool
	// passing is true for an address that new connections are not to use (deprecated or temporary).
	passing bool
}

// chooseSource returns the address of an interface that connects to a router: a global one, or a link-local one for a
// link-local router. ok is false when the interface has none of the family.
func chooseSource(addrs []nodeAddress, index int, router netip.Addr) (addr netip.Addr, ok bool) {
	linkLocal := router.IsLinkLocalUnicast()
	return chooseAddress(addrs, func(a nodeAddress) bool {
		return a.index == index && a.addr.Is4() == router.Is4() && a.addr.IsLinkLocalUnicast() == linkLocal &&
			!a.addr.IsLoopback()
	})
}

// chooseNextHop returns the next hop for routes of a family on a session with the local address: the address itself for
// its own family, else an address of the same interface, rather a global one than a link-local one. The result is not
// valid when there is none.
func chooseNextHop(addrs []nodeAddress, local netip.Addr, v4 bool) netip.Addr {
	if local.Is4() == v4 {
		return local.WithZone("")
	}
	own := slices.IndexFunc(addrs, func(a nodeAddress) bool { return a.addr == local.WithZone("") })
	if own < 0 {
		return netip.Addr{}
	}
	addr, _ := chooseAddress(addrs, func(a nodeAddress) bool {
		return a.index == addrs[own].index && a.addr.Is4() == v4 && !a.addr.IsLoopback()
	})
	return addr
}

// chooseAddress returns the best address that fits: a global address before a link-local one, a permanent address
// before a temporary one, and otherwise the first in the order of the kernel.
func chooseAddress(addrs []nodeAddress, fits func(nodeAddress) bool) (netip.Addr, bool) {
	var fitting []nodeAddress
	for _, a := range addrs {
		if !a.unusable && fits(a) {
			fitting = append(fitting, a)
		}
	}
	if len(fitting) == 0 {
		return netip.Addr{}, false
	}
	rank := func(a nodeAddress) int {
		rank := 0
		if a.addr.IsLinkLocalUnicast() {
			rank += 2
		}
		if a.passing {
			rank++
		}
		return rank
	}
	best := slices.MinFunc(fitting, func(a, b nodeAddress) int { return cmp.Compare(rank(a), rank(b)) })
	return best.addr, true
}

// onLink reports whether the router is in a subnet of the interface that has the local address.
func onLink(addrs []nodeAddress, local, router netip.Addr) bool {
	if router.IsLinkLocalUnicast() {
		return true
	}
	own := slices.IndexFunc(addrs, func(a nodeAddress) bool { return a.addr == local })
	return own >= 0 && slices.ContainsFunc(addrs, func(a nodeAddress) bool {
		return a.index == addrs[own].index && a.subnet.Contains(router)
	})
}
