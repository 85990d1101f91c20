package layer2_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestGateways adds, changes and removes default routes of a node, and requires that the gateways follow.
func TestGateways(t *testing.T) {
	w := newKernelWire(t)
	w.run("node", "ip addr add 198.51.100.1/24 dev eth0")
	w.run("node", "ip route add default via 192.0.2.254 dev eth0")
	w.start()
	w.eventually("list of interfaces", func() bool { return w.log.count("ready\n") > 0 })
	for _, step := range []struct{ line, want string }{
		{"ip route show", "[192.0.2.254]"},
		{"ip -6 route add default via 2001:db8::fe dev eth0", "[192.0.2.254 2001:db8::fe]"},
		{"ip -6 route add default via fe80::1 dev eth0 metric 9", "[192.0.2.254 2001:db8::fe fe80::1]"},
		{"ip -6 route del default via fe80::1 dev eth0 metric 9", "[192.0.2.254 2001:db8::fe]"},
		{"ip route replace default nexthop via 192.0.2.253 nexthop via 198.51.100.254", "[192.0.2.253 198.51.100.254 2001:db8::fe]"},
		{"ip -4 route replace default via inet6 2001:db8::fd dev eth0", "[2001:db8::fd 2001:db8::fe]"},
		{"ip -6 route del default via 2001:db8::fe", "[2001:db8::fd]"},
		{"ip route replace default dev eth0", "[]"},
		{"ip route replace default via 192.0.2.252 dev eth0", "[192.0.2.252]"},
		// Routes for some destinations only, of another table, or without a next hop.
		{"ip route add 203.0.113.0/24 via 192.0.2.9", "[192.0.2.252]"},
		{"ip route add default via 192.0.2.8 table 100", "[192.0.2.252]"},
		{"ip route add unreachable default metric 4000", "[192.0.2.252]"},
		{"ip -6 route add default via 2001:db8::fe", "[192.0.2.252 2001:db8::fe]"},
		// The kernel sends no event for routes that vanish with a link.
		{"ip link set eth0 down", "[]"},
		{"ip link set eth0 up", "[]"},
		{"ip route add default via 192.0.2.251", "[192.0.2.251]"},
	} {
		w.run("node", step.line)
		want := fmt.Sprintf("gateways of eth0 %s\n", step.want)
		w.eventually(want+"after "+step.line, func() bool {
			answers := w.log.count("gateways of eth0")
			fmt.Fprintln(w.in, "gateways")
			w.eventually("answer", func() bool { return w.log.count("gateways of eth0") > answers })
			return strings.HasSuffix(w.log.String(), want)
		})
	}
}
