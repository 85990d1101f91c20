package speaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
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

// hearsay is how long news takes from one member to the others by gossip, and telling how long directly; detection is how long
// gossip takes to notice a dead one.
const (
	hearsay   = 100 * time.Millisecond
	telling   = time.Millisecond
	detection = time.Second
)

// village is a cluster in memory: speakers with their real announcers on one segment, a client, and stand-ins for gossip
// and for the API server.
type village struct {
	t        *testing.T
	lan      *lantest.LAN
	client   *lantest.Host
	speakers map[string]*villager
	log      slog.Handler

	mu     sync.Mutex
	snap   cluster.Snapshot
	events []cluster.Event
	// apart are the nodes whose gossip reaches only one another.
	apart map[string]bool
}

// villager is one node. It implements Peers, Source and the receiver of Events for its speaker.
type villager struct {
	*village
	name    string
	machine *lantest.Node
	nic     *lantest.NIC
	wake    chan struct{}

	// What follows is made anew by boot.
	announcer *layer2.Announcer
	loop      *Speaker
	done      chan struct{}
	base      context.Context // what the speaker stands on
	kill      context.CancelFunc
	leaving   context.Context // ends as by SIGTERM
	leave     context.CancelFunc

	proxyless atomic.Bool // whether kube-proxy has no rules on the node
	// mu of the village guards the rest.
	alive   bool
	settled bool
	words   int // how often SetState was called, in all lives
	seen    map[string]hearing
	// stale is the cluster as this node knows it while it is cut off from the API server, nil while it is not.
	stale *cluster.Snapshot
	// behind is true when stale is because the watches lag, which the node does not know.
	behind bool
	// stall is how long the speaker stands still when it looks at the cluster next.
	stall time.Duration
	// unreached lists the nodes that gossip does not reach; a test sets it.
	unreached []membership.Unreached
	// snapped is called whenever the speaker looks at the cluster; nil for nobody who counts.
	snapped func()
}

// hearing is what a node has heard of a member, and which of the member's own words that was.
type hearing struct {
	membership.Member
	number int
}

var (
	addr4 = netip.MustParseAddr("10.0.0.1")
	addr6 = netip.MustParseAddr("fd00::1")
)

const villageConfig = "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/64']}\n"

// newVillage starts a speaker on each node and waits until all know each other. Each of addrs belongs to a Service. more is added
// to the configuration.
func newVillage(t *testing.T, more string, names []string, addrs ...netip.Addr) *village {
	return newVillageOf(t, 1, slog.NewTextHandler(t.Output(), nil), more, names, addrs...)
}

// newVillageOf is newVillage with a seed for the segment and a place for what the speakers log.
func newVillageOf(t *testing.T, seed uint64, log slog.Handler, more string, names []string, addrs ...netip.Addr) *village {
	cfg, err := config.Parse([]byte(villageConfig + more))
	if err != nil {
		t.Fatal(err)
	}
	v := &village{t: t, lan: lantest.New(seed), log: log, speakers: map[string]*villager{}, apart: map[string]bool{}}
	v.client = v.lan.Host("client", lantest.Linux, netip.MustParseAddr("10.0.0.250"))
	v.snap.Config = cfg
	for i, a := range addrs {
		v.snap.Services = append(v.snap.Services, service(fmt.Sprintf("s%d", i), a))
	}
	for i, name := range names {
		v.snap.Nodes = append(v.snap.Nodes, cluster.Node{Name: name})
		p := &villager{village: v, name: name, machine: v.lan.Node(name), wake: make(chan struct{}, 1)}
		p.nic = p.machine.Add("eth0", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", 200+i)), netip.MustParsePrefix(fmt.Sprintf("fd00::ff:%d/64", 200+i)))
		v.speakers[name] = p
	}
	for _, p := range v.speakers {
		p.boot()
	}
	time.Sleep(time.Second)
	synctest.Wait()
	t.Cleanup(func() {
		for _, p := range v.speakers {
			p.loop.HandOver()
			p.kill()
			<-p.done
		}
	})
	return v
}

// service returns a Service that has the address and may be served by any node.
func service(name string, a netip.Addr) *cluster.Service {
	return &cluster.Service{
		Key: cluster.Key{Namespace: "default", Name: name}, UID: "u", Managed: true, AllocatedFrom: "a",
		Ingress: []netip.Addr{a}, HasServing: true,
	}
}

// boot starts the node's speaker, for the first time or again.
func (p *villager) boot() {
	log := slog.New(p.log).With("self", p.name)
	p.done = make(chan struct{})
	var loop *Speaker
	p.announcer = layer2.New(layer2.Options{
		Log: log, Network: p.machine, Wake: p.poke, Stood: p.poke, Heard: func(c layer2.Claim) { loop.Heard(c) },
	})
	loop = New(Options{Self: p.name, Wake: p.wake, Source: p, Peers: p, Announcer: p.announcer, Event: p.event, Log: log, Informed: p.informed,
		Forwards: func() bool { return !p.proxyless.Load() }})
	p.base, p.kill = context.WithCancel(context.Background())
	p.leaving, p.leave = context.WithCancel(p.base)
	p.mu.Lock()
	p.loop, p.alive, p.settled, p.seen = loop, true, false, map[string]hearing{}
	p.mu.Unlock()
	for _, q := range p.speakers {
		if q != p && p.linked(q) {
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

// meet has p hear after a moment what q says of itself.
func (p *villager) meet(q *villager) {
	time.AfterFunc(hearsay, func() {
		q.mu.Lock()
		h, known := q.seen[q.name]
		q.mu.Unlock()
		if known && p.linked(q) {
			p.learn(h)
		}
	})
}

// linked reports whether gossip goes from one node to the other.
func (p *villager) linked(q *villager) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive && q.alive && p.apart[p.name] == p.apart[q.name]
}

// crash takes the node away without a word.
func (p *villager) crash() {
	p.lan.Cut(p.name+"/eth0", true)
	p.die()
}

// die ends the speaker without a word. Gossip notices after a while.
func (p *villager) die() {
	p.mu.Lock()
	p.alive = false
	p.mu.Unlock()
	p.loop.HandOver() // the shortest end there is
	p.kill()
	<-p.done
	p.notice()
}

// gone tells the others that the speaker has left.
func (p *villager) gone() {
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

// notice has each node forget after a while whom it cannot hear.
func (v *village) notice() {
	for _, p := range v.speakers {
		for _, q := range v.speakers {
			if p != q && !p.linked(q) {
				time.AfterFunc(detection, func() { p.forget(q) })
			}
		}
	}
}

// split cuts gossip between the nodes named and the rest, and between none if none is named.
func (v *village) split(names ...string) {
	before := map[[2]*villager]bool{}
	for _, p := range v.speakers {
		for _, q := range v.speakers {
			before[[2]*villager{p, q}] = p.linked(q)
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
		if !linked && pair[0] != pair[1] && pair[0].linked(pair[1]) {
			pair[0].meet(pair[1])
		}
	}
}

func (p *villager) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *villager) event(e cluster.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

// told returns the Events so far.
func (v *village) told() []cluster.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.events)
}

func (p *villager) Snapshot() cluster.Snapshot {
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
	if p.stale != nil {
		return *p.stale
	}
	return p.snap
}

// informed reports whether this node is not cut off from the API server.
func (p *villager) informed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stale == nil || p.behind
}

func (p *villager) Members() []membership.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	members := make([]membership.Member, 0, len(p.seen))
	for _, name := range slices.Sorted(maps.Keys(p.seen)) {
		members = append(members, p.seen[name].Member)
	}
	return members
}

// Settled is true once this node has heard of all whom it can hear.
func (p *villager) Settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	reachable := 0
	for _, q := range p.speakers {
		if q.alive && p.apart[p.name] == p.apart[q.name] {
			reachable++
		}
	}
	p.settled = p.settled || len(p.seen) >= reachable
	return p.settled
}

// SetState tells all others, after a moment.
func (p *villager) SetState(r membership.Report) error {
	r = membership.Fit(r)
	p.mu.Lock()
	p.words++
	me := hearing{membership.Member{Name: p.name, State: r.State, Since: r.Since, Configured: r.Configured, Links: r.Links, MACs: r.MACs}, p.words}
	p.mu.Unlock()
	p.learn(me)
	for _, q := range p.speakers {
		if q != p {
			time.AfterFunc(hearsay, func() {
				if p.linked(q) {
					q.learn(me)
				}
			})
		}
	}
	return nil
}

// Unreached is empty unless a test says otherwise: the test's gossip passes or does not, without a word.
func (p *villager) Unreached() []membership.Unreached {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unreached
}

func (p *villager) Ping(name string) error {
	if q := p.speakers[name]; q == nil || !p.linked(q) {
		time.Sleep(80 * time.Millisecond)
		return errors.New("no answer")
	}
	return nil
}

func (p *villager) Suspect(name string, silent time.Duration) {
	for _, q := range p.speakers {
		if q != p && q.name != name {
			silent := silent
			time.AfterFunc(telling, func() {
				if p.linked(q) {
					if silent > 0 {
						silent += telling
					}
					q.speaker().Suspected(name, silent)
				}
			})
		}
	}
}

func (p *villager) Tell(name string, words [8]uint64) {
	q := p.speakers[name]
	time.AfterFunc(telling, func() {
		if q != nil && p.linked(q) {
			q.speaker().Told(p.name, words)
		}
	})
}

func (p *villager) speaker() *Speaker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loop
}

// learn takes over what is newer than what was heard before.
func (p *villager) learn(h hearing) {
	p.mu.Lock()
	if h.number > p.seen[h.Name].number {
		p.seen[h.Name] = h
	}
	p.mu.Unlock()
	p.poke()
}

// forget takes q off the list, unless it is to be heard again.
func (p *villager) forget(q *villager) {
	if p.linked(q) {
		return
	}
	p.mu.Lock()
	delete(p.seen, q.name)
	p.mu.Unlock()
	p.poke()
}

// strand cuts the named nodes, and no others, off from the API server.
func (v *village) strand(names ...string) {
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

// outdate leaves a node with what it knows of the cluster now, without its knowing that: its watches lag. strand ends that.
func (v *village) outdate(p *villager) {
	v.mu.Lock()
	defer v.mu.Unlock()
	snap := v.snap
	p.stale, p.behind = &snap, true
}

// change changes the cluster and wakes everybody. f may change the Services themselves: they are copies.
func (v *village) change(f func(*cluster.Snapshot)) {
	v.mu.Lock()
	services, nodes := slices.Clone(v.snap.Services), slices.Clone(v.snap.Nodes)
	for i, svc := range services {
		services[i] = new(*svc)
	}
	v.snap.Services, v.snap.Nodes = services, nodes
	f(&v.snap)
	v.snap.Versions.EndpointSlices.Changed++
	v.snap.Versions.EndpointSlices.Complete = v.snap.Versions.EndpointSlices.Changed
	v.mu.Unlock()
	for _, p := range v.speakers {
		p.poke()
	}
}

// owner returns who answers for addr when a host asks that knows nothing, empty if nobody does. It fails the test if
// several do.
func (v *village) owner(addr netip.Addr) string {
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

func (v *village) only(addr netip.Addr) *villager {
	v.t.Helper()
	name := v.owner(addr)
	if v.speakers[name] == nil {
		v.t.Fatalf("%s is answered for by %q\n%s", addr, name, v.lan)
	}
	return v.speakers[name]
}
