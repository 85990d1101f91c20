package peers

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/membership"
)

// testCluster is a cluster on one segment, with announcers as in production and a gossip controlled by the test. Each
// node answers for its own probe address. The reports are those of the detector of node "c".
type testCluster struct {
	t        *testing.T
	lan      *lantest.LAN
	detector *Detector
	nics     map[string]*lantest.NIC
	nodes    map[string]*layer2.Announcer

	mu      sync.Mutex
	members map[string]membership.Member
	mute    map[string]bool // nodes whose pings get no answer
	deleted map[string]bool // nodes whose Nodes do not exist any longer
	stall   time.Duration   // additional duration of a probe of node c
	most    time.Duration   // the greatest patience of node c
	reports []report
	late    int
}

// report is a suspicion with the time of its arrival.
type report struct {
	Suspicion
	at time.Time
}

// slowProber is the Prober of a node that is late.
type slowProber struct {
	*layer2.Announcer
	c *testCluster
}

// Probe implements Prober.
func (p slowProber) Probe(ctx context.Context, addr netip.Addr, o layer2.ProbeOptions) (layer2.Finding, error) {
	f, err := p.Announcer.Probe(ctx, addr, o)
	p.c.mu.Lock()
	stall := p.c.stall
	p.c.mu.Unlock()
	time.Sleep(stall)
	return f, err
}

// version selects how the nodes other than c watch.
type version int

const (
	// asking is the version without heartbeats.
	asking version = iota
	// beating is the version with heartbeats.
	beating
)

var bothVersions = map[string]version{"asking": asking, "beating": beating}

// newTestCluster starts the named nodes, and the detector of node c; all nodes with the version beating run a detector.
// The last byte of an address is the first letter of its node.
func newTestCluster(t *testing.T, v version, names ...string) *testCluster {
	c := &testCluster{
		t: t, lan: lantest.New(1), nics: map[string]*lantest.NIC{}, nodes: map[string]*layer2.Announcer{},
		members: map[string]membership.Member{}, mute: map[string]bool{}, deleted: map[string]bool{},
	}
	ctx, stop := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	var others []*Detector
	for _, name := range names {
		machine := c.lan.Node(name)
		c.nics[name] = machine.Add("eth0", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, name[0]}), 24))
		a := layer2.New(layer2.Options{Network: machine})
		c.nodes[name] = a
		a.SetRanges([]layer2.Range{{From: netip.MustParseAddr("10.0.0.150"), To: netip.MustParseAddr("10.0.0.255")}})
		addr := netip.AddrFrom4([4]byte{10, 0, 0, name[0] + 100})
		a.Set([]layer2.Target{{Addr: addr}})
		tasks.Go(func() { a.Run(ctx) })
		c.join(name, membership.Link{
			Name: "eth0", MAC: membership.MAC(c.nics[name].MAC()), Beacon: addr, Subnets: prefixes("10.0.0.0/24"),
		})
		o := DetectorOptions{
			Self: name, Gossip: c, Prober: a, HasNode: c.hasNode, Report: func(Suspicion) {}, Log: slog.New(slog.DiscardHandler),
		}
		if name == "c" {
			o.Prober, o.Report, o.Log = slowProber{a, c}, c.report, slog.New(slog.NewTextHandler(t.Output(), nil))
			o.Hooks = Hooks{
				LateProbe: func() { c.mu.Lock(); defer c.mu.Unlock(); c.late++ },
				Patience:  func(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.most = d },
			}
			c.detector = NewDetector(o)
		} else if v == beating {
			others = append(others, NewDetector(o))
		}
	}
	time.Sleep(time.Second)
	for _, d := range append(others, c.detector) {
		tasks.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); tasks.Wait() })
	time.Sleep(latenessWindow + time.Second + probeInterval/2)
	c.want()
	return c
}

// join lists the node in gossip as ready.
func (c *testCluster) join(name string, links ...membership.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[name] = membership.Member{Name: name, State: membership.Ready, Links: links}
}

// leave removes the node from gossip, and returns the last report of the node.
func (c *testCluster) leave(name string) membership.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[name]
	delete(c.members, name)
	return m
}

// isolate interrupts the wire to a node, and gossip too.
func (c *testCluster) isolate(name string, isolate bool) {
	c.lan.Cut(name+"/eth0", isolate)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute[name] = isolate
}

func (c *testCluster) Members() []membership.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []membership.Member
	for _, name := range slices.Sorted(maps.Keys(c.members)) {
		list = append(list, c.members[name])
	}
	return list
}

func (c *testCluster) Ping(name string) error {
	c.mu.Lock()
	mute := c.mute[name]
	c.mu.Unlock()
	if mute {
		time.Sleep(80 * time.Millisecond)
		return errors.New("no answer")
	}
	return nil
}

func (c *testCluster) hasNode(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.deleted[name]
}

func (c *testCluster) report(x Suspicion) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, report{x, time.Now()})
}

// take returns the reports since the last call.
func (c *testCluster) take() []report {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	reports := c.reports
	c.reports = nil
	return reports
}

// want fails the test unless the given reports have arrived since the last call, in any order: "b" for a suspicion, "b
// alive" for a sign of life. want ignores repeated suspicions.
func (c *testCluster) want(names ...string) {
	c.t.Helper()
	var got []string
	for _, x := range c.take() {
		text := x.Name
		if x.Silent == 0 {
			text += " alive"
		}
		if !slices.Contains(got, text) {
			got = append(got, text)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, names) {
		c.t.Errorf("reported %q, want %q", got, names)
	}
}

// drop forgets the suspicions of the named nodes.
func (c *testCluster) drop(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = slices.DeleteFunc(c.reports, func(x report) bool { return x.Silent > 0 && slices.Contains(names, x.Name) })
}

// detecting exceeds the time to detect any fault, or its end, and lies between two reports of one fault.
const detecting = questionInterval + 2*probeCount*probePause + probeInterval*3/2

// TestDetector injects faults into the neighbours b and d of node c.
func TestDetector(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   func(*testCluster)
		during  []string
		heal    func(*testCluster)
		after   []string
		without bool // node d does not exist
	}{
		{name: "a neighbour crashes and comes back",
			fault: func(c *testCluster) { c.isolate("d", true) }, during: []string{"d"},
			heal: func(c *testCluster) { c.isolate("d", false) }, after: []string{"d alive"}},
		{name: "a node that is no neighbour crashes",
			fault: func(c *testCluster) { c.isolate("f", true) }, heal: func(c *testCluster) { c.isolate("f", false) }},
		{name: "gossip alone is interrupted",
			fault: func(c *testCluster) { c.mu.Lock(); c.mute["d"] = true; c.mu.Unlock() },
			heal:  func(*testCluster) {}},
		{name: "a neighbour is cut off from the wire alone",
			fault: func(c *testCluster) { c.lan.Cut("d/eth0", true) }, during: []string{"d"},
			heal: func(c *testCluster) { c.lan.Cut("d/eth0", false) }, after: []string{"d alive"}},
		{name: "this node is cut off from the wire alone, and suspects nobody",
			fault: func(c *testCluster) { c.lan.Cut("c/eth0", true) },
			heal:  func(c *testCluster) { c.lan.Cut("c/eth0", false) },
			after: []string{"a alive", "b alive", "d alive", "e alive", "f alive", "g alive"}},
		{name: "a neighbour does not hear",
			fault: func(c *testCluster) { c.lan.Deafen("d/eth0", true) }, during: []string{"d"},
			heal: func(c *testCluster) { c.lan.Deafen("d/eth0", false) }, after: []string{"d alive"}},
		{name: "both neighbours crash",
			fault: func(c *testCluster) { c.isolate("b", true); c.isolate("d", true) }, during: []string{"b", "d"},
			heal:  func(c *testCluster) { c.isolate("b", false); c.isolate("d", false) },
			after: []string{"b alive", "d alive"}},
		{name: "three in a row crash",
			fault:  func(c *testCluster) { c.isolate("d", true); c.isolate("e", true); c.isolate("f", true) },
			during: []string{"d", "e", "f"},
			heal:   func(c *testCluster) { c.isolate("d", false); c.isolate("e", false); c.isolate("f", false) },
			after:  []string{"d alive", "e alive", "f alive"}},
		{name: "a neighbour without a probe address crashes",
			fault: func(c *testCluster) { c.join("d"); c.isolate("d", true) }, during: []string{"d"},
			heal: func(c *testCluster) { c.isolate("d", false) }, after: []string{"d alive"}},
		{name: "a neighbour without a probe address loses the wire, which nobody can see",
			fault: func(c *testCluster) { c.join("d"); c.lan.Cut("d/eth0", true) }, heal: func(*testCluster) {}},
		{name: "a neighbour names a probe address of another interface",
			fault: func(c *testCluster) {
				m := c.leave("d")
				m.Links = slices.Clone(m.Links)
				m.Links[0].Subnets = prefixes("10.1.0.0/24")
				c.join("d", m.Links...)
				c.lan.Cut("d/eth0", true)
			}, heal: func(*testCluster) {}},
		{name: "a neighbour has its probe address no longer",
			fault: func(c *testCluster) {
				m := c.leave("d")
				m.Links = slices.Clone(m.Links)
				m.Links[0].Beacon = netip.MustParseAddr("10.0.0.250")
				c.join("d", m.Links...)
			}, during: []string{"d"},
			heal: func(c *testCluster) {
				m := c.leave("d")
				m.Links = slices.Clone(m.Links)
				m.Links[0].Beacon = netip.MustParseAddr("10.0.0.200")
				c.join("d", m.Links...)
			}, after: []string{"d alive"}},
		{name: "a neighbour releases its probe address for another one while it is probed",
			fault: func(c *testCluster) {
				addr := netip.MustParseAddr("10.0.0.250")
				c.nodes["d"].Set([]layer2.Target{{Addr: addr}})
				time.Sleep(2 * probePause)
				m := c.leave("d")
				m.Links = slices.Clone(m.Links)
				m.Links[0].Beacon = addr
				c.join("d", m.Links...)
			}, heal: func(*testCluster) {}},
		{name: "the only neighbour crashes", without: true,
			fault: func(c *testCluster) { c.isolate("b", true) }, during: []string{"b"},
			heal: func(c *testCluster) { c.isolate("b", false) }, after: []string{"b alive"}},
		{name: "the only neighbour is cut off from the wire alone: it may be this node", without: true,
			fault: func(c *testCluster) { c.lan.Cut("b/eth0", true) },
			heal:  func(c *testCluster) { c.lan.Cut("b/eth0", false) },
			after: []string{"b alive"}},
		{name: "this node is slow, and judges nobody",
			fault: func(c *testCluster) {
				c.mu.Lock()
				c.stall = 200 * time.Millisecond
				c.mu.Unlock()
				c.isolate("d", true)
			},
			heal: func(c *testCluster) { c.isolate("d", false) }},
	} {
		for version, v := range bothVersions {
			t.Run(c.name+", "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					names := []string{"a", "b", "c", "d", "e", "f", "g"}
					if c.without {
						names = []string{"b", "c"}
					}
					cl := newTestCluster(t, v, names...)
					c.fault(cl)
					time.Sleep(detecting)
					cl.want(c.during...)
					c.heal(cl)
					time.Sleep(detecting)
					cl.drop(c.during) // reports of probes that had begun
					cl.want(c.after...)
				})
			})
		}
	}
}

// TestDetectionTime checks the times of a detector that asks: a suspicion within 100 ms and 3 times 80 ms of the last answer, a
// repetition each second, and a sign of life soon after the fault.
func TestDetectionTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, asking, "a", "b", "c", "d", "e", "f")
		lastHeard, _ := c.detector.LastHeard("d")
		if ago := time.Since(lastHeard); ago > probeInterval {
			t.Fatalf("d was heard %s ago", ago)
		}
		c.isolate("d", true)
		time.Sleep(3 * time.Second)
		reports := c.take()
		if len(reports) != 3 {
			t.Fatalf("%d reports in 3 s: %v", len(reports), reports)
		}
		for i, x := range reports {
			if x.Name != "d" || x.FromOther || x.LastSign != lastHeard || x.Silent != x.at.Sub(lastHeard) {
				t.Errorf("report %d is %+v, want one of d that was heard %s", i, x, lastHeard)
			}
		}
		if first := reports[0].Silent; first != probeInterval+probeCount*probePause {
			t.Errorf("suspected after %s", first)
		}
		for i := range reports[1:] {
			most := repeatInterval + probeInterval + probeCount*probePause
			if gap := reports[i+1].at.Sub(reports[i].at); gap < repeatInterval || gap > most {
				t.Errorf("repeated after %s", gap)
			}
		}
		if at, ok := c.detector.LastHeard("d"); !ok || at != lastHeard {
			t.Errorf("LastHeard is %s, %t, want %s", at, ok, lastHeard)
		}
		healed := time.Now()
		c.isolate("d", false)
		time.Sleep(time.Second)
		reports = c.take()
		if len(reports) != 1 || reports[0].Silent != 0 {
			t.Fatalf("reported %v after the fault, want one sign of life", reports)
		}
		if after := reports[0].at.Sub(healed); after > probeCount*(probeInterval+probePause) {
			t.Errorf("sign of life after %s", after)
		}
	})
}

// TestGone removes an unreachable neighbour from gossip: the detector reports the return of the neighbour to the wire,
// until its Node is deleted.
func TestGone(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newTestCluster(t, asking, "a", "b", "c", "d", "e", "f")
			c.isolate("d", true)
			time.Sleep(detecting)
			c.want("d")
			c.leave("d")
			c.mu.Lock()
			c.deleted["d"] = deleted
			c.mu.Unlock()
			time.Sleep(5 * time.Second)
			c.want()
			if _, watched := c.detector.LastHeard("d"); watched == deleted {
				t.Errorf("deleted %t, and watched %t", deleted, watched)
			}
			c.isolate("d", false)
			time.Sleep(detecting)
			if deleted {
				c.want()
			} else {
				c.want("d alive")
			}
		})
	}
}

// TestLateProbe counts the inconclusive probes of a late node.
func TestLateProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, asking, "b", "c", "d")
		c.stall = 200 * time.Millisecond
		c.isolate("d", true)
		time.Sleep(detecting)
		c.want()
		if c.mu.Lock(); c.late == 0 {
			t.Error("no probe was late")
		}
		c.mu.Unlock()
	})
}

// TestStopped stops the detector during a probe.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		c := &testCluster{t: t, members: map[string]membership.Member{}, mute: map[string]bool{"d": true}}
		c.join("c")
		c.join("d")
		d := NewDetector(DetectorOptions{
			Self: "c", Gossip: c, Prober: layer2.New(layer2.Options{Network: lantest.New(1).Node("c")}),
			HasNode: c.hasNode, Report: c.report, Log: slog.New(slog.DiscardHandler),
		})
		time.AfterFunc(50*time.Millisecond, stop)
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
		c.want()
	})
}

// TestForgedHeartbeats has a host send heartbeats in the name of a node that has crashed: the question of each second
// finds the crash.
func TestForgedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, beating, "b", "c", "d", "e", "f")
		host := c.lan.Host("forger", lantest.Linux, netip.MustParseAddr("10.0.0.9"))
		to, from := c.nics["c"].MAC(), c.nics["d"].MAC()
		forged := slices.Concat(to[:], from[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 24}, from[:], make([]byte, 4), to[:], make([]byte, 4))
		c.isolate("d", true)
		crashed := time.Now()
		for range 2 * questionInterval / heartbeatInterval {
			host.Send(forged)
			time.Sleep(heartbeatInterval)
		}
		reports := c.take()
		if len(reports) == 0 || reports[0].Name != "d" {
			t.Fatalf("reported %v", reports)
		}
		if most := questionInterval + probeInterval + probeCount*probePause; reports[0].at.Sub(crashed) > most {
			t.Errorf("suspected after %s, want %s at most", reports[0].at.Sub(crashed), most)
		}
	})
}

// TestHeartbeats checks the traffic and the times of detectors that send heartbeats: twenty heartbeats and one question
// a second to each neighbour, and a suspicion soon after the last heartbeat, although the nodes decide at beats.
func TestHeartbeats(t *testing.T) {
	for _, late := range []time.Duration{0, 5 * ms, 200 * ms} {
		synctest.Test(t, func(t *testing.T) {
			c := newTestCluster(t, beating, "b", "c", "d", "e", "f")
			if late > 0 {
				// The next beat of d is late.
				var once sync.Once
				c.nodes["d"].OnBeat(func(time.Time) { once.Do(func() { time.Sleep(heartbeatInterval + late) }) })
				time.Sleep(2 * time.Second)
				c.take()
			}
			sent, _ := c.lan.Traffic("c/eth0")
			time.Sleep(10 * time.Second)
			now, _ := c.lan.Traffic("c/eth0")
			// To two neighbours: 200 heartbeats, 10 questions and 10 answers each.
			if n := now.Frames - sent.Frames; n < 2*(200+10+10)-8 || n > 2*(200+10+10)+8 {
				t.Errorf("%d frames in 10 s", n)
			}
			p := patienceFor(0, late)
			c.mu.Lock()
			most := c.most
			c.mu.Unlock()
			if most != p.total() {
				t.Errorf("the patience is %s, want %s", most, p.total())
			}
			c.isolate("d", true)
			time.Sleep(time.Second)
			reports := c.take()
			if len(reports) != 1 || reports[0].Name != "d" {
				t.Fatalf("reported %v", reports)
			}
			if took := reports[0].Silent; took < p.total() || took > p.total()+heartbeatInterval {
				t.Errorf("suspected %s after the last heartbeat, want %s and up to a beat more", took, p.total())
			}
		})
	}
}
