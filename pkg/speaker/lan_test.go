package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/membership"
)

// hearsay is how long news takes from one member to the others, and detection how long it takes to notice a dead one.
const (
	hearsay   = 100 * time.Millisecond
	detection = time.Second
)

// village is a cluster in memory: speakers with their real announcers on one segment, a client, and stand-ins for gossip
// and for the API server.
type village struct {
	t        *testing.T
	lan      *lantest.LAN
	client   *lantest.Host
	speakers map[string]*villager

	mu     sync.Mutex
	snap   cluster.Snapshot
	events []cluster.Event
}

// villager is one node. It implements Peers, Source and the receiver of Events for its speaker.
type villager struct {
	*village
	name      string
	nic       *lantest.NIC
	announcer *layer2.Announcer
	loop      *Speaker
	wake      chan struct{}
	done      chan struct{}
	base      context.Context // what the speaker stands on
	kill      context.CancelFunc
	leaving   context.Context // ends as by SIGTERM
	leave     context.CancelFunc
	settled   bool
	words     int // how often SetState was called
	seen      map[string]hearing
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

// newVillage starts a speaker on each node and waits until all know each other. Each of addrs belongs to a Service.
func newVillage(t *testing.T, names []string, addrs ...netip.Addr) *village {
	cfg, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/64']}\n"))
	if err != nil {
		t.Fatal(err)
	}
	v := &village{t: t, lan: lantest.New(1), speakers: map[string]*villager{}}
	v.client = v.lan.Host("client", lantest.Linux, netip.MustParseAddr("10.0.0.250"))
	v.snap.Config = cfg
	for i, a := range addrs {
		v.snap.Services = append(v.snap.Services, cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: fmt.Sprintf("s%d", i)}, UID: "u", Managed: true, AllocatedFrom: "a",
			Ingress: []netip.Addr{a}, HasServing: true,
		})
	}
	for _, name := range names {
		v.snap.Nodes = append(v.snap.Nodes, cluster.Node{Name: name})
	}
	for i, name := range names {
		v.add(name, i)
	}
	for _, p := range v.speakers {
		go p.run()
	}
	time.Sleep(time.Second)
	synctest.Wait()
	t.Cleanup(func() {
		for _, p := range v.speakers {
			p.kill()
			<-p.done
		}
	})
	return v
}

// add makes a node with a speaker.
func (v *village) add(name string, number int) {
	p := &villager{village: v, name: name, wake: make(chan struct{}, 1), done: make(chan struct{}), seen: map[string]hearing{}}
	log := slog.New(slog.NewTextHandler(v.t.Output(), nil)).With("self", name)
	machine := v.lan.Node(name)
	p.nic = machine.Add("eth0", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", 200+number)), netip.MustParsePrefix("fd00::ff/64"))
	p.announcer = layer2.New(layer2.Options{
		Log: log, Network: machine, Wake: p.poke, Heard: func(c layer2.Claim) { p.loop.Heard(c.Addr) },
	})
	p.loop = New(Options{Self: name, Wake: p.wake, Source: p, Peers: p, Announcer: p.announcer, Event: p.event, Log: log})
	p.base, p.kill = context.WithCancel(context.Background())
	p.leaving, p.leave = context.WithCancel(p.base)
	v.speakers[name] = p
}

// run is the node's speaker, from its start to its end.
func (p *villager) run() {
	defer close(p.done)
	var answering sync.WaitGroup
	answering.Go(func() { p.announcer.Run(p.base) })
	p.loop.Run(p.leaving)
	p.kill()
	answering.Wait()
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
	defer p.mu.Unlock()
	return p.snap
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

// Settled is true once all have had time to hear of each other.
func (p *villager) Settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = p.settled || len(p.seen) == len(p.speakers)
	return p.settled
}

// SetState tells all others, after a moment.
func (p *villager) SetState(state membership.State, links []membership.Link) error {
	p.words++
	me := hearing{membership.Member{Name: p.name, State: state, Links: links}, p.words}
	p.learn(me)
	for _, other := range p.speakers {
		if other != p {
			time.AfterFunc(hearsay, func() { other.learn(me) })
		}
	}
	return nil
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

func (p *villager) forget(name string) {
	p.mu.Lock()
	delete(p.seen, name)
	p.mu.Unlock()
	p.poke()
}

// change changes the cluster and wakes everybody.
func (v *village) change(f func(*cluster.Snapshot)) {
	v.mu.Lock()
	services, nodes := slices.Clone(v.snap.Services), slices.Clone(v.snap.Nodes)
	v.snap.Services, v.snap.Nodes = services, nodes
	f(&v.snap)
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
			if f.From == name+"/eth0" && p.nic.MAC() != mac && !f.Announces(addr) {
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

// TestLeaveIsNeverDark stops the owner politely. A client that checks its entry every 10 ms is answered every time, and
// ends with the successor.
func TestLeaveIsNeverDark(t *testing.T) {
	for _, addr := range []netip.Addr{addr4, addr6} {
		t.Run(addr.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVillage(t, []string{"a", "b", "c"}, addr)
				time.Sleep(10 * time.Second)
				owner := v.only(addr)
				owner.leave()
				began := time.Now()
				time.Sleep(5 * time.Millisecond) // so that no question meets the claim on the wire
				for range 100 {
					asked := time.Now()
					if !v.client.Confirm(addr) || time.Since(asked) > 0 {
						t.Fatalf("nobody answered at once %v after the leave began\n%s", asked.Sub(began), v.lan)
					}
					time.Sleep(10 * time.Millisecond)
				}
				select {
				case <-owner.done:
				default:
					t.Error("the speaker is still there a second after its successor knew")
				}
				if successor := v.only(addr); successor == owner {
					t.Errorf("%s answers after it has left", owner.name)
				}
			})
		})
	}
}

// TestLeaveWithoutSuccessor ends within its bound.
func TestLeaveWithoutSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a"}, addr4)
		v.only(addr4).leave()
		began := time.Now()
		<-v.speakers["a"].done
		if took := time.Since(began); took > leaveBound {
			t.Errorf("leaving took %v", took)
		}
	})
}

// TestCrash takes the owner away without a word.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a", "b", "c"}, addr4)
		owner := v.only(addr4)
		v.lan.Cut(owner.name+"/eth0", true)
		owner.kill()
		died := time.Now()
		for _, p := range v.speakers {
			time.AfterFunc(detection, func() { p.forget(owner.name) })
		}
		time.Sleep(detection)
		synctest.Wait()
		mac, ok := v.client.Neighbor(addr4)
		if !ok || mac == owner.nic.MAC() {
			t.Errorf("%v after the crash the client still has %v of the dead node", time.Since(died), mac)
		}
		v.only(addr4)
	})
}

// TestPartitionHeals has two owners while nobody can hear both, and one as soon as they can.
func TestPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a", "b", "c"}, addr4)
		owner := v.only(addr4)
		v.lan.Cut(owner.name+"/eth0", true)
		for _, p := range v.speakers {
			if p != owner {
				p.forget(owner.name)
				owner.forget(p.name)
			}
		}
		time.Sleep(30 * time.Second)
		if other := v.only(addr4); other == owner {
			t.Fatalf("%s answers although it is cut off", owner.name)
		}
		v.lan.Cut(owner.name+"/eth0", false)
		for _, p := range v.speakers {
			for _, q := range v.speakers {
				p.mu.Lock()
				self := p.seen[p.name]
				p.mu.Unlock()
				q.learn(self)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		// The client was told: it need not ask.
		if mac, _ := v.client.Neighbor(addr4); mac != owner.nic.MAC() {
			t.Errorf("the client has %v, the owner is %v\n%s", mac, owner.nic.MAC(), v.lan)
		}
		if again := v.only(addr4); again != owner {
			t.Errorf("%s answers, not %s, whom the election names", again.name, owner.name)
		}
	})
}

// TestResyncSendsNothing wakes the loops without any news.
func TestResyncSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a", "b"}, addr4, addr6)
		time.Sleep(10 * time.Second)
		frames, events := len(v.lan.Trace()), len(v.told())
		for range 1000 {
			v.change(func(*cluster.Snapshot) {})
			time.Sleep(10 * time.Millisecond)
		}
		if sent := len(v.lan.Trace()) - frames; sent > 0 {
			t.Errorf("1,000 wake-ups without news sent %d frames\n%s", sent, v.lan)
		}
		if told := v.told()[events:]; len(told) > 0 {
			t.Errorf("1,000 wake-ups without news made Events: %v", told)
		}
	})
}

// TestDarkIsTold tells once, by one node, why nobody answers, and only when it lasts.
func TestDarkIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a", "b", "c"}, addr4)
		serving := func(is bool) {
			v.change(func(s *cluster.Snapshot) { s.Services[0].HasServing = is })
		}
		serving(false)
		time.Sleep(darkDelay - time.Millisecond)
		serving(true)
		time.Sleep(time.Second)
		v.only(addr4)
		serving(false)
		time.Sleep(time.Hour)
		var told []cluster.Event
		for _, e := range v.told() {
			if e.Warning {
				told = append(told, e)
			}
		}
		if len(told) != 1 || told[0].Reason != "NoEndpoints" || told[0].Object.Name != "s0" || told[0].Object.UID != "u" {
			t.Errorf("told %+v, want one NoEndpoints on s0", told)
		}
	})
}

// TestGoneServiceIsSilent stops at once when the Service is deleted.
func TestGoneServiceIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a", "b"}, addr4)
		v.only(addr4)
		v.change(func(s *cluster.Snapshot) { s.Services = nil })
		synctest.Wait()
		frames := len(v.lan.Trace())
		time.Sleep(10 * time.Minute)
		if sent := len(v.lan.Trace()) - frames; sent > 0 {
			t.Errorf("%d frames after the Service was gone\n%s", sent, v.lan)
		}
		if owner := v.owner(addr4); owner != "" {
			t.Errorf("%s answers for an address that no Service has", owner)
		}
	})
}

// TestClaimIsDefended has a stranger claim the address over and over. The client is told the truth again, a second after a
// claim and every ten seconds at most.
func TestClaimIsDefended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, []string{"a", "b"}, addr4)
		owner := v.only(addr4)
		time.Sleep(10 * time.Second)
		stranger := v.lan.Host("stranger", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		before := len(v.lan.From(owner.name + "/eth0"))
		stranger.Announce(addr4)
		synctest.Wait()
		if mac, _ := v.client.Neighbor(addr4); mac != stranger.MAC() {
			t.Fatalf("the client has %v, not the stranger's", mac)
		}
		time.Sleep(defendDelay)
		synctest.Wait()
		if mac, _ := v.client.Neighbor(addr4); mac != owner.nic.MAC() {
			t.Errorf("after the defence the client has %v, not the owner's %v\n%s", mac, owner.nic.MAC(), v.lan)
		}
		for range 100 {
			stranger.Announce(addr4)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		rounds := 0
		for _, f := range v.lan.From(owner.name + "/eth0")[before:] {
			if f.Announces(addr4) {
				rounds++
			}
		}
		// Two defences, and the one for the last claim: each is five rounds of two frames.
		if most := 3 * 5 * 2; rounds == 0 || rounds > most {
			t.Errorf("%d frames of defence in 21 s, want some and %d at most", rounds, most)
		}
		v.only(addr4)
	})
}
