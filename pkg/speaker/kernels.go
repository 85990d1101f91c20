package speaker

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/placement"
)

// kernels holds the addresses that kube-proxy has given to the kernel of this node, as in IPVS mode. The node asks the
// kernel for its settings once for each address.
type kernels struct {
	known map[netip.Addr]struct{}
	// interfaces and addrs describe the host at the last review.
	interfaces []layer2.Interface
	addrs      []netip.Addr
	// nodeTold is true after the first address for the Event about this Node.
	nodeTold bool
}

// review returns the new addresses for which the kernels of the nodes answer, because kube-proxy runs in IPVS mode
// without strictARP. The elected node of an address speaks for the others, because most likely all nodes have the same
// configuration of kube-proxy: elected has the addresses of this node. In addition each such node tells about itself
// once: other is an address of another node, and invalid for none. review looks only at the touched addresses, unless
// the host has changed.
func (k *kernels) review(self string, all []*placement.Placement, touched []netip.Addr,
	a *layer2.Announcer) (elected []*placement.Placement, other netip.Addr) {
	interfaces, addrs := a.Interfaces(), a.KernelAddrs()
	if !cluster.SameList(interfaces, k.interfaces) || !cluster.SameList(addrs, k.addrs) {
		k.interfaces, k.addrs = interfaces, addrs
		touched = slices.Collect(maps.Keys(k.known)) // also addresses that have lost their placement in this round
		for _, p := range all {
			touched = append(touched, p.Addr)
		}
	}
	if k.known == nil {
		k.known = map[netip.Addr]struct{}{}
	}
	for _, addr := range touched {
		p := placement.Find(all, addr)
		if p == nil || !a.Proxied(addr) {
			delete(k.known, addr)
			continue
		}
		_, known := k.known[addr]
		k.known[addr] = struct{}{}
		switch mine := p.Owner == self; {
		case known || k.nodeTold && !mine || !a.ProxyAnswers(addr):
		case mine:
			elected = append(elected, p)
		default:
			other, k.nodeTold = addr, true
		}
	}
	return elected, other
}
