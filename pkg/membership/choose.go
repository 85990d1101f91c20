package membership

import (
	"net/netip"
	"slices"
)

// NodeAddrs holds the addresses of a node, in the order of the Node object.
type NodeAddrs struct {
	Name  string
	Addrs []netip.Addr
}

// Choice holds the gossip addresses of a node and of its peers.
type Choice struct {
	// Bind and Also are the values for the Options with the same names. Bind is invalid when the node has no address.
	Bind, Also netip.AddrPort
	// Peers lists the other nodes, in the order of the argument of Choose, including nodes without an address.
	Peers []Peer
}

// Choose returns the gossip addresses of the node named self and of its peers, all with the given port.
//
// All nodes share one main family: IPv4 if all nodes have an IPv4 address, else IPv6 if all have an IPv6 address, else
// the family of more nodes, and IPv4 in a tie. Thus nodes agree even if their Node objects list addresses in different
// orders. A node binds its first address of the main family, and also its first address of the other family, for nodes
// without the main family. A node without the main family binds its first address of the other family. Every node tries
// its peers at exactly the addresses that the peers bind, in the families common to both nodes. The order of nodes
// affects only the order of Peers.
func Choose(self string, port uint16, nodes []NodeAddrs) Choice {
	ipv4 := mainFamily(nodes)
	var own []netip.AddrPort
	for _, n := range nodes {
		if n.Name == self {
			own = listening(n, ipv4, port)
		}
	}
	var c Choice
	if len(own) > 0 {
		c.Bind = own[0]
	}
	if len(own) > 1 {
		c.Also = own[1]
	}
	for _, n := range nodes {
		if n.Name == self {
			continue
		}
		at := listening(n, ipv4, port)
		usable := slices.DeleteFunc(slices.Clone(at), func(a netip.AddrPort) bool {
			return !slices.ContainsFunc(own, func(o netip.AddrPort) bool { return o.Addr().Is4() == a.Addr().Is4() })
		})
		if len(usable) > 0 {
			at = usable // else the attempt fails with an error about the missing family
		}
		c.Peers = append(c.Peers, Peer{Name: n.Name, Addrs: at})
	}
	return c
}

// mainFamily reports whether the main family of the nodes is IPv4.
func mainFamily(nodes []NodeAddrs) (ipv4 bool) {
	with4, with6 := 0, 0
	for _, n := range nodes {
		if firstOf(n, true).IsValid() {
			with4++
		}
		if firstOf(n, false).IsValid() {
			with6++
		}
	}
	return with4 >= with6
}

// listening returns the addresses that a node binds, at most one in each family, the main family first.
func listening(n NodeAddrs, ipv4 bool, port uint16) (at []netip.AddrPort) {
	for _, family := range []bool{ipv4, !ipv4} {
		if a := firstOf(n, family); a.IsValid() {
			at = append(at, netip.AddrPortFrom(a, port))
		}
	}
	return at
}

// firstOf returns the first address of the node in a family, or an invalid address if the node has none.
func firstOf(n NodeAddrs, ipv4 bool) netip.Addr {
	for _, a := range n.Addrs {
		if a = a.Unmap().WithZone(""); reachable(a) && a.Is4() == ipv4 {
			return a
		}
	}
	return netip.Addr{}
}
