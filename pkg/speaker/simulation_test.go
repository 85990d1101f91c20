package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// bootInterval is the time between the starts of two speakers of a simulation, so that their timers do not fire
	// together.
	bootInterval = 1300 * time.Microsecond
	// hastyInterval is the time between two times that all are woken while the cluster comes up.
	hastyInterval = 500 * time.Millisecond
	// simulatedLatency is the transit time of each gossip datagram.
	simulatedLatency = 200 * time.Microsecond
	// simulatedPatience limits the simulated time until a simulation comes to rest.
	simulatedPatience = 2 * time.Minute
	// simulatedEnd limits the life of memberlist's goroutines after a simulation. In a bubble, time stops when the test
	// has returned.
	simulatedEnd = 3 * time.Second
)

// simulation is a cluster in a bubble of testing/synctest: on each node the real loop, ring, announcer and memberlist. Simulated are the
// links, and of the cluster the nodes and Services are given.
type simulation struct {
	t      *testing.T
	lan    *lantest.LAN
	gossip *gossipNet
	random *rand.Rand
	nodes  []*simulated
	addrs  []netip.Addr
	snap   atomic.Pointer[cluster.Snapshot]

	// hasty is true while the cluster comes up: then news from gossip wakes the speakers all at once now and then, for a step of each of
	// many after each word of each of many takes longer than all the rest.
	hasty atomic.Bool

	mu     sync.Mutex
	owners map[netip.Addr]*simulated // who announced an address last
	byName map[string]*simulated
	// wrong are suspicions of nodes that live.
	wrong []string
	crash *simulatedCrash
}

// simulatedCrash holds the times, since a crash, at which the nodes learned of the crash.
type simulatedCrash struct {
	victim    *simulated
	at        time.Time
	suspected time.Duration // the first suspicion
	told      map[*simulated]time.Duration
	announced map[netip.Addr]time.Duration // by another node; 0 while it is not
	forgotten time.Duration                // no list of members has it any more
}

// simulated is one node: the source and the peers of its speaker. It records suspicions.
type simulated struct {
	*membership.Membership
	*simulation
	name      string
	nic       *lantest.NIC
	port      *gossipPort
	wake      chan struct{}
	announcer *layer2.Announcer
	loop      *Speaker
	base      context.Context // what runs on the node
	end       context.CancelFunc
	done      sync.WaitGroup
	alive     bool
}

// newSimulation starts n nodes, one after the other, and assigns addresses to Services, some on each node, when all
// nodes know each other.
func newSimulation(t *testing.T, n, addrs int) *simulation {
	cfg, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.128.0.0/16]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := &simulation{t: t, lan: lantest.New(1), gossip: newGossipNet(simulatedLatency), random: rand.New(rand.NewPCG(uint64(n), 1)),
		owners: map[netip.Addr]*simulated{}, byName: map[string]*simulated{}}
	s.lan.Tap(s.see)
	snap := &cluster.Snapshot{Config: cfg}
	for i := range n {
		node := s.add(i)
		snap.Nodes = append(snap.Nodes, cluster.Node{Name: node.name})
	}
	s.snap.Store(snap)
	s.hasty.Store(true)
	for _, node := range s.nodes {
		node.run(node.Membership.Run)
	}
	s.eventually("each node knows all", func() bool {
		return s.each(func(node *simulated) bool { return len(node.Members()) == n })
	})
	for _, node := range s.nodes {
		node.run(node.announcer.Run)
		node.run(node.loop.Run)
		time.Sleep(bootInterval)
	}
	s.eventually("each node knows that all are ready", func() bool {
		return s.each(func(node *simulated) bool {
			return !slices.ContainsFunc(node.Members(), func(m membership.Member) bool { return m.State != membership.Ready })
		})
	})
	with := &cluster.Snapshot{Config: cfg, Nodes: snap.Nodes}
	a := netip.MustParseAddr("10.128.0.1")
	for i := range addrs {
		s.addrs = append(s.addrs, a)
		with.Services = append(with.Services, service(fmt.Sprintf("s%05d", i), a))
		a = a.Next()
	}
	s.snap.Store(with)
	s.eventually("all addresses are announced", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.owners) == addrs
	})
	for range 10 { // the announcements are repeated, and the nodes tell each other of what they answer for
		time.Sleep(time.Second)
		s.pokeAll()
	}
	s.hasty.Store(false)
	return s
}

// add makes a node that is not started.
func (s *simulation) add(i int) *simulated {
	node := &simulated{simulation: s, name: fmt.Sprintf("node-%04d", i), wake: make(chan struct{}, 1), alive: true}
	machine := s.lan.Node(node.name)
	place := [4]byte{10, 0, byte(i >> 8), byte(i)}
	node.nic = machine.Add("eth0", netip.PrefixFrom(netip.AddrFrom4(place), 8))
	place[0] = 172
	bind := netip.AddrPortFrom(netip.AddrFrom4(place), 7946)
	node.port = s.gossip.port(bind)
	log := slog.New(slog.DiscardHandler)
	node.base, node.end = context.WithCancel(context.Background())
	var err error
	node.Membership, err = membership.New(membership.Options{
		Name: node.name, Bind: bind, Keys: [][]byte{[]byte("a secret of 24 bytes ...")}, Peers: s.peers, Wake: node.hear,
		Suspected: node.suspected, Transport: node.port, Log: log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	node.announcer = layer2.New(layer2.Options{
		Log: log, Network: machine, Wake: node.poke, Stood: node.poke, Heard: func(c layer2.Claim) { node.loop.Heard(c) },
	})
	node.loop = New(Options{
		Self: node.name, Wake: node.wake, Source: node, Peers: node, Announcer: node.announcer, Event: func(cluster.Event) {}, Log: log,
	})
	s.nodes = append(s.nodes, node)
	s.byName[node.name] = node
	return node
}

// run starts a part of the node.
func (n *simulated) run(part func(context.Context) error) {
	n.done.Go(func() {
		if err := part(n.base); err != nil {
			n.t.Errorf("%s: %v", n.name, err)
		}
	})
}

// stop ends what runs on the node, without a word to the others.
func (n *simulated) stop() {
	n.interrupt()
	n.done.Wait()
}

// interrupt ends all tasks of the node.
func (n *simulated) interrupt() {
	n.loop.HandOver()
	n.Membership.HandOver()
	n.end()
}

// stop ends all nodes at once, so that none sees the others go.
func (s *simulation) stop() {
	for _, n := range s.nodes {
		n.interrupt()
	}
	for _, n := range s.nodes {
		n.done.Wait()
	}
	time.Sleep(simulatedEnd)
}

func (s *simulation) peers() []membership.Peer {
	peers := make([]membership.Peer, len(s.nodes))
	for i, n := range s.nodes {
		peers[i] = membership.Peer{Name: n.name, Addrs: []netip.AddrPort{n.port.addr}}
	}
	return peers
}

func (n *simulated) Snapshot() cluster.Snapshot { return *n.snap.Load() }

func (n *simulated) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// hear wakes the node's speaker after news from gossip.
func (n *simulated) hear() {
	if !n.hasty.Load() {
		n.poke()
	}
}

func (s *simulation) pokeAll() {
	for _, n := range s.nodes {
		n.poke()
	}
}

// Suspect notes what the node tells.
func (n *simulated) Suspect(name string, silent time.Duration) {
	n.note(n, name, silent)
	n.Membership.Suspect(name, silent)
}

// suspected notes what the node is told.
func (n *simulated) suspected(name string, silent time.Duration) {
	n.note(n, name, silent)
	n.loop.Suspected(name, silent)
}

// note notes that a node knows of a suspicion.
func (s *simulation) note(knows *simulated, name string, silent time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if about := s.byName[name]; silent > 0 && about.alive {
		s.wrong = append(s.wrong, fmt.Sprintf("%s hears that %s is silent", knows.name, name))
	}
	if c := s.crash; c != nil && c.victim.name == name && silent > 0 {
		after := time.Since(c.at)
		if c.suspected == 0 {
			c.suspected = after
		}
		if c.told[knows] == 0 {
			c.told[knows] = after
		}
	}
}

// see notes who announces an address.
func (s *simulation) see(f lantest.Frame) {
	addr, is := announced(f.Data)
	if !is {
		return
	}
	from := s.byName[f.From[:len(f.From)-len("/eth0")]]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[addr] = from
	if c := s.crash; c != nil && from != c.victim {
		if after, lost := c.announced[addr]; lost && after == 0 {
			c.announced[addr] = time.Since(c.at)
		}
	}
}

// announced returns the address that a gratuitous ARP packet announces. A heartbeat has another operation than a request
// or a reply, and no addresses.
func announced(frame []byte) (netip.Addr, bool) {
	const etherType, operation, sender, target, end = 12, 21, 28, 38, 42
	if len(frame) < end || frame[etherType] != 0x08 || frame[etherType+1] != 0x06 || frame[operation] > 2 {
		return netip.Addr{}, false
	}
	addr := [4]byte(frame[sender:])
	return netip.AddrFrom4(addr), addr == [4]byte(frame[target:end])
}

// each reports whether a condition holds for all running nodes.
func (s *simulation) each(is func(*simulated) bool) bool {
	return !slices.ContainsFunc(s.nodes, func(n *simulated) bool { return n.alive && !is(n) })
}

// eventually waits until something is so, and returns how long it took.
func (s *simulation) eventually(what string, is func() bool) time.Duration {
	s.t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > simulatedPatience {
			s.t.Fatalf("not within %v: %s", simulatedPatience, what)
		}
		if s.hasty.Load() {
			s.pokeAll()
			time.Sleep(hastyInterval)
			continue
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// crashOne cuts the power of a node with addresses, and returns the measurements when all nodes know of the crash.
func (s *simulation) crashOne() *simulatedCrash {
	c := &simulatedCrash{told: map[*simulated]time.Duration{}, announced: map[netip.Addr]time.Duration{}}
	s.mu.Lock()
	owners := map[*simulated]bool{}
	for _, n := range s.owners {
		owners[n] = n.alive
	}
	candidates := slices.DeleteFunc(slices.Clone(s.nodes), func(n *simulated) bool { return !owners[n] })
	c.victim = candidates[s.random.IntN(len(candidates))]
	for a, n := range s.owners {
		if n == c.victim {
			c.announced[a] = 0
		}
	}
	s.mu.Unlock()
	time.Sleep(time.Duration(s.random.Int64N(int64(time.Second)))) // at any moment of everybody's timers
	s.lan.Cut(c.victim.name+"/eth0", true)
	c.victim.port.sever()
	c.at = time.Now()
	s.mu.Lock()
	c.victim.alive, s.crash = false, c
	s.mu.Unlock()
	c.victim.stop()
	s.eventually("all know of the crash, and all that the node had is announced", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, after := range c.announced {
			if after == 0 {
				return false
			}
		}
		return s.each(func(n *simulated) bool {
			return c.told[n] > 0 && !slices.ContainsFunc(n.Members(), func(m membership.Member) bool { return m.Name == c.victim.name })
		})
	})
	c.forgotten = time.Since(c.at)
	return c
}

// traffic counts the bytes that a node sends and receives.
type traffic struct{ datagrams, streams, wire, frames uint64 }

func (n *simulated) traffic() (x traffic) {
	x.datagrams, x.streams = n.port.traffic()
	sent, received := n.lan.Traffic(n.name + "/eth0")
	x.wire, x.frames = sent.Bytes+received.Bytes, sent.Frames+received.Frames
	return x
}

// idle returns the traffic of each node while nothing happens.
func (s *simulation) idle(d time.Duration) []traffic {
	before := make([]traffic, len(s.nodes))
	for i, n := range s.nodes {
		before[i] = n.traffic()
	}
	time.Sleep(d)
	for i, n := range s.nodes {
		x := n.traffic()
		before[i] = traffic{x.datagrams - before[i].datagrams, x.streams - before[i].streams, x.wire - before[i].wire, x.frames - before[i].frames}
	}
	return before
}
