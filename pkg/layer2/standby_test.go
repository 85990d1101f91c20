package layer2

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// link returns an interface that is up, with a link-local address.
func link(index int, name string, prefixes ...string) Interface {
	i := Interface{Index: index, Name: name, MAC: MAC{2, 5: byte(index)}, Up: true, LinkLocal: netip.MustParseAddr("fe80::1")}
	for _, p := range prefixes {
		i.Prefixes = append(i.Prefixes, netip.MustParsePrefix(p))
	}
	return i
}

// with returns a changed copy of an interface.
func with(i Interface, change func(*Interface)) Interface {
	change(&i)
	return i
}

func down(i *Interface)   { i.Up = false }
func noIPv6(i *Interface) { i.LinkLocal = netip.Addr{} }

// routed gives a link a route to the LAN of the tests.
func routed(i Interface) Interface {
	return with(i, func(i *Interface) { i.OnLink = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
}

// TestOneLinkServes tests which link of a network serves an address.
func TestOneLinkServes(t *testing.T) {
	eth0, eth1 := link(2, "eth0", "192.0.2.7/24", "2001:db8::7/64"), link(3, "eth1", "192.0.2.8/24", "2001:db8::8/64")
	other := link(4, "eth2", "198.51.100.7/24")
	const v4, v6, outside = "192.0.2.80", "2001:db8::80", "203.0.113.80"
	for _, c := range []struct {
		name       string
		links      []Interface
		node       string
		addr       string
		interfaces []string
		want       []int
	}{
		{name: "lowest index", links: []Interface{eth0, eth1}, addr: v4, want: []int{2}},
		{name: "lowest index, whatever the order", links: []Interface{eth1, eth0}, addr: v6, want: []int{2}},
		{name: "the Node's address", links: []Interface{eth0, eth1}, node: "192.0.2.8", addr: v4, want: []int{3}},
		{name: "the Node's address of the other family", links: []Interface{eth0, eth1}, node: "192.0.2.8", addr: v6, want: []int{3}},
		{name: "the Node's address in another network", links: []Interface{eth0, eth1, other}, node: "198.51.100.7", addr: v4, want: []int{2}},
		{name: "without carrier", links: []Interface{with(eth0, down), eth1}, node: "192.0.2.7", addr: v4, want: []int{3}},
		{name: "none with carrier", links: []Interface{with(eth0, down), with(eth1, down)}, addr: v4, want: []int{2}},
		{name: "gone", links: []Interface{eth1}, node: "192.0.2.7", addr: v4, want: []int{3}},
		{name: "IPv6 is not ready", links: []Interface{with(eth0, noIPv6), eth1}, addr: v6, want: []int{3}},
		{name: "IPv4 does not mind", links: []Interface{with(eth0, noIPv6), eth1}, addr: v4, want: []int{2}},
		{name: "only one has the family", links: []Interface{link(2, "eth0", "192.0.2.7/24"), eth1}, addr: v6, want: []int{3}},
		{name: "everywhere", links: []Interface{eth0, eth1, other}, addr: outside, want: []int{2, 4}},
		{name: "everywhere, with carrier", links: []Interface{with(eth0, down), eth1, other}, addr: outside, want: []int{3, 4}},
		{name: "everywhere, links without a subnet", links: []Interface{eth0, link(5, "eth3"), link(6, "eth4")}, addr: outside, want: []int{2, 5, 6}},
		{name: "both named", links: []Interface{eth0, eth1}, addr: v4, interfaces: []string{"eth0", "eth1"}, want: []int{2}},
		{name: "both named, the Node's address", links: []Interface{eth0, eth1}, node: "192.0.2.8", addr: outside, interfaces: []string{"eth*"}, want: []int{3}},
		{name: "only one named", links: []Interface{eth0, eth1}, addr: v4, interfaces: []string{"eth1"}, want: []int{3}},
		{name: "only one named, without carrier", links: []Interface{eth0, with(eth1, down)}, addr: v4, interfaces: []string{"eth1"}, want: []int{3}},
		{name: "named in two networks", links: []Interface{eth0, eth1, other}, addr: v4, interfaces: []string{"eth*"}, want: []int{2, 4}},
		{name: "macvlan beside its parent", links: []Interface{eth0, link(9, "shim", "192.0.2.9/24")}, node: "192.0.2.7", addr: v4, want: []int{2}},
		{name: "macvlan with an address only", links: []Interface{eth0, link(9, "shim", "192.0.2.9/32")}, addr: v4, want: []int{2}},
		{name: "the same single address", links: []Interface{link(2, "a", "10.0.0.1/32"), link(3, "b", "10.0.0.1/32")}, addr: outside, want: []int{2, 3}},
		{name: "self-made addresses", links: []Interface{link(2, "a", "169.254.1.1/16"), link(3, "b", "169.254.1.2/16")}, addr: outside, want: []int{2, 3}},
		{name: "two routing domains", links: []Interface{eth0, with(eth1, func(i *Interface) { i.VRF = 7 })}, addr: v4, want: []int{2, 3}},
		{name: "connected by a third", links: []Interface{link(2, "a", "10.0.0.1/24"), link(3, "b", "10.1.0.1/24"),
			link(4, "c", "10.0.0.2/24", "10.1.0.2/24")}, addr: outside, want: []int{2}},
		{name: "subnets of other lengths", links: []Interface{link(2, "a", "10.0.0.1/16"), link(3, "b", "10.0.0.2/24")}, addr: "10.0.0.80", want: []int{2, 3}},
		{name: "a route for the LAN", links: []Interface{routed(link(2, "eth0", "192.0.2.7/32")), other}, addr: v4, want: []int{2}},
		{name: "a subnet before a route", links: []Interface{routed(link(2, "shim", "192.0.2.9/32")), eth1}, addr: v4, want: []int{3}},
		{name: "two routes for one LAN", links: []Interface{routed(link(2, "eth0", "192.0.2.7/32")), routed(link(3, "eth1", "192.0.2.8/32"))},
			addr: v4, want: []int{2}},
		{name: "a route for another LAN", links: []Interface{routed(link(2, "eth0", "192.0.2.7/32")), other}, addr: outside, want: []int{2, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var node []netip.Addr
			if c.node != "" {
				node = append(node, netip.MustParseAddr(c.node))
			}
			var got []int
			l := newLayout(c.links, node)
			for _, at := range l.serving(Target{Addr: netip.MustParseAddr(c.addr), Interfaces: c.interfaces}, nil) {
				got = append(got, c.links[at].Index)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("served on %v, want %v", got, c.want)
			}
		})
	}
}

// BenchmarkPlan plans 10,000 addresses for a node with 30 VLANs.
func BenchmarkPlan(b *testing.B) {
	var links []Interface
	for n := range 30 {
		links = append(links, link(n+1, fmt.Sprintf("vlan%d", n), fmt.Sprintf("10.0.%d.1/24", n)))
	}
	var targets []Target
	for n := range 10_000 {
		targets = append(targets, Target{Addr: netip.AddrFrom4([4]byte{10, 0, byte(n / 250), byte(n % 250)})})
	}
	l := newLayout(links, []netip.Addr{netip.MustParseAddr("10.0.7.1")})
	for b.Loop() {
		plan(slices.Values(targets), l)
	}
}

func TestHostStateIsNormalized(t *testing.T) {
	eth0, bond0 := link(3, "eth0", "192.0.2.7/24"), link(2, "bond0")
	bond0.MACs = []MAC{{2, 5: 9}, {2, 5: 2}}
	got := HostState{
		Interfaces: []Interface{eth0, with(link(1, "odd0"), func(i *Interface) { i.MAC = MAC{} }), bond0},
		Addrs:      []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.7")},
		MACs:       []MAC{{2, 5: 7}, {}, broadcast, {2, 5: 3}},
	}.normalized()
	want := HostState{
		Interfaces: []Interface{bond0, eth0},
		Addrs:      []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
		MACs:       []MAC{{2, 5: 2}, {2, 5: 3}, {2, 5: 7}, {2, 5: 9}},
	}
	if !got.equal(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
