package notify

import (
	"fmt"
	"net/netip"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Reasons of Events about hosts, subnets and gossip.
const (
	// ConflictReason concerns an address in use by another host.
	ConflictReason = "AddressConflict"
	// KernelsReason concerns an address for which the kernels of the nodes answer.
	KernelsReason = "KernelsAnswer"
	// NoSubnetReason concerns an address outside the subnets of all nodes.
	NoSubnetReason = "NoSubnet"
	// GossipReason concerns nodes that gossip does not reach.
	GossipReason = "GossipBlocked"
	// BondReason concerns a bond whose mode has a fault.
	BondReason = "BondMode"
)

// gained returns the item about an address that the node self answers for now.
func gained(self string, c ownership.Change, p *placement.Placement) item {
	message, tail := fmt.Sprintf("node %q answers for %s", self, c.Addr), ""
	node, why := c.Peer, c.Cause.String()
	switch {
	case c.Cause == ownership.CauseSpread:
		node, why = "", ownership.CauseNew.String() // the first node had the address only for a moment
	case c.Cause == ownership.CauseBackup:
		why += " for " + p.Owner
		tail = fmt.Sprintf(" in place of node %q, which did not take them", p.Owner)
		message += fmt.Sprintf(" in place of node %q, which did not take it", p.Owner)
	case c.Peer != "":
		tail = fmt.Sprintf(", which node %q had: %s", c.Peer, c.Cause)
		message += tail
	}
	return item{
		group: group{reason: reason.Announced.String(), node: node, why: why}, addr: c.Addr, message: message,
		head: fmt.Sprintf("node %q answers for", self), tail: tail, placement: p,
	}
}

// noSubnet returns the item about an address outside the subnets of all nodes.
func noSubnet(self string, p *placement.Placement) item {
	return item{
		group: group{reason: NoSubnetReason, warning: true}, addr: p.Addr, placement: p,
		message: fmt.Sprintf("no node has an interface in a subnet that holds %s, so it is announced on all "+
			"interfaces: clients need a route to it",
			p.Addr),
		head: fmt.Sprintf("node %q announces on all interfaces", self),
		tail: ": no node has an interface in a subnet that holds them, so clients need a route",
	}
}

// strictARP ends a sentence about a kernel that answers because of kube-proxy.
const strictARP = " in IPVS mode without strictARP: set ipvs.strictARP: true in the configuration of kube-proxy, and " +
	"restart kube-proxy"

// kernelsAnswer returns the item about an address for which the kernels of the nodes answer, because of kube-proxy.
func kernelsAnswer(p *placement.Placement) item {
	const head, tail = "the kernels of the nodes answer ARP requests for", ", because kube-proxy runs" + strictARP
	return item{
		group: group{reason: KernelsReason, warning: true}, addr: p.Addr, placement: p,
		message: fmt.Sprintf("%s %s%s", head, p.Addr, tail), head: head, tail: tail,
	}
}

// foreignHost returns the item about a host that wrongly answers for an address. proxied is true when a service proxy
// gives the address to the kernels of the nodes.
func foreignHost(a netip.Addr, h ownership.Host, p *placement.Placement, proxied bool) item {
	if h.Node != "" {
		head := fmt.Sprintf("the kernel of node %q answers for", h.Node)
		fix := ", which no speaker announces: remove the address from that node, or take it out of the pool " +
			"with exclude"
		if proxied {
			fix = ", because kube-proxy runs there" + strictARP
		}
		return item{
			group: group{reason: ConflictReason, warning: true, why: h.Node}, addr: a, placement: p, host: h,
			message: fmt.Sprintf("%s %s%s", head, a, fix), head: head, tail: fix,
		}
	}
	head := fmt.Sprintf("the host with the MAC address %s, which is no node, answers for", h.MAC)
	const fix = ": give that host another address, or take "
	return item{
		group: group{reason: ConflictReason, warning: true, why: h.MAC.String()}, addr: a, placement: p, host: h,
		message: fmt.Sprintf("%s %s%sthis one out of the pool with exclude", head, a, fix), head: head,
		tail: fix + "these out of the pool with exclude",
	}
}

// notAnnounced returns the item about an address that no node may announce. owner is the previous owner.
func notAnnounced(p *placement.Placement, owner string) item {
	if p.Reason == reason.NodeAddress {
		return item{
			group: group{reason: p.Reason.String(), why: p.Detail}, addr: p.Addr, placement: p,
			message: fmt.Sprintf("no speaker announces %s: %s", p.Addr, p.Detail), head: "no speaker announces",
			tail: ": " + p.Detail,
		}
	}
	tail := ": " + p.Detail
	if owner != "" {
		tail = fmt.Sprintf(", which node %q had: %s", owner, p.Detail)
	}
	return item{
		group: group{reason: p.Reason.String(), warning: true, node: owner}, addr: p.Addr, placement: p,
		message: fmt.Sprintf("nobody answers for %s: %s", p.Addr, p.Detail), head: "nobody answers for", tail: tail,
	}
}
