package gossip

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	testPort = 7950
	latency  = time.Millisecond
)

// network carries gossip in memory. All goroutines wait only on channels and timers, so that the network works in a
// bubble of testing/synctest.
type network struct {
	mu    sync.Mutex
	ports map[string]*port
}

// port listens at one address. port implements memberlist.NodeAwareTransport.
type port struct {
	network *network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n *network) at(addr string) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ports[addr]
}

func (n *network) open(addr netip.AddrPort) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{network: n, addr: addr, packets: make(chan *memberlist.Packet, 1024), streams: make(chan net.Conn, 1024)}
	n.ports[addr.String()] = p
	return p
}

func (p *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return p.addr.Addr().AsSlice(), int(p.addr.Port()), nil
}

func (p *port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *port) StreamCh() <-chan net.Conn           { return p.streams }

func (p *port) WriteTo(b []byte, addr string) (time.Time, error) {
	packet := &memberlist.Packet{Buf: slices.Clone(b), From: net.UDPAddrFromAddrPort(p.addr)}
	time.AfterFunc(latency, func() {
		packet.Timestamp = time.Now()
		if to := p.network.at(addr); to != nil && p.network.at(p.addr.String()) == p {
			select {
			case to.packets <- packet:
			default:
			}
		}
	})
	return time.Now(), nil
}

func (p *port) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return p.WriteTo(b, addr.Addr)
}

func (p *port) DialTimeout(addr string, _ time.Duration) (net.Conn, error) {
	time.Sleep(2 * latency)
	to := p.network.at(addr)
	if to == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case to.streams <- stream{far, p.addr}:
		return stream{near, to.addr}, nil
	default:
		return nil, errors.New("too many connections")
	}
}

func (p *port) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return p.DialTimeout(addr.Addr, timeout)
}

func (p *port) Shutdown() error {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if p.network.ports[p.addr.String()] == p {
		delete(p.network.ports, p.addr.String())
	}
	for {
		select {
		case s := <-p.streams:
			_ = s.Close()
		default:
			return nil
		}
	}
}

// stream is one end of a connection.
type stream struct {
	net.Conn
	remote netip.AddrPort
}

func (s stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// source is the cluster in the view of one node.
type source struct {
	mu    sync.Mutex
	nodes map[string]string
	keys  []string
}

func (s *source) WaitSynced(context.Context) error { return nil }

func (s *source) Snapshot() (snap cluster.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, addr := range s.nodes {
		n := cluster.Node{Name: name}
		if addr != "" {
			n.Addresses = []netip.Addr{netip.MustParseAddr(addr)}
		}
		snap.Nodes = append(snap.Nodes, n)
	}
	return snap
}

func (s *source) GossipKeys() (keys [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		keys = append(keys, []byte(strings.Repeat(k, 32)))
	}
	return keys
}

func (s *source) setKeys(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *source) setNode(name, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[name] = addr
}

// node is one speaker's gossip.
type node struct {
	*Gossip
	name     string
	source   *source
	registry *prometheus.Registry
	changed  chan struct{}
	stop     context.CancelFunc
	done     chan error
	missing  func(netip.AddrPort) error
}

// testCluster is a set of nodes in one bubble.
type testCluster struct {
	t       *testing.T
	network *network
	nodes   []*node
}

func newTestCluster(t *testing.T) *testCluster {
	return &testCluster{t: t, network: &network{ports: map[string]*port{}}}
}

// add makes a node with the given Nodes and keys. run starts the node.
func (c *testCluster) add(name string, nodes map[string]string, keys ...string) *node {
	n := &node{
		name: name, source: &source{nodes: map[string]string{}, keys: keys}, registry: prometheus.NewRegistry(),
		changed: make(chan struct{}, 1), done: make(chan error, 1),
	}
	for name, addr := range nodes {
		n.source.setNode(name, addr)
	}
	n.Gossip = New(Options{
		Member: membership.Options{Name: name, Log: slog.New(slog.NewTextHandler(c.t.Output(), nil)).With("self", name),
			Registerer: n.registry},
		Port: testPort, Source: n.source, Secret: "lanlord-system/lanlord-gossip",
	})
	n.Gossip.open = func(o membership.Options) (*membership.Membership, error) {
		o.Transport = c.network.open(o.Bind)
		return membership.New(o)
	}
	n.Gossip.listen = func(at netip.AddrPort) error {
		if n.missing != nil {
			return n.missing(at)
		}
		return nil
	}
	c.nodes = append(c.nodes, n)
	return n
}

// run starts the node.
func (c *testCluster) run(n *node) {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	n.stop = stop
	if err := n.Wait(ctx, n.changed); err != nil {
		c.t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		c.t.Fatal(err)
	}
	if err := n.SetState(membership.Report{State: membership.Ready}); err != nil {
		c.t.Fatal(err)
	}
	go func() { n.done <- n.Run(ctx) }()
}

// end stops the node.
func (n *node) end(t *testing.T) {
	n.stop()
	if err := <-n.done; err != nil {
		t.Errorf("%s: %v", n.name, err)
	}
}

// sees returns the ready members in the view of the node, by name and address.
func (n *node) sees() string {
	var list []string
	for _, m := range n.Members() {
		if m.State == membership.Ready {
			list = append(list, m.Name+"@"+m.Addr.Addr().String())
		}
	}
	return strings.Join(list, " ")
}

// until advances the time until all nodes see the expected members, for d at most.
func (c *testCluster) until(d time.Duration, want string) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !c.all(want) {
		if time.Since(began) >= d {
			for _, n := range c.nodes {
				c.t.Errorf("after %v %s sees %q, want %q", d, n.name, n.sees(), want)
			}
			c.t.FailNow()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// during advances the time by d, and requires the expected members in the view of all nodes throughout.
func (c *testCluster) during(d time.Duration, want string) {
	c.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, n := range c.nodes {
			if got := n.sees(); got != want {
				c.t.Fatalf("%s sees %q, want %q", n.name, got, want)
			}
		}
	}
}

func (c *testCluster) all(want string) bool {
	return !slices.ContainsFunc(c.nodes, func(n *node) bool { return n.sees() != want })
}

// bubble runs a test with a cluster in simulated time.
func bubble(t *testing.T, test func(t *testing.T, c *testCluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t)
		test(t, c)
		for _, n := range c.nodes {
			n.end(t)
		}
		time.Sleep(time.Minute) // for goroutines of memberlist that outlive its shutdown
	})
}
