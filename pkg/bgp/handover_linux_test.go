package bgp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// process is a Speaker as one process of the node runs it.
type process struct {
	*Speaker
	t    *testing.T
	stop func()
}

// startProcess runs a Speaker on the kernel's network, that continues the sessions in adopt.
func startProcess(t *testing.T, adopt []Detached, peers []Peer) *process {
	t.Helper()
	p := &process{t: t}
	p.Speaker = New(Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Adopt: adopt})
	p.Set(peers)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(p.stop)
	return p
}

// await waits until the peers satisfy ok.
func (p *process) await(what string, ok func(Status) bool) {
	p.t.Helper()
	eventually(p.t, what, func() bool {
		for _, s := range p.Status() {
			if !ok(s) {
				return false
			}
		}
		return true
	})
}

func established(s Status) bool { return s.State == Established && s.Announced4 == s.Wanted4 }

// serve has a router take the connections to an address.
func (n *namespaces) serve(addr netip.Addr, o listenOptions, r *routertest.Router) {
	l := n.listen(addr, o)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			link := r.Link(conn)
			go func() { _ = link.Serve() }()
		}
	}()
}

// realPeers returns two peers with passwords, one of each family, and the routers that they lead to.
func (n *namespaces) realPeers(prefixes ...string) ([]Peer, []*routertest.Router) {
	o := routertest.Options{ASN: 64513, PeerASN: 64512, GracefulRestart: graceful()}
	routers := []*routertest.Router{routertest.New(o), routertest.New(o)}
	n.serve(router4, listenOptions{password: "four", from: []netip.Addr{node4}}, routers[0])
	n.serve(router6, listenOptions{password: "six", from: []netip.Addr{node6}}, routers[1])
	four, six := peer("four", router4, prefixes...), peer("six", router6, prefixes...)
	four.Password, six.Password = "four", "six"
	four.GracefulRestart, six.GracefulRestart = 15*time.Second, 15*time.Second
	return []Peer{four, six}, routers
}

func TestAdoptionShowsRoutersNothing(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	goroutines := runtime.NumGoroutine()
	prefixes := []string{"198.51.100.1/32", "198.51.100.2/32"}
	peers, routers := n.realPeers(prefixes...)
	current := startProcess(t, nil, peers)
	current.await("sessions", established)
	for range rounds {
		detached := current.Detach(t.Context())
		if len(detached) != len(peers) {
			t.Fatalf("%d sessions are handed over", len(detached))
		}
		for _, d := range detached {
			if strings.Contains(string(d.State), "four\"") && d.Name != "four" || strings.Contains(string(d.State),
				"Password") {
				t.Errorf("the state may contain a password: %s", d.State)
			}
		}
		next := startProcess(t, detached, peers)
		next.await("adopted sessions", func(s Status) bool { return s.Adopted && established(s) })
		current.stop()
		current = next
	}
	for _, r := range routers {
		c := r.Counts()
		if len(r.Opens()) != 1 || !r.Established() || c.Announced != 2 || c.Withdrawn != 0 ||
			c.Messages[wire.TypeNotification] != 0 ||
			c.Messages[wire.TypeKeepalive] < rounds || len(r.Violations()) > 0 {
			t.Errorf("the router saw %d OPENs, %+v %v", len(r.Opens()), c, r.Violations())
		}
	}
	// The session that was handed over so often still carries changes.
	for i := range peers {
		peers[i].Routes = peer("", netip.Addr{}, "198.51.100.2/32", "198.51.100.3/32").Routes
	}
	current.Set(peers)
	for _, r := range routers {
		eventually(t, "update", func() bool {
			return strings.Contains(r.String(), "100.3/32") && !strings.Contains(r.String(), "100.1/32")
		})
	}
	current.stop()
	for _, r := range routers {
		eventually(t, "end of the session", func() bool { return !r.Established() })
		if got := r.Counts(); got.Notification.Subcode != wire.CeaseHardReset || len(r.RIB()) != 0 {
			t.Errorf("at the end: %+v with %d routes", got, len(r.RIB()))
		}
	}
	eventually(t, "end of the goroutines",
		func() bool { return runtime.NumGoroutine() <= goroutines+len(routers) }) // which accept
}

func TestResumeAfterAFailedHandover(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	peers, routers := n.realPeers("198.51.100.1/32")
	peers = append(peers, peer("down", netip.MustParseAddr("203.0.113.1")))
	p := startProcess(t, nil, peers)
	up := func(s Status) bool { return s.Name == "down" || established(s) }
	p.await("sessions", up)
	for i := range 10 {
		detached := p.Detach(t.Context())
		if len(detached) != 2 {
			t.Fatalf("%d sessions are handed over", len(detached))
		}
		for _, d := range detached {
			_ = d.File.Fd() // makes the connection blocking, as passing it on may do
			d.File.Close()
		}
		for j := range peers {
			peers[j].Routes = peer("", netip.Addr{}, fmt.Sprintf("198.51.100.%d/32", 10+i)).Routes
		}
		p.Set(peers)
		p.Resume()
		for _, r := range routers {
			eventually(t, "update after the handover failed", func() bool {
				return strings.HasPrefix(r.String(), fmt.Sprintf("198.51.100.%d/32 ", 10+i)) && len(r.RIB()) == 1
			})
		}
	}
	for _, r := range routers {
		if len(r.Opens()) != 1 || len(r.Violations()) != 0 {
			t.Errorf("the router saw %d OPENs, %v", len(r.Opens()), r.Violations())
		}
	}
	eventually(t, "another attempt to reach the router that is down", func() bool {
		s := p.Status()[2]
		return s.State != Idle && s.Reason == NoRoute
	})
}

func TestAdoptionWithOtherParameters(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	peers, routers := n.realPeers("198.51.100.1/32")
	first := startProcess(t, nil, peers)
	first.await("sessions", established)
	detached := first.Detach(t.Context())
	// The new process has another router ID for one peer, and does not know the other one.
	changed := peers[0]
	changed.RouterID = netip.MustParseAddr("192.0.2.77")
	changed.HoldTime = 30 * time.Second
	next := startProcess(t, detached, []Peer{changed})
	next.await("new session", func(s Status) bool {
		return established(s) && !s.Adopted &&
			s.HoldTime == 30*time.Second
	})
	eventually(t, "end of the session without a peer", func() bool {
		return !routers[1].Established() &&
			len(routers[1].RIB()) == 0
	})
	for i, r := range routers {
		if got := r.Counts().Notification; got.Code != wire.CodeCease || got.Subcode != wire.CeaseHardReset {
			t.Errorf("router %d got %v", i, got)
		}
	}
	if opens := routers[0].Opens(); len(opens) != 2 || opens[1].RouterID != changed.RouterID {
		t.Errorf("OPENs: %+v", opens)
	}
	first.stop()
	if !routers[0].Established() {
		t.Error("the end of the old process ended the new session")
	}
}

func TestAdoptionCarriesUnsentBytes(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	// The router reads nothing until the handover is over: the updates are in the buffers of the kernel and in the
	// state.
	r := routertest.New(routertest.Options{ASN: 64513, PeerASN: 64512})
	l := n.listen(router4, listenOptions{})
	gate := make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		_ = r.Link(&gatedConn{Conn: conn, router: r, gate: gate}).Serve()
	}()
	var prefixes []string
	for i := range 200000 {
		prefixes = append(prefixes, fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255))
	}
	p := peer("four", router4, prefixes...)
	for i := range p.Routes {
		p.Routes[i].MED, p.Routes[i].HasMED = uint32(i%5000), true // so that there are many messages
	}
	current := startProcess(t, nil, []Peer{p})
	current.await("session", func(s Status) bool { return s.State == Established })
	eventually(t, "full buffers", func() bool {
		shown := current.snapshots()[0]
		return !shown.flushed && shown.status.Announced4 > 0
	})
	detached := current.Detach(t.Context())
	if len(detached) != 1 {
		t.Fatalf("%d sessions are handed over", len(detached))
	}
	var state passedOn
	if err := json.Unmarshal(detached[0].State, &state); err != nil || len(state.Unsent) == 0 {
		t.Fatalf("%d bytes go to the next process: %v", len(state.Unsent), err)
	}
	next := startProcess(t, detached, []Peer{p})
	next.await("adopted session", func(s Status) bool { return s.Adopted && s.State == Established })
	current.stop()
	close(gate)
	eventually(t, "all routes", func() bool { return len(r.RIB()) == len(prefixes) })
	if c := r.Counts(); len(r.Opens()) != 1 || c.Announced != len(prefixes) || len(r.Violations()) > 0 {
		t.Errorf("the router saw %d OPENs, %+v, %v", len(r.Opens()), c, r.Violations())
	}
}

func TestBFDWithARealMonitor(t *testing.T) {
	n := inNamespaces(t)
	if n == nil {
		return
	}
	profile := bfd.Profile{ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond,
		DetectMultiplier: 10}
	var ups, downs atomic.Int64
	other := bfd.New(bfd.Options{Changed: func(s bfd.Status) {
		if s.State == bfd.Up {
			ups.Add(1)
		} else if s.State == bfd.Down && ups.Load() > 0 {
			downs.Add(1)
		}
	}})
	other.Set([]bfd.Target{{Local: router4, Remote: node4, Profile: profile}})
	ended := n.onRouterThread(func() error { return other.Run(t.Context()) })
	peers, routers := n.realPeers("198.51.100.1/32")
	peers = peers[:1]
	peers[0].BFD = &profile
	current := startProcess(t, nil, peers)
	up := func(s Status) bool { return established(s) && s.BFD != nil && s.BFD.State == bfd.Up }
	current.await("sessions", up)
	for range 5 {
		detached := current.Detach(t.Context())
		if len(detached) != 1 || detached[0].BFD == nil || len(detached[0].BFD.Files) == 0 {
			t.Fatalf("handed over: %+v", detached)
		}
		next := startProcess(t, detached, peers)
		next.await("adopted sessions", func(s Status) bool { return s.Adopted && up(s) })
		current.stop()
		current = next
		// And back, when the next process does not come.
		for _, d := range current.Detach(t.Context()) {
			d.File.Close()
			closeFiles(d.BFD.Files)
		}
		current.Resume()
		current.await("resumed sessions", up)
	}
	if ups.Load() != 1 || downs.Load() != 0 || len(routers[0].Opens()) != 1 {
		t.Errorf("the router saw BFD come up %d times and go down %d times, and %d OPENs", ups.Load(), downs.Load(),
			len(routers[0].Opens()))
	}
	// The router falls silent: BFD goes down, and ends the BGP session.
	for _, d := range other.Detach() {
		closeFiles(d.Files)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	current.await("loss of the session by BFD", func(s Status) bool { return s.Resets == 1 && s.Reason == BFDDown })
	current.await("new session", established)
}

// gatedConn reads nothing between the start of the session and the opening of the gate.
type gatedConn struct {
	net.Conn
	router *routertest.Router
	gate   chan struct{}
}

// Read implements net.Conn.
func (g *gatedConn) Read(b []byte) (int, error) {
	if g.router.Established() {
		<-g.gate
	}
	return g.Conn.Read(b)
}
