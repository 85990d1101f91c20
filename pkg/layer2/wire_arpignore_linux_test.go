package layer2_test

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestWireProxyAnswers gives the node's kernel addresses as kube-proxy does in IPVS mode, changes the kernel setting
// behind strictARP, and uses arping to check whether the kernel answers.
func TestWireProxyAnswers(t *testing.T) {
	w := newKernelWire(t)
	w.start()
	proxied, own := netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("192.0.2.99")
	for _, line := range []string{
		"ip link add kube-ipvs0 type bridge", "ip addr add 192.0.2.80/32 dev kube-ipvs0",
		"ip addr add 2001:db8::80/128 dev kube-ipvs0", "ip addr add 192.0.2.99/32 dev lo",
	} {
		w.run("node", line)
	}
	says := func(addr netip.Addr, has, answers bool) {
		t.Helper()
		line := fmt.Sprintf("proxied %s %v %v\n", addr, has, answers)
		before := w.log.count(line)
		w.eventually(line, func() bool {
			fmt.Fprintln(w.in, "proxied", addr)
			return w.log.count(line) > before
		})
	}
	says(own, false, false)
	says(netip.MustParseAddr("192.0.2.81"), false, false)
	says(netip.MustParseAddr("2001:db8::80"), false, false)
	for _, setting := range []struct {
		all, eth0 int
		answers   bool
	}{{0, 0, true}, {1, 0, false}, {0, 2, false}, {3, 0, true}, {3, 1, true}, {0, 8, false}} {
		w.run("node", fmt.Sprintf("sysctl -qw net.ipv4.conf.all.arp_ignore=%d net.ipv4.conf.eth0.arp_ignore=%d",
			setting.all, setting.eth0))
		says(proxied, true, setting.answers)
		_, err := w.try("client", "arping -q -c 1 -w 1 -I eth0 192.0.2.80")
		if answered := err == nil; answered != setting.answers {
			t.Errorf("arp_ignore %+v: arping has an answer: %v", setting, answered)
		}
	}
}
