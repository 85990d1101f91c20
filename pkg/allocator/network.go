package allocator

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// bar gives the reason why an address is excluded for every Service.
type bar struct {
	kind barKind
	// name is the name of the Node, or the name in Taken (the MAC address of a foreign host). subnet is the subnet with
	// the address at one end.
	name   string
	subnet netip.Prefix
}

// barKind classifies an excluded address.
type barKind uint8

const (
	ofNode barKind = iota
	ofGateway
	ofStranger
	// ofNetwork marks an address excluded by convention. Unlike the other excluded addresses, such an address works, so
	// a Service that has the address keeps the address.
	ofNetwork
)

// bar excludes the addresses of other hosts on the network, and the network and broadcast addresses of subnets.
func (a *Allocator) bar(snapshot cluster.Snapshot) {
	allowed := func(addr netip.Addr) bool { return snapshot.OwnAddress(addr) != nil }
	for i := range snapshot.Nodes {
		for _, addr := range snapshot.Nodes[i].Addresses {
			if !allowed(addr) {
				a.barOne(addr, bar{kind: ofNode, name: snapshot.Nodes[i].Name})
			}
		}
	}
	for _, t := range snapshot.Taken {
		if t.By == cluster.TakenByNode && allowed(t.Addr) {
			continue
		}
		kind := [...]barKind{cluster.TakenByNode: ofNode, cluster.TakenByGateway: ofGateway, cluster.TakenByStranger: ofStranger}[t.By]
		a.barOne(t.Addr, bar{kind: kind, name: t.Name})
	}
	if !a.cfg.Allocation.AvoidNetworkAddresses {
		return
	}
	for _, subnet := range snapshot.Subnets {
		// A subnet of two addresses has no network or broadcast address (RFC 3021, RFC 6164). IPv6 has no broadcast;
		// the first address of an IPv6 subnet is the Subnet-Router anycast address (RFC 4291, section 2.6.1).
		if subnet.Addr().BitLen()-subnet.Bits() < 2 {
			continue
		}
		a.barOne(subnet.Masked().Addr(), bar{kind: ofNetwork, subnet: subnet.Masked()})
		if subnet.Addr().Is4() {
			a.barOne(broadcast(subnet), bar{kind: ofNetwork, subnet: subnet.Masked()})
		}
	}
}

// barOne records the first reason for an address. Addresses in no pool are of no interest.
func (a *Allocator) barOne(addr netip.Addr, b bar) {
	i := a.poolOf(addr)
	if _, twice := a.barred[addr]; twice || i < 0 || a.leavesOut(i, addr) {
		return
	}
	a.barred[addr] = b
	if b.kind != ofStranger {
		a.pools[i].of(cluster.FamilyOf(addr)).withheld++
	}
}

func (b bar) refuse(addr netip.Addr) *Refusal {
	taken := cluster.Problem{Reason: reason.AddressTaken, Addr: addr, By: b.name}
	switch b.kind {
	case ofNode:
		return refuse(taken, "%s is the address of node %s", addr, b.name)
	case ofGateway:
		return refuse(taken, "%s is the default gateway of node %s", addr, b.name)
	case ofStranger:
		return refuse(taken, "%s is in quarantine, since %s, which is no node's, answers for it: give that host another address, or leave this one out of the pool", addr, b.name)
	case ofNetwork:
	}
	what := "network"
	if addr != b.subnet.Addr() {
		what = "broadcast"
	}
	return refuse(cluster.Problem{Reason: reason.NetworkAddress, Addr: addr},
		"%s is the %s address of %s (avoid-network-addresses)", addr, what, b.subnet)
}

// broadcast returns the last address of an IPv4 subnet.
func broadcast(subnet netip.Prefix) netip.Addr {
	last := subnet.Addr().As4()
	for bit := subnet.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(last)
}
