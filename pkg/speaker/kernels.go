package speaker

import (
	"net/netip"
	"time"
)

// kernels remembers what this node has found out about the addresses that kube-proxy has given to the kernel, as in IPVS
// mode. The loop asks the kernel for its settings once for each address.
type kernels struct {
	known map[netip.Addr]struct{}
	// nodeTold is true after the Event about this Node.
	nodeTold bool
}

// reviewKernels notifies people of the addresses for which the kernels of the nodes answer, because kube-proxy runs in IPVS
// mode without strictARP. The elected node of an address speaks for the others, because most likely all nodes have the same
// configuration of kube-proxy. In addition each such node sends one Event about its Node.
func (l *loop) reviewKernels(now time.Time) {
	before := l.kernels.known
	l.kernels.known = map[netip.Addr]struct{}{}
	for i := range l.placements {
		p := &l.placements[i]
		if !l.opt.Announcer.Proxied(p.Addr) {
			continue
		}
		l.kernels.known[p.Addr] = struct{}{}
		elected := p.Owner == l.opt.Self
		if _, known := before[p.Addr]; known || l.kernels.nodeTold && !elected || !l.opt.Announcer.ProxyAnswers(p.Addr) {
			continue
		}
		l.opt.Log.Warn("the kernel answers for an address: kube-proxy runs in IPVS mode without strictARP", "ip", p.Addr)
		if elected {
			l.notifier.KernelsAnswer(now, p)
		} else {
			l.opt.Event(l.notifier.NodeKernel(l.snapshot, p.Addr))
			l.kernels.nodeTold = true
		}
	}
}
