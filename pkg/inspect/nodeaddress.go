package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// NodeAddress is a Node that has a given address as its own.
type NodeAddress struct {
	Node string `json:"node"`
	// Kind is KindInternalIP, KindExternalIP or KindKernel.
	Kind NodeAddressKind `json:"kind"`
}

// NodeAddressKind is the place where a Node has an address.
type NodeAddressKind string

// The kinds.
const (
	// KindInternalIP and KindExternalIP mean an address in the Node's status.
	KindInternalIP NodeAddressKind = "InternalIP"
	KindExternalIP NodeAddressKind = "ExternalIP"
	// KindKernel means an address of the node's kernel, on any interface, as the node's speaker reports.
	KindKernel NodeAddressKind = "Kernel"
)

// nodeAddress returns the Nodes with the address, sorted by name. Each Node appears once, with the first kind that
// applies.
func (c *Cluster) nodeAddress(addr netip.Addr) (list []NodeAddress) {
	add := func(node string, kind NodeAddressKind) {
		if node != "" && !slices.ContainsFunc(list, func(x NodeAddress) bool { return x.Node == node }) {
			list = append(list, NodeAddress{node, kind})
		}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if slices.Contains(n.Addresses, addr) {
			add(n.Name, KindInternalIP)
		} else if slices.Contains(n.External, addr) {
			add(n.Name, KindExternalIP)
		}
	}
	for i := range c.Speakers {
		if slices.Contains(c.Speakers[i].Networks.Addresses, addr) {
			add(c.Speakers[i].Node, KindKernel)
		}
	}
	slices.SortStableFunc(list, func(x, y NodeAddress) int { return strings.Compare(x.Node, y.Node) })
	return list
}

// allowedAddress returns the Nodes with the address in their status, if the configuration allows Services to have such
// an address; otherwise nothing.
func (c *Cluster) allowedAddress(addr netip.Addr) (list []NodeAddress) {
	if cfg := c.Config.Config; cfg == nil || !cfg.Allocation.AllowNodeAddresses {
		return nil
	}
	for _, x := range c.nodeAddress(addr) {
		if x.Kind != KindKernel {
			list = append(list, x)
		}
	}
	return list
}

// nodeAddressText describes the Nodes with an address as a noun phrase for people.
func nodeAddressText(list []NodeAddress) string {
	texts := make([]string, len(list))
	for i, x := range list {
		switch x.Kind {
		case KindInternalIP:
			texts[i] = "the address of the node " + x.Node
		case KindExternalIP:
			texts[i] = "an ExternalIP of the node " + x.Node
		case KindKernel:
			texts[i] = "an address that the kernel of the node " + x.Node + " has"
		}
	}
	return strings.Join(texts, ", and ")
}

// checkNodeAddresses looks for addresses of Services that a Node has as its own.
func checkNodeAddresses(c *Cluster, f *findings) string {
	holders := holdersOf(c)
	addrs := make([]netip.Addr, 0, len(holders))
	for a := range holders {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	own := c.nodesByAddress()
	for _, a := range addrs {
		if !own[a] {
			continue
		}
		if list := c.allowedAddress(a); len(list) > 0 {
			f.remark("", "%s of %s is %s, which alone serves it: no other node takes over", a, holders[a][0], nodeAddressText(list))
			continue
		}
		mend := fmt.Sprintf("remove %s from the node, or exclude it from the pool, and the Service gets another address", a)
		f.wrong(mend, "%s of %s is also %s, so clients may reach the node instead of the Service",
			a, holders[a][0], nodeAddressText(c.nodeAddress(a)))
	}
	return "no node has an address of a Service as its own"
}

// nodesByAddress returns the addresses that Nodes have as their own.
func (c *Cluster) nodesByAddress() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	add := func(addrs []netip.Addr) {
		for _, a := range addrs {
			own[a] = true
		}
	}
	for i := range c.Nodes {
		add(c.Nodes[i].Addresses)
		add(c.Nodes[i].External)
	}
	for i := range c.Speakers {
		add(c.Speakers[i].Networks.Addresses)
	}
	return own
}
