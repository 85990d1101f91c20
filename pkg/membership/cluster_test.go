package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var testKey = []byte("a secret of 24 bytes ...")

// network carries the gossip of the members of one test over the loopback interface. Tests can cut the network.
type network struct {
	mu sync.Mutex
	// side maps the address of a member to the side of the cut.
	side map[string]int
	// to and by count the attempted connections by address: to counts the connections to the address, by the
	// connections from the address.
	to, by map[string]int
}

func (n *network) dial(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.to == nil {
		n.to, n.by = make(map[string]int), make(map[string]int)
	}
	n.to[to]++
	n.by[from]++
}

// tried returns the number of attempted connections to address, and from address.
func (n *network) tried(address netip.AddrPort) (to, by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.to[address.String()], n.by[address.String()]
}

func (n *network) connected(a, b string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.side[a] == n.side[b]
}

// put moves a member to a side of the cut. All members begin on side 0.
func (n *network) put(side int, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.side == nil {
		n.side = make(map[string]int)
	}
	n.side[address] = side
}

// wire is the connection of one member to the network. Datagrams across a cut are lost without an error, as on a LAN.
// Connections across a cut fail.
type wire struct {
	memberlist.NodeAwareTransport
	network *network
	address string
}

// attach returns the wire between a member and its sockets.
func (n *network) attach(t memberlist.NodeAwareTransport) *wire {
	ip, port, err := t.FinalAdvertiseAddr("", 0)
	if err != nil {
		panic(err)
	}
	addr, _ := netip.AddrFromSlice(ip)
	return &wire{t, n, netip.AddrPortFrom(addr.Unmap(), uint16(port)).String()}
}

func (w *wire) WriteTo(b []byte, addr string) (time.Time, error) {
	return w.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (w *wire) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	if !w.network.connected(w.address, addr.Addr) {
		return time.Now(), nil
	}
	return w.NodeAwareTransport.WriteToAddress(b, addr)
}

func (w *wire) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return w.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (w *wire) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	w.network.dial(w.address, addr.Addr)
	if !w.network.connected(w.address, addr.Addr) {
		return nil, errors.New("no route to host")
	}
	return w.NodeAwareTransport.DialAddressTimeout(addr, timeout)
}

// cluster is a set of real members on loopback addresses.
type cluster struct {
	t       testing.TB
	network network
	log     *slog.Logger
	// memory is the time for which memberlist remembers dead members; zero means the default.
	memory time.Duration
	// adjust changes the configuration of members that start later. adjust may be nil.
	adjust func(*memberlist.Config)

	mu    sync.Mutex
	peers []Peer
	woken chan struct{}
}

// node is a running member.
type node struct {
	*Membership
	registry *prometheus.Registry
	stop     context.CancelFunc
	done     chan error
}

func newCluster(t testing.TB) *cluster {
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	return &cluster{t: t, log: log, woken: make(chan struct{}, 1)}
}

func (c *cluster) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *cluster) currentPeers() []Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.peers)
}

// start runs a member on a free port of a loopback address, and adds the member to the peers of the other members.
func (c *cluster) start(name string, keys ...[]byte) *node {
	c.t.Helper()
	if len(keys) == 0 {
		keys = [][]byte{testKey}
	}
	return c.run(Options{Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Keys: keys}, func(*Membership) {})
}

// run completes the options, creates a member, calls before with the member, and runs the member.
func (c *cluster) run(options Options, before func(*Membership)) *node {
	c.t.Helper()
	registry, name := prometheus.NewRegistry(), options.Name
	options.Wake, options.Log, options.Registerer = c.wake, c.log.With("self", name), registry
	if options.Peers == nil {
		options.Peers = c.currentPeers
	}
	m, err := New(options)
	if err != nil {
		c.t.Fatal(err)
	}
	before(m)
	adjust := c.adjust
	m.adjust = func(config *memberlist.Config) {
		config.Transport = c.network.attach(config.Transport.(memberlist.NodeAwareTransport))
		if c.memory > 0 {
			config.GossipToTheDeadTime = c.memory
		}
		if adjust != nil {
			adjust(config)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &node{Membership: m, registry: registry, stop: stop, done: make(chan error, 1)}
	go func() { n.done <- m.Run(ctx) }()
	c.t.Cleanup(n.end)
	c.eventually("it listens", func() bool {
		if len(n.done) > 0 {
			c.t.Fatalf("Run of %s ended: %v", name, <-n.done)
		}
		return n.list.Load() != nil
	})
	c.network.put(0, n.address().String()) // a crashed member may have had the same port
	c.mu.Lock()
	c.peers = slices.DeleteFunc(c.peers, func(p Peer) bool { return p.Name == name })
	c.peers = append(c.peers, Peer{Name: name, Addrs: []netip.AddrPort{n.address()}})
	c.mu.Unlock()
	return n
}

// startAll runs n ready members, and waits until each member knows all members.
func (c *cluster) startAll(n int) []*node {
	c.t.Helper()
	var nodes []*node
	for i := range n {
		m := c.start("node-" + strconv.Itoa(i+1))
		if err := m.SetState(Report{State: Ready, Links: []Link{plain("eth0", MAC{2, 0, 0, 0, 0, byte(i + 1)})}}); err != nil {
			c.t.Fatal(err)
		}
		nodes = append(nodes, m)
	}
	c.eventually("all know all", func() bool { return all(nodes, func(m *node) bool { return m.count(Ready) == n }) })
	return nodes
}

// end stops a member in the ordinary way, unless the member has ended already.
func (n *node) end() {
	n.stop()
	if err := <-n.done; err != nil {
		panic(fmt.Sprintf("Run: %v", err))
	}
	n.done <- nil
}

// crash cuts a member off from all other members.
func (c *cluster) crash(n *node) {
	address := n.address()
	c.network.put(int(address.Port()), address.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = slices.DeleteFunc(c.peers, func(p Peer) bool { return p.Addrs[0] == address })
}

// address returns the gossip address of the member.
func (n *node) address() netip.AddrPort {
	self, _ := n.find(n.options.Name)
	return self.Addr
}

// find returns the member with this name in the view of n.
func (n *node) find(name string) (Member, bool) {
	v := n.published.Load()
	i, found := v.find(name)
	if !found {
		return Member{}, false
	}
	return v.members[i], true
}

// count returns the number of members in this state in the view of n.
func (n *node) count(state State) int {
	count := 0
	for _, m := range n.Members() {
		if m.State == state {
			count++
		}
	}
	return count
}

func all(nodes []*node, condition func(*node) bool) bool {
	return !slices.ContainsFunc(nodes, func(n *node) bool { return !condition(n) })
}

// eventually waits until condition holds. eventually checks condition after every change of a list of members.
func (c *cluster) eventually(what string, condition func() bool) {
	c.t.Helper()
	c.within(30*time.Second, what, condition)
}

// within is like eventually, with a given bound. within returns the time until condition held.
func (c *cluster) within(bound time.Duration, what string, condition func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !condition() {
		select {
		case <-c.woken:
		case <-time.After(5 * time.Millisecond): // some conditions do not depend on lists
			if time.Since(start) > bound {
				c.t.Fatalf("not within %v: %s", bound, what)
			}
		}
	}
	return time.Since(start)
}

// stays checks that condition holds for the duration d. stays checks condition after every change of a list of members.
func (c *cluster) stays(d time.Duration, what string, condition func() bool) {
	c.t.Helper()
	for end := time.After(d); ; {
		if !condition() {
			c.t.Fatalf("not for %v: %s", d, what)
		}
		select {
		case <-c.woken:
		case <-time.After(20 * time.Millisecond): // counters cause no wake-up
		case <-end:
			return
		}
	}
}

// witness records the reports that a member receives about another member.
type witness struct {
	memberlist.EventDelegate
	of    string
	mu    sync.Mutex
	heard []Member
}

func (w *witness) note(n *memberlist.Node) {
	if n.Name != w.of {
		return
	}
	report, _ := parseMeta(n.Meta)
	member := report.member(n.Name, netip.AddrPort{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, member)
}

// NotifyJoin implements memberlist.EventDelegate.
func (w *witness) NotifyJoin(n *memberlist.Node) {
	w.note(n)
	w.EventDelegate.NotifyJoin(n)
}

// NotifyUpdate implements memberlist.EventDelegate.
func (w *witness) NotifyUpdate(n *memberlist.Node) {
	w.note(n)
	w.EventDelegate.NotifyUpdate(n)
}

// take returns the reports since the last call.
func (w *witness) take() []Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := w.heard
	w.heard = nil
	return heard
}

// startWitness runs a member that records the reports about another member.
func (c *cluster) startWitness(name, of string) (*node, *witness) {
	c.t.Helper()
	w := &witness{of: of}
	c.adjust = func(config *memberlist.Config) { w.EventDelegate, config.Events = config.Events, w }
	n := c.start(name)
	c.adjust = nil
	return n, w
}

// conflicts returns the number of conflicts that n has counted.
func (n *node) conflicts() float64 {
	return testutil.ToFloat64(n.events.WithLabelValues(eventConflict.String()))
}
