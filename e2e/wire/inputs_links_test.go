package wire_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// linkCases give nodes more links than fit into gossip, or several to one subnet.
func linkCases() []inputCase {
	return []inputCase{
		{"nothing moves although one node has 17 bridges and another one 20 VLANs",
			wire.Options{IPv4: 4, IPv6: 2, Layer2: "failback: 2s"}, checkManyLinks},
		{"one link answers for each address although a node has two in one subnet, and the other one takes over",
			wire.Options{IPv4: 8, IPv6: 4, Layer2: "failback: never"}, checkTwoLinks},
	}
}

// checkManyLinks gives one node the bridges of a container engine, and another node the VLANs of a bond. In the alphabet all these
// links come before the link to the LAN.
func checkManyLinks(_ *testing.T, e environment) {
	for i := range 17 {
		e.must(e.AddBridge(1, fmt.Sprintf("br-%012x", 0x0123456789ab+i), netip.MustParsePrefix(fmt.Sprintf("172.%d.0.1/16", 18+i)),
			netip.MustParsePrefix(fmt.Sprintf("fd00:72:%d::1/64", i))))
	}
	for i := range 20 {
		e.must(e.AddCable(2, fmt.Sprintf("bond0.%d", 10+i), netip.MustParsePrefix(fmt.Sprintf("10.%d.0.2/24", 10+i)),
			netip.MustParsePrefix(fmt.Sprintf("fd00:10:%d::2/64", i))))
	}
	e.startAll()
	// The first speaker that was ready has all; after the wait for failback each node has its own.
	e.must(wire.Pause(e.t.Context(), 6*time.Second))
	owners, err := e.Rest(e.t.Context(), startBound, e.addrs)
	e.must(err)
	e.unmoved("with many links", e.hear(20*time.Second, nothing), owners)
}

// checkTwoLinks gives one node a second link to the LAN, and another one a macvlan on its link.
func checkTwoLinks(t *testing.T, e environment) {
	const two, macvlan = 0, 1
	number := len(e.Nodes())
	lan6 := func(n int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("fd00:99::2:%d/64", n)) }
	e.must(e.AddLAN(two, "eth1", wire.LANAddress(number), lan6(1)))
	e.must(e.AddMacvlan(macvlan, "mac0", wire.LANAddress(number+1), lan6(2)))
	owners := e.startAll()
	e.ready(len(e.Nodes()))
	for a, mac := range owners {
		if !slices.Contains(e.MACs(), mac) {
			t.Errorf("%s is answered for by %s, which is not the link with the Node's InternalIP", a, mac)
		}
	}
	h := e.hear(3*time.Second, nothing)
	e.unmoved("with two links in one subnet", h, owners)
	for _, a := range e.addrs {
		if answers, questions := h.Answers(a); answers > questions {
			t.Errorf("%d answers to %d questions for %s", answers, questions, a)
		}
	}
	// The addresses are at the node with two links, so that its first link can be lost.
	for _, n := range []int{1, 2} {
		e.label(n, excludeLabel, "")
	}
	e.must(wire.Pause(t.Context(), 2*time.Second))
	owners, err := e.Rest(t.Context(), startBound, e.addrs)
	e.must(err)
	second, err := e.LinkMAC(two, "eth1")
	e.must(err)
	lost := e.hear(4*time.Second, func() error { return e.Carrier(two, false, wire.LAN) })
	for _, a := range e.addrs {
		if stations := lost.Stations(a); owners[a] != e.MACs()[two] || len(stations) == 0 || stations[len(stations)-1] != second {
			t.Errorf("%s was at %s and then at %v; the second link is %s", a, owners[a], stations, second)
		}
		if dark := lost.Dark(a); dark > plannedBound+lost.Starved {
			t.Errorf("nobody answered for %s for %v after the carrier of the first link was lost", a, dark.Round(time.Millisecond))
		}
	}
}
