package membership

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// freePort returns an address on a loopback interface with a free port.
func freePort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("the loopback interface has no address %s: %v", host, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// TestMixedFamilies runs a node with IPv4, a node with IPv6, and a node with both families. Each of the first two nodes
// knows the third node at another address, so only the name identifies the third node.
func TestMixedFamilies(t *testing.T) {
	c := newCluster(t)
	four, six := freePort(t, "127.0.0.1"), freePort(t, "::1")
	dual4, dual6 := freePort(t, "127.0.0.1"), freePort(t, "::1")
	heard := make(chan string, 10)
	all3 := []Peer{
		{Name: "dual", Addrs: []netip.AddrPort{dual4, dual6}}, {Name: "four", Addrs: []netip.AddrPort{four}}, {Name: "six", Addrs: []netip.AddrPort{six}},
	}
	start := func(name string, bind, also netip.AddrPort) *node {
		return c.run(Options{
			Name: name, Bind: bind, Also: also, Keys: [][]byte{testKey}, Peers: func() []Peer { return all3 },
			Told: func(from string, _ [8]uint64) { heard <- from + " to " + name },
		}, func(*Membership) {})
	}
	nodes := []*node{start("four", four, netip.AddrPort{}), start("six", six, netip.AddrPort{}), start("dual", dual4, dual6)}
	c.eventually("all know all", func() bool { return all(nodes, func(n *node) bool { return len(n.Members()) == 3 }) })
	c.stays(2*lossTime, "nobody is lost", func() bool {
		return all(nodes, func(n *node) bool { return len(n.Members()) == 3 && n.saw(eventLeft) == 0 })
	})
	for _, pair := range []struct {
		from *node
		to   string
	}{{nodes[1], "dual"}, {nodes[2], "six"}, {nodes[0], "dual"}, {nodes[2], "four"}} {
		if err := pair.from.Ping(pair.to); err != nil {
			t.Error(err)
		}
		pair.from.Tell(pair.to, [8]uint64{1})
		select {
		case got := <-heard:
			if want := pair.from.options.Name + " to " + pair.to; got != want {
				t.Errorf("heard %s, want %s", got, want)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s does not hear %s", pair.to, pair.from.options.Name)
		}
	}
	if err := nodes[0].Ping("six"); err == nil {
		t.Error("an IPv4 node reaches an IPv6 node directly")
	}
}

// TestSecondAddressMayBeMissing starts a node with a second address that the kernel does not have.
func TestSecondAddressMayBeMissing(t *testing.T) {
	c := newCluster(t)
	a := c.run(Options{
		Name: "a", Bind: netip.MustParseAddrPort("127.0.0.1:0"), Also: netip.MustParseAddrPort("[2001:db8::1]:7950"), Keys: [][]byte{testKey},
	}, func(*Membership) {})
	b := c.start("b")
	c.eventually("both meet", func() bool { return len(a.Members()) == 2 && len(b.Members()) == 2 })
}
