package bgp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// dialOnce dials with the kernel's network, and closes the connection.
func dialOnce(t *testing.T, k *kernelNetwork, p Peer, patience time.Duration) (Connection, *DialError) {
	t.Helper()
	if p.Port == 0 {
		p.Port = 179
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := k.Dial(ctx, p)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		return conn, nil
	}
	failure, is := errors.AsType[*DialError](err)
	if !is {
		t.Fatalf("the error is no DialError: %v", err)
	}
	if p.Password != "" && (strings.Contains(err.Error(), p.Password) || strings.Contains(failure.Message,
		p.Password)) {
		t.Errorf("the error contains the password: %v", err)
	}
	return Connection{}, failure
}

// The times that attempts have: one to succeed even on a busy machine, one to be given up when no answer is to come.
const (
	patient   = time.Minute
	impatient = plainTimeout + time.Second
)

func TestDialPasswords(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	const password = "correct horse"
	for _, family := range []struct {
		name         string
		node, router netip.Addr
	}{{"IPv4", node4, router4}, {"IPv6", node6, router6}} {
		t.Run(family.name, func(t *testing.T) {
			k := newKernelNetwork()
			try := func(password string, patience time.Duration) Reason {
				_, failure := dialOnce(t, k, Peer{Address: family.router, Password: password}, patience)
				if failure == nil {
					return None
				}
				t.Log(failure.Reason, failure.Message)
				return failure.Reason
			}
			if r := try("", patient); r != Refused {
				t.Errorf("nobody listens: %v", r)
			}
			if r := try(password, impatient); r != Refused {
				t.Errorf("nobody listens, and the password hides the refusal: %v", r)
			}
			l := n.listen(family.router, listenOptions{password: password, from: []netip.Addr{family.node}})
			if r := try(password, patient); r != None {
				t.Errorf("the right password: %v", r)
			}
			// Kernels differ in whether they answer a segment with another password by a reset, which is counted here.
			if r := try("wrong", impatient); r != Timeout && r != PasswordWrong {
				t.Errorf("another password: %v", r)
			}
			if r := try("", impatient); r != Timeout {
				t.Errorf("no password: %v", r)
			}
			l.Close()
			n.listen(family.router, listenOptions{})
			if r := try(password, impatient); r != PasswordUnexpected {
				t.Errorf("the router has no password: %v", r)
			}
			if r := try("", patient); r != None {
				t.Errorf("no password on both sides: %v", r)
			}
		})
	}
}

func TestDialTTL(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	for _, router := range []netip.Addr{router4, router6} {
		k := newKernelNetwork()
		l := n.listen(router, listenOptions{ttl: 255, minTTL: 255})
		if _, failure := dialOnce(t, k, Peer{Address: router, TTLSecurity: 1}, patient); failure != nil {
			t.Errorf("%v with TTL 255 on both sides: %v", router, failure)
		}
		l.Close()
		l = n.listen(router, listenOptions{ttl: 254})
		if _, failure := dialOnce(t, k, Peer{Address: router, TTLSecurity: 1}, time.Second); failure == nil ||
			failure.Reason != Timeout {
			t.Errorf("%v with TTL 254 instead of 255: %v", router, failure)
		}
		if _, failure := dialOnce(t, k, Peer{Address: router, TTLSecurity: 2}, patient); failure != nil {
			t.Errorf("%v with TTL 254 and two hops: %v", router, failure)
		}
		l.Close()
		l = n.listen(router, listenOptions{ttl: 1})
		if _, failure := dialOnce(t, k, Peer{Address: router}, patient); failure != nil {
			t.Errorf("%v with TTL 1, as routers send to eBGP peers: %v", router, failure)
		}
		l.Close()
	}
}

func TestDialSourceAndNextHops(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	n.listen(router4, listenOptions{})
	n.listen(router6, listenOptions{})
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := readAddresses()
	if err != nil {
		t.Fatal(err)
	}
	linkLocal, ok := chooseSource(addrs, link.Index, netip.MustParseAddr("fe80::1"))
	if !ok {
		t.Fatal("no link-local address")
	}
	for _, c := range []struct {
		name         string
		peer         Peer
		local        netip.Addr
		hop4, hop6   netip.Addr
		beyondRouter bool
	}{
		{name: "kernel's choice", peer: Peer{Address: router4}, local: node4, hop4: node4, hop6: node6},
		{name: "kernel's choice, IPv6", peer: Peer{Address: router6}, local: node6, hop4: node4, hop6: node6},
		{name: "source address", peer: Peer{Address: router4, SourceAddress: node4b}, local: node4b, hop4: node4b,
			hop6: node6},
		{name: "source interface", peer: Peer{Address: router4, SourceInterface: "eth0"}, local: node4, hop4: node4,
			hop6: node6},
		{name: "source interface elsewhere", peer: Peer{Address: router4, SourceInterface: "lo1"}, local: inner4,
			hop4: inner4, hop6: inner6,
			beyondRouter: true},
		{name: "source interface elsewhere, IPv6", peer: Peer{Address: router6, SourceInterface: "lo1"}, local: inner6,
			hop4: inner4,
			hop6: inner6, beyondRouter: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, failure := dialOnce(t, newKernelNetwork(), c.peer, patient)
			if failure != nil {
				t.Fatal(failure)
			}
			if conn.Local.Addr() != c.local || conn.Remote != netip.AddrPortFrom(c.peer.Address, 179) {
				t.Errorf("the connection is from %v to %v, want it from %v", conn.Local, conn.Remote, c.local)
			}
			if conn.NextHop4 != c.hop4 || conn.NextHop6 != c.hop6 {
				t.Errorf("next hops %v and %v, want %v and %v", conn.NextHop4, conn.NextHop6, c.hop4, c.hop6)
			}
			if conn.OnLink == c.beyondRouter {
				t.Errorf("on link: %v", conn.OnLink)
			}
			checkOptions(t, conn.Conn.(*net.TCPConn), conn.Local.Addr().Is6())
		})
	}
	n.run("node", "ip addr del 2001:db8::1/64 dev eth0")
	conn, failure := dialOnce(t, newKernelNetwork(), Peer{Address: router4}, patient)
	if failure != nil || conn.NextHop6 != linkLocal {
		t.Errorf("without a global IPv6 address the next hop is %v: %v", conn.NextHop6, failure)
	}
	for name, p := range map[string]Peer{
		"source address of another host": {Address: router4, SourceAddress: netip.MustParseAddr("192.0.2.77")},
		"missing source interface":       {Address: router4, SourceInterface: "eth7"},
		"no address of the family":       {Address: router6, SourceInterface: "eth0"},
		"no route":                       {Address: netip.MustParseAddr("203.0.113.1")},
	} {
		if _, failure := dialOnce(t, newKernelNetwork(), p, patient); failure == nil || failure.Reason != NoRoute {
			t.Errorf("%s: %v", name, failure)
		}
	}
}

func checkOptions(t *testing.T, conn *net.TCPConn, v6 bool) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	level, ttl, class := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS
	if v6 {
		level, ttl, class = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	if err := control(raw, func(fd int) error {
		for option, want := range map[int]int{ttl: 255, class: 0xc0} {
			if got, err := unix.GetsockoptInt(fd, level, option); err != nil || got != want {
				t.Errorf("option %d is %d, want %d: %v", option, got, want, err)
			}
		}
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || got != 0 {
			t.Errorf("keepalive of TCP is %d: %v", got, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestDialUnnumbered(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	p := Peer{Interface: "eth0", Port: 179}
	if _, failure := dialOnce(t, newKernelNetwork(), p, time.Second); failure == nil ||
		failure.Reason != NoRouterAdvertisement {
		t.Fatalf("without a router advertisement: %v", failure)
	}
	if _, failure := dialOnce(t, newKernelNetwork(), Peer{Interface: "eth7"}, time.Second); failure == nil ||
		failure.Reason != NoRoute {
		t.Fatalf("without the interface: %v", failure)
	}
	router := n.advertiseRouter()
	k := newKernelNetwork()
	conn, failure := dialOnce(t, k, p, patient)
	if failure != nil {
		t.Fatal(failure)
	}
	if conn.Remote.Addr() != router.addr || !conn.Local.Addr().IsLinkLocalUnicast() ||
		conn.NextHop6 != conn.Local.Addr().WithZone("") || !conn.OnLink {
		t.Errorf("the connection is from %v to %v with next hop %v, want it to %v", conn.Local, conn.Remote,
			conn.NextHop6, router.addr)
	}
	select {
	case from := <-router.advertised:
		if from.WithZone("") != conn.Local.Addr().WithZone("") {
			t.Errorf("router advertisement from %v, want it from %v", from, conn.Local)
		}
	case <-time.After(patient):
		t.Error("the router heard no router advertisement")
	}
	// The second attempt knows the router, and a failed one makes the next one ask again.
	if k.routers["eth0"] != router.addr {
		t.Errorf("known router: %v", k.routers)
	}
	router.listener.Close()
	if _, failure := dialOnce(t, k, p, patient); failure == nil || failure.Reason != Refused {
		t.Errorf("nobody listens: %v", failure)
	}
	if len(k.routers) != 0 {
		t.Errorf("after a failure: %v", k.routers)
	}
}

// fakeRouter answers router solicitations.
type fakeRouter struct {
	addr       netip.Addr // as the node sees it
	listener   net.Listener
	advertised chan netip.Addr
}

func (n *namespaces) advertiseRouter() *fakeRouter {
	n.t.Helper()
	r := &fakeRouter{advertised: make(chan netip.Addr, 10)}
	var socket *routerSocket
	n.inRouter(func() (err error) {
		socket, err = openRouterSocket("eth0")
		if err != nil {
			return err
		}
		var all ipv6.ICMPFilter
		all.SetAll(true)
		all.Accept(ipv6.ICMPTypeRouterSolicitation)
		all.Accept(ipv6.ICMPTypeRouterAdvertisement)
		if err := socket.conn.SetICMPFilter(&all); err != nil {
			return err
		}
		return socket.conn.JoinGroup(netip.IPv6LinkLocalAllRouters())
	})
	n.t.Cleanup(socket.close)
	addrs := strings.Fields(n.run("router", "ip -o -6 addr show dev eth0 scope link"))
	own := netip.MustParsePrefix(addrs[3]).Addr()
	r.addr = own.WithZone("eth0")
	r.listener = n.listen(own.WithZone("eth0"), listenOptions{})
	go func() {
		for {
			m, _, from, err := socket.conn.ReadFrom()
			if err != nil {
				return
			}
			switch m.Type() {
			case ipv6.ICMPTypeRouterSolicitation:
				_ = socket.advertise(netip.IPv6LinkLocalAllNodes())
			case ipv6.ICMPTypeRouterAdvertisement:
				r.advertised <- from
			}
		}
	}()
	return r
}
