package speaker

import (
	"net/netip"
	"time"
)

// kernels holds the addresses of this node's share that kube-proxy has given to the kernel, as in IPVS mode.
type kernels map[netip.Addr]struct{}

// reviewKernels notifies people of the addresses for which the kernels of the nodes answer, because kube-proxy runs in IPVS
// mode without strictARP. The elected node of an address speaks for the others: all nodes have the same configuration of
// kube-proxy. The loop asks the kernel once, when kube-proxy has given it the address.
func (l *loop) reviewKernels(now time.Time) {
	seen := kernels{}
	for i := range l.placements {
		p := &l.placements[i]
		if p.Owner != l.opt.Self || !l.opt.Announcer.Proxied(p.Addr) {
			continue
		}
		seen[p.Addr] = struct{}{}
		if _, known := l.kernels[p.Addr]; known || !l.opt.Announcer.ProxyAnswers(p.Addr) {
			continue
		}
		l.notifier.KernelsAnswer(now, p)
		l.opt.Log.Warn("the kernels of the nodes answer for an address: kube-proxy runs in IPVS mode without strictARP",
			"ip", p.Addr)
	}
	l.kernels = seen
}
