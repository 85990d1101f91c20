package speaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/membership"
)

// hearsay is the time that a message takes from one member to the others by gossip, and telling the time that a direct
// message takes; detection is the time after which gossip notices a dead member.
const (
	hearsay   = 100 * time.Millisecond
	telling   = time.Millisecond
	detection = time.Second
)

// testCluster is a cluster in memory: speakers with their real announcers on one segment, a client, and stand-ins for gossip
// and for the API server.
type testCluster struct {
	t        *testing.T
	lan      *lantest.LAN
	client   *lantest.Host
	speakers map[string]*testNode
	log      slog.Handler
	proving  bool // whether the nodes probe paths for each other
	// unaudited leaves out the audit of each round.
	unaudited bool

	mu     sync.Mutex
	snap   cluster.Snapshot
	events []cluster.Event
	// apart are the nodes whose gossip reaches only one another. blocked has pairs of nodes: gossip from the first does not reach the second.
	apart   map[string]bool
	blocked map[[2]string]bool
}

// testNode is one node. It implements Peers and Source, and receives the Events of its speaker.
type testNode struct {
	*testCluster
	name    string
	machine *lantest.Node
	nic     *lantest.NIC
	nics    []*lantest.NIC // all of them, nic first
	slaves  []layer2.MAC   // of nic when it is a bond
	wake    chan struct{}

	// routing and predecessor are for the next boot; the zero values for a node without routers and without a process before.
	routing     Routing
	predecessor Predecessor

	// boot makes the following fields anew.
	announcer *layer2.Announcer
	loop      *Speaker
	auditor   *auditor
	done      chan struct{}
	base      context.Context // what the speaker stands on
	kill      context.CancelFunc
	leaving   context.Context // ends as by SIGTERM
	leave     context.CancelFunc

	proxyless atomic.Bool // whether kube-proxy has no rules on the node
	reaches   atomic.Bool // whether another node has reached Services through the node
	// mu of the testCluster guards the rest.
	alive   bool
	settled bool
	words   int // how often SetState was called, in all lives
	// suspicions counts how often this node's detector has called another node silent.
	suspicions int
	seen       map[string]hearing
	// stale is the view of a node that is cut off from the API server; nil for any other node.
	stale *cluster.Snapshot
	// behind is true when stale is because the watches lag, which the node does not know.
	behind bool
	// view changes the node's snapshots of the cluster; nil does not change them.
	view func(*cluster.Snapshot)
	// stall is the duration of a stall of the speaker during its next round.
	stall time.Duration
	// unreached lists the nodes that gossip does not reach; a test sets it.
	unreached []membership.Unreached
	// snapped is called whenever the speaker looks at the cluster; nil for nobody who counts.
	snapped func()
}

// hearing is the newest report of a member that a node has received, with the number of the report.
type hearing struct {
	membership.Member
	number int
}

var (
	addr4 = netip.MustParseAddr("10.0.0.1")
	addr6 = netip.MustParseAddr("fd00::1")

	gossipAddr = netip.MustParseAddrPort("10.0.0.200:7950")
)

// mostAudited is the number of Services from which a short test does without the audit, whose cost grows with the number.
const mostAudited = 100

const testConfig = "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/64']}\n"

// newTestCluster starts a speaker on each node and waits until all know each other. Each of addrs belongs to a Service. more is added
// to the configuration.
func newTestCluster(t *testing.T, more string, names []string, addrs ...netip.Addr) *testCluster {
	return newTestClusterOf(t, 1, slog.NewTextHandler(t.Output(), nil), more, names, addrs...)
}

// newTestClusterOf is newTestCluster with a seed for the segment and a place for what the speakers log.
func newTestClusterOf(t *testing.T, seed uint64, log slog.Handler, more string, names []string, addrs ...netip.Addr) *testCluster {
	v := makeTestCluster(t, seed, log, testConfig+more, names, addrs...)
	v.bootAll()
	return v
}

// makeTestCluster makes the nodes and starts no speaker.
func makeTestCluster(t *testing.T, seed uint64, log slog.Handler, document string, names []string, addrs ...netip.Addr) *testCluster {
	cfg, err := config.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	v := &testCluster{t: t, lan: lantest.New(seed), log: log, speakers: map[string]*testNode{}, apart: map[string]bool{}, blocked: map[[2]string]bool{}}
	v.client = v.lan.Host("client", lantest.Linux, netip.MustParseAddr("10.0.0.250"))
	v.snap.Config = cfg
	v.snap.Versions.Config = cluster.ConfigVersion{Hash: 1, Version: 1}
	for i, a := range addrs {
		v.snap.Services = append(v.snap.Services, service(fmt.Sprintf("s%d", i), a))
	}
	slices.SortFunc(v.snap.Services, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
	for i, name := range names {
		v.snap.Nodes = append(v.snap.Nodes, cluster.Node{Name: name})
		p := &testNode{testCluster: v, name: name, machine: v.lan.Node(name), wake: make(chan struct{}, 1)}
		p.nic = p.machine.Add("eth0", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", 200+i)), netip.MustParsePrefix(fmt.Sprintf("fd00::ff:%d/64", 200+i)))
		p.nics = []*lantest.NIC{p.nic}
		v.speakers[name] = p
	}
	t.Cleanup(func() {
		for _, p := range v.speakers {
			if p.loop != nil {
				p.loop.HandOver()
				p.kill()
				<-p.done
			}
		}
	})
	return v
}

// bootAll starts all speakers at once and waits a second.
func (v *testCluster) bootAll() {
	for _, p := range v.speakers {
		p.boot()
	}
	time.Sleep(time.Second)
	synctest.Wait()
}

// service returns a Service that has the address and may be served by any node.
func service(name string, a netip.Addr) *cluster.Service {
	return &cluster.Service{
		Key: cluster.Key{Namespace: "default", Name: name}, UID: "u", Managed: true, AllocatedFrom: "a",
		Ingress: []netip.Addr{a}, HasServing: true,
	}
}

// boot starts the node's speaker, for the first time or again.
func (p *testNode) boot() {
	log := slog.New(p.log).With("self", p.name)
	p.done = make(chan struct{})
	var loop *Speaker
	p.announcer = layer2.New(layer2.Options{
		Log: log, Network: p.machine, Wake: p.poke, Stood: p.poke, Heard: func(c layer2.Claim) { loop.Heard(c) },
	})
	var gossip Peers = p
	if p.proving {
		gossip = provingNode{p}
	}
	loop = New(Options{Self: p.name, Wake: p.wake, Source: p, Peers: gossip, Announcer: p.announcer, Event: p.event, Log: log, Informed: p.informed,
		Forwards: func() bool { return !p.proxyless.Load() }, Hooks: Hooks{Reached: p.reached}, Routing: p.routing, Predecessor: p.predecessor})
	p.auditor = newAuditor(p.t)
	if !p.unaudited && (*thorough || len(p.snap.Services) < mostAudited) {
		loop.audit = p.auditor.audit
	}
	p.base, p.kill = context.WithCancel(context.Background())
	p.leaving, p.leave = context.WithCancel(p.base)
	p.mu.Lock()
	p.loop, p.alive, p.settled, p.seen = loop, true, false, map[string]hearing{}
	p.mu.Unlock()
	for _, q := range p.speakers {
		if q != p && p.hears(q) {
			p.meet(q)
		}
	}
	go func() {
		defer close(p.done)
		var answering sync.WaitGroup
		answering.Go(func() { p.announcer.Run(p.base) })
		p.loop.Run(p.leaving)
		p.gone()
		p.kill()
		answering.Wait()
	}()
}

// reached ends the wait for kube-proxy, as where nobody answers at its metrics.
func (p *testNode) reached() {
	p.reaches.Store(true)
	p.proxyless.Store(false)
	p.poke()
}

// meet has p hear after a moment what q says of itself.
func (p *testNode) meet(q *testNode) {
	time.AfterFunc(hearsay, func() {
		q.mu.Lock()
		h, known := q.seen[q.name]
		q.mu.Unlock()
		if known && p.hears(q) {
			p.learn(h)
		}
	})
}

// hears reports whether gossip passes from q to p.
func (p *testNode) hears(q *testNode) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive && q.alive && p.apart[p.name] == p.apart[q.name] && !p.blocked[[2]string{q.name, p.name}]
}

// linked reports whether gossip passes between the nodes in both directions.
func (p *testNode) linked(q *testNode) bool { return p.hears(q) && q.hears(p) }

// crash takes the node away without a word.
func (p *testNode) crash() {
	p.lan.Cut(p.name+"/eth0", true)
	p.die()
}

// die ends the speaker without a word. Gossip notices after a while.
func (p *testNode) die() {
	p.mu.Lock()
	p.alive = false
	p.mu.Unlock()
	p.loop.HandOver() // the shortest end there is
	p.kill()
	<-p.done
	p.notice()
}

// gone tells the others that the speaker has left.
func (p *testNode) gone() {
	p.mu.Lock()
	was := p.alive
	p.alive = false
	p.mu.Unlock()
	for _, q := range p.speakers {
		if was && q != p {
			time.AfterFunc(hearsay, func() { q.forget(p) })
		}
	}
}

// notice makes each node forget the unheard members after a while.
func (v *testCluster) notice() {
	for _, p := range v.speakers {
		for _, q := range v.speakers {
			if p != q && !p.hears(q) {
				time.AfterFunc(detection, func() { p.forget(q) })
			}
		}
	}
}

// split cuts gossip between the nodes named and the rest, and between none if none is named.
func (v *testCluster) split(names ...string) {
	before := map[[2]*testNode]bool{}
	for _, p := range v.speakers {
		for _, q := range v.speakers {
			before[[2]*testNode{p, q}] = p.hears(q)
		}
	}
	v.mu.Lock()
	v.apart = map[string]bool{}
	for _, name := range names {
		v.apart[name] = true
	}
	v.mu.Unlock()
	v.notice()
	for pair, linked := range before {
		if !linked && pair[0] != pair[1] && pair[0].hears(pair[1]) {
			pair[0].meet(pair[1])
		}
	}
}

func (p *testNode) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *testNode) event(e cluster.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

// told returns the Events so far.
func (v *testCluster) told() []cluster.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.events)
}

func (p *testNode) Snapshot() cluster.Snapshot {
	p.mu.Lock()
	stall := p.stall
	p.stall = 0
	p.mu.Unlock()
	time.Sleep(stall)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.snapped != nil {
		p.snapped()
	}
	snap := p.snap
	if p.stale != nil {
		snap = *p.stale
	}
	if p.view != nil {
		p.view(&snap)
	}
	return snap
}

// informed reports whether this node is not cut off from the API server.
func (p *testNode) informed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stale == nil || p.behind
}

func (p *testNode) Members() []membership.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	members := make([]membership.Member, 0, len(p.seen))
	for _, name := range slices.Sorted(maps.Keys(p.seen)) {
		members = append(members, p.seen[name].Member)
	}
	return members
}

// Settled is true once this node has heard from every reachable member.
func (p *testNode) Settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	reachable := 0
	for _, q := range p.speakers {
		if q.alive && p.apart[p.name] == p.apart[q.name] && !p.blocked[[2]string{q.name, p.name}] {
			reachable++
		}
	}
	p.settled = p.settled || len(p.seen) >= reachable
	return p.settled
}

// SetState tells all others, after a moment. As in gossip, a newer report replaces an older one that has not arrived yet.
func (p *testNode) SetState(r membership.Report) error {
	r = membership.Fit(r)
	p.mu.Lock()
	p.words++
	me := hearing{membership.Member{Name: p.name, State: r.State, Since: r.Since, Configured: r.Configured, Links: r.Links, MACs: r.MACs}, p.words}
	p.mu.Unlock()
	p.learn(me)
	for _, q := range p.speakers {
		if q != p {
			time.AfterFunc(hearsay, func() {
				p.mu.Lock()
				newest := p.seen[p.name]
				p.mu.Unlock()
				if q.hears(p) {
					q.learn(newest)
				}
			})
		}
	}
	return nil
}

// Unreached returns the nodes with which gossip is blocked.
func (p *testNode) Unreached() (list []membership.Unreached) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unreached != nil {
		return p.unreached
	}
	for _, n := range p.snap.Nodes {
		if p.blocked[[2]string{n.Name, p.name}] || p.blocked[[2]string{p.name, n.Name}] {
			list = append(list, membership.Unreached{Name: n.Name, Addr: gossipAddr})
		}
	}
	return list
}

func (p *testNode) Ping(name string) error {
	if q := p.speakers[name]; q == nil || !p.linked(q) {
		time.Sleep(80 * time.Millisecond)
		return errors.New("no answer")
	}
	return nil
}

func (p *testNode) Suspect(name string, silent time.Duration) {
	if silent > 0 {
		p.mu.Lock()
		p.suspicions++
		p.mu.Unlock()
	}
	for _, q := range p.speakers {
		if q != p && q.name != name {
			silent := silent
			time.AfterFunc(telling, func() {
				if q.hears(p) {
					if silent > 0 {
						silent += telling
					}
					q.speaker().Suspected(name, silent)
				}
			})
		}
	}
}

func (p *testNode) Tell(name string, words [8]uint64) {
	q := p.speakers[name]
	time.AfterFunc(telling, func() {
		if q != nil && q.hears(p) {
			q.speaker().Told(p.name, words)
		}
	})
}

func (p *testNode) speaker() *Speaker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loop
}

// learn stores reports that are newer than the stored ones.
func (p *testNode) learn(h hearing) {
	p.mu.Lock()
	if h.number > p.seen[h.Name].number {
		p.seen[h.Name] = h
	}
	p.mu.Unlock()
	p.poke()
}

// forget takes q off the list, unless it is to be heard again.
func (p *testNode) forget(q *testNode) {
	if p.hears(q) {
		return
	}
	p.mu.Lock()
	delete(p.seen, q.name)
	p.mu.Unlock()
	p.poke()
}

// strand cuts the named nodes, and no others, off from the API server.
func (v *testCluster) strand(names ...string) {
	v.mu.Lock()
	snap := v.snap
	for _, p := range v.speakers {
		p.stale, p.behind = nil, false
		if slices.Contains(names, p.name) {
			p.stale = &snap
		}
	}
	v.mu.Unlock()
	v.change(func(*cluster.Snapshot) {})
}

// outdate stops the watches of a node, which does not notice that. strand ends it.
func (v *testCluster) outdate(p *testNode) {
	v.mu.Lock()
	defer v.mu.Unlock()
	snap := v.snap
	p.stale, p.behind = &snap, true
}

// change changes the cluster and wakes all nodes. f may change the Services themselves, because they are copies. If f
// does not set the version, the change counts as a change of an EndpointSlice.
func (v *testCluster) change(f func(*cluster.Snapshot)) {
	v.mu.Lock()
	was, before := v.snap, v.snap.Versions
	v.snap.Services, v.snap.Nodes = slices.Clone(v.snap.Services), slices.Clone(v.snap.Nodes)
	for i, svc := range v.snap.Services {
		v.snap.Services[i] = new(*svc)
	}
	f(&v.snap)
	share(&was, &v.snap)
	if v.snap.Versions == before {
		advance(&v.snap.Versions.EndpointSlices)
	}
	v.mu.Unlock()
	for _, p := range v.speakers {
		p.poke()
	}
}

// share makes the snapshots share what has not changed, as the snapshots of pkg/kube do.
func share(was, is *cluster.Snapshot) {
	for i, svc := range is.Services {
		if old := was.Service(svc.Key); old != nil && reflect.DeepEqual(old, svc) {
			is.Services[i] = old
		}
	}
	if slices.Equal(was.Services, is.Services) {
		is.Services = was.Services
	}
	if reflect.DeepEqual(was.Nodes, is.Nodes) {
		is.Nodes = was.Nodes
	}
}

// advance notes one more event of a watch.
func advance(s *cluster.Seen) {
	s.Complete++
	s.Changed = s.Complete
}

// owner returns the node that answers for addr to a host with an empty neighbour table, empty for none. owner fails the
// test if several nodes answer.
func (v *testCluster) owner(addr netip.Addr) string {
	v.t.Helper()
	before := len(v.lan.Trace())
	v.client.Forget(addr)
	mac, ok := v.client.Resolve(addr)
	if !ok {
		return ""
	}
	owner := ""
	for name, p := range v.speakers {
		if p.nic.MAC() == mac {
			owner = name
		}
		for _, f := range v.lan.Trace()[before:] {
			if f.From == name+"/eth0" && p.nic.MAC() != mac && f.Answers(addr) {
				v.t.Errorf("%s answers for %s too:\n%s", name, addr, v.lan)
			}
		}
	}
	return owner
}

func (v *testCluster) only(addr netip.Addr) *testNode {
	v.t.Helper()
	name := v.owner(addr)
	if v.speakers[name] == nil {
		v.t.Fatalf("%s is answered for by %q\n%s", addr, name, v.lan)
	}
	return v.speakers[name]
}
