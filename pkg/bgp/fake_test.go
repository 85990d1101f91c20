package bgp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// fakeNetwork leads to routers in memory, by address.
type fakeNetwork struct {
	mu      sync.Mutex
	routers map[netip.Addr]*routertest.Router
	// links are the routers' ends of the newest connections, which cut closes.
	links map[netip.Addr]fakeLink
	dials map[netip.Addr]int
	// stuck are routers that read nothing after the session is established.
	stuck map[netip.Addr]bool
	tasks sync.WaitGroup
}

type fakeLink struct {
	*routertest.Link
	conn net.Conn
}

func newFakeNetwork() *fakeNetwork {
	return &fakeNetwork{routers: map[netip.Addr]*routertest.Router{}, links: map[netip.Addr]fakeLink{},
		dials: map[netip.Addr]int{},
		stuck: map[netip.Addr]bool{}}
}

// Dial implements Network.
func (f *fakeNetwork) Dial(_ context.Context, p Peer) (Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials[p.Address]++
	router := f.routers[p.Address]
	if router == nil {
		return Connection{}, &DialError{Reason: Refused, Message: "nobody listens"}
	}
	near, far := net.Pipe()
	end := far
	if f.stuck[p.Address] {
		end = &stuckConn{Conn: far, router: router, closed: make(chan struct{})}
	}
	link := router.Link(end)
	f.links[p.Address] = fakeLink{Link: link, conn: end}
	f.tasks.Go(func() { _ = link.Serve() })
	local := netip.MustParseAddr("192.0.2.1")
	return Connection{Conn: near, Local: netip.AddrPortFrom(local, 40000), Remote: netip.AddrPortFrom(p.Address,
		p.Port),
		NextHop4: local, NextHop6: netip.MustParseAddr("2001:db8::1"), OnLink: true}, nil
}

// Adopt implements Network.
func (f *fakeNetwork) Adopt(Peer, *os.File) (Connection, error) {
	return Connection{}, errors.ErrUnsupported
}

// cut ends the connection to a router without a word.
func (f *fakeNetwork) cut(addr netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l, has := f.links[addr]; has {
		l.conn.Close()
	}
}

func (f *fakeNetwork) link(addr netip.Addr) fakeLink {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.links[addr]
}

func (f *fakeNetwork) dialled(addr netip.Addr) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials[addr]
}

func (f *fakeNetwork) setRouter(addr netip.Addr, r *routertest.Router) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.routers[addr] = r; r == nil {
		delete(f.routers, addr)
	}
}

// stuckConn stops reading when the session is established.
type stuckConn struct {
	net.Conn
	router *routertest.Router
	once   sync.Once
	closed chan struct{}
}

// Read implements net.Conn.
func (s *stuckConn) Read(b []byte) (int, error) {
	if s.router.Established() {
		<-s.closed
		return 0, net.ErrClosed
	}
	return s.Conn.Read(b)
}

// Close implements net.Conn.
func (s *stuckConn) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// fakeMonitor records targets.
type fakeMonitor struct {
	options bfd.Options
	mu      sync.Mutex
	targets []bfd.Target
	states  map[bfd.Key]bfd.State
}

// change tells a change of a session.
func (m *fakeMonitor) change(k bfd.Key, state bfd.State) {
	m.mu.Lock()
	m.states[k] = state
	m.mu.Unlock()
	m.options.Changed(bfd.Status{Key: k, State: state, RemoteState: max(state, bfd.Down)})
}

var _ Monitor = (*fakeMonitor)(nil)

// Set implements Monitor.
func (m *fakeMonitor) Set(targets []bfd.Target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets = targets
}

// Status implements Monitor.
func (m *fakeMonitor) Status() []bfd.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []bfd.Status
	for _, t := range m.targets {
		list = append(list, bfd.Status{Key: t.Key(), State: m.states[t.Key()]})
	}
	return list
}

// Run implements Monitor.
func (m *fakeMonitor) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Detach implements Monitor.
func (m *fakeMonitor) Detach() []bfd.Detached { return nil }

func (m *fakeMonitor) list() []bfd.Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.targets
}

// scene is a Speaker with routers in memory, in simulated time.
type scene struct {
	t       *testing.T
	network *fakeNetwork
	monitor *fakeMonitor
	speaker *Speaker
	log     *logBuffer
	stop    context.CancelFunc
	ended   chan struct{}
	changes atomic.Int64
}

// logBuffer holds the log as text.
type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.Bytes(), []byte(text))
}

var (
	torA = netip.MustParseAddr("192.0.2.11")
	torB = netip.MustParseAddr("192.0.2.12")
)

// inScene runs f in simulated time. No goroutine of the Speaker may be left at the end.
func inScene(t *testing.T, change func(*Options), f func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, network: newFakeNetwork(), log: &logBuffer{}, ended: make(chan struct{})}
		o := Options{
			Log: slog.New(slog.NewTextHandler(s.log, nil)), Network: s.network, Changed: func() { s.changes.Add(1) },
			Monitor: func(o bfd.Options) Monitor {
				s.monitor = &fakeMonitor{options: o, states: map[bfd.Key]bfd.State{}}
				return s.monitor
			},
		}
		if change != nil {
			change(&o)
		}
		s.speaker = New(o)
		ctx, stop := context.WithCancel(t.Context())
		s.stop = stop
		go func() {
			defer close(s.ended)
			if err := s.speaker.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		defer func() {
			stop()
			<-s.ended
			for addr := range s.network.routers {
				s.network.cut(addr)
			}
			s.network.tasks.Wait()
			for addr, r := range s.network.routers {
				for _, v := range r.Violations() {
					t.Errorf("router %v: %s", addr, v)
				}
			}
			if t.Failed() {
				t.Log(s.log.String())
			}
		}()
		f(s)
	})
}

// router adds a router.
func (s *scene) router(addr netip.Addr, o routertest.Options) *routertest.Router {
	if o.ASN == 0 {
		o.ASN, o.PeerASN = 64513, 64512
	}
	r := routertest.New(o)
	s.network.setRouter(addr, r)
	return r
}

// peer returns a peer with one route for each prefix.
func peer(name string, addr netip.Addr, prefixes ...string) Peer {
	p := Peer{Name: name, LocalASN: 64512, RemoteASN: 64513, Address: addr, Port: 179,
		RouterID: netip.MustParseAddr("192.0.2.1"),
		HoldTime: 90 * time.Second, ForwardingKept: true, Ready: true}
	for _, prefix := range prefixes {
		p.Routes = append(p.Routes, Route{Prefix: netip.MustParsePrefix(prefix)})
	}
	slices.SortFunc(p.Routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	return p
}

// pass lets time pass.
func (s *scene) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// set sets peers, and waits until nothing happens.
func (s *scene) set(peers ...Peer) {
	s.speaker.Set(peers)
	synctest.Wait()
}

// status returns the status of a peer.
func (s *scene) status(name string) Status {
	s.t.Helper()
	for _, status := range s.speaker.Status() {
		if status.Name == name {
			return status
		}
	}
	s.t.Fatalf("no status of %s", name)
	return Status{}
}

// wantRIB compares the table of a router with prefixes.
func wantRIB(t *testing.T, r *routertest.Router, prefixes ...string) {
	t.Helper()
	rib := r.RIB()
	ok := len(rib) == len(prefixes)
	for _, p := range prefixes {
		_, has := rib[netip.MustParsePrefix(p)]
		ok = ok && has
	}
	if !ok {
		t.Errorf("the router has\n%vwant %v", r, prefixes)
	}
}

// graceful is graceful restart with the N bit, as a router says it.
func graceful() *wire.GracefulRestart {
	return &wire.GracefulRestart{Notification: true, Time: 120 * time.Second, Families: [wire.FamilyCount]bool{true,
		true}}
}
