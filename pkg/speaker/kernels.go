package speaker

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/placement"
)

// kernels remembers what this node has found out about the addresses that kube-proxy has given to the kernel, as in IPVS
// mode. The kernel is asked for its settings once for each address.
type kernels struct {
	known map[netip.Addr]struct{}
	// nodeTold is true after the first address for the Event about this Node.
	nodeTold bool
}

// review returns the new addresses for which the kernels of the nodes answer, because kube-proxy runs in IPVS mode without
// strictARP. The elected node of an address speaks for the others, because most likely all nodes have the same configuration
// of kube-proxy: elected has the addresses of this node. In addition each such node tells about itself once: other is an
// address of another node, and invalid for none.
func (k *kernels) review(self string, all []placement.Placement, a *layer2.Announcer) (elected []*placement.Placement, other netip.Addr) {
	before := k.known
	k.known = map[netip.Addr]struct{}{}
	for i := range all {
		p := &all[i]
		if !a.Proxied(p.Addr) {
			continue
		}
		k.known[p.Addr] = struct{}{}
		_, known := before[p.Addr]
		switch mine := p.Owner == self; {
		case known || k.nodeTold && !mine || !a.ProxyAnswers(p.Addr):
		case mine:
			elected = append(elected, p)
		default:
			other, k.nodeTold = p.Addr, true
		}
	}
	return elected, other
}
