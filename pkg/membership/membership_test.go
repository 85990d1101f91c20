package membership

import (
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMembersMeetAndSeeEachOthersState(t *testing.T) {
	c := newCluster(t)
	a, b, d := c.start("a"), c.start("b"), c.start("d")
	nodes := []*node{a, b, d}
	c.eventually("all know all, and that they are joining", func() bool {
		return all(nodes, func(n *node) bool { return n.count(Joining) == 3 })
	})

	eth0, eth1 := plain("eth0", MAC{2, 0, 0, 0, 0, 1}), plain("eth1", MAC{2, 0, 0, 0, 0, 2})
	eth0.Subnets, eth0.Beacon = prefixes("192.0.2.0/24", "fd00::/64"), netip.MustParseAddr("192.0.2.9")
	if err := b.SetState(Report{State: Ready, Links: []Link{eth1, eth0}}); err != nil {
		t.Fatal(err)
	}
	want := Member{Name: "b", Addr: b.address(), State: Ready, Links: []Link{eth0, eth1}}
	if !want.Has(eth1.MAC) || want.Has(MAC{2}) {
		t.Error("Has does not tell the MAC addresses of links from others")
	}
	if self, _ := b.find("b"); !self.equal(want) {
		t.Errorf("b sees itself as %v at once, want %v", self, want)
	}
	took := c.within(5*time.Second, "all see that b is ready", func() bool {
		return all(nodes, func(n *node) bool { m, _ := n.find("b"); return m.equal(want) })
	})
	t.Logf("a change of state was known to all after %v", took)

	for _, n := range nodes {
		names := []string{}
		for _, m := range n.Members() {
			names = append(names, m.Name)
		}
		if !slices.Equal(names, []string{"a", "b", "d"}) {
			t.Errorf("%s lists %v, want all sorted by name", n.options.Name, names)
		}
	}
	problems, err := testutil.GatherAndLint(a.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	if err := testutil.GatherAndCompare(a.registry, strings.NewReader(`
# HELP lanlord_membership_members Living members by the state they announce, this one included.
# TYPE lanlord_membership_members gauge
lanlord_membership_members{state="joining"} 2
lanlord_membership_members{state="leaving"} 0
lanlord_membership_members{state="ready"} 1
lanlord_membership_members{state="unknown"} 0
`), "lanlord_membership_members"); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(a.events.WithLabelValues("joined")); got != 2 {
		t.Errorf("a counts %v members that joined, want 2", got)
	}
}

func TestPoliteLeaveIsSeenAtOnce(t *testing.T) {
	c := newCluster(t)
	nodes := c.startAll(3)
	leaver, rest := nodes[0], nodes[1:]
	if err := leaver.SetState(Report{State: Leaving}); err != nil {
		t.Fatal(err)
	}
	c.eventually("it is seen as leaving", func() bool {
		return all(rest, func(n *node) bool { return n.count(Leaving) == 1 })
	})
	leaver.stop()
	// The detection of a crash would take a failed probe and at least three probe intervals of suspicion.
	took := c.within(5*time.Second, "the others know that it left", func() bool {
		return all(rest, func(n *node) bool { return len(n.Members()) == 2 })
	})
	t.Logf("a polite leave was known to all after %v", took)
	if took > suspicionMult*probeInterval+2*probeInterval {
		t.Errorf("a polite leave took %v, as long as a crash", took)
	}
	leaver.end()
	if len(leaver.Members()) != 3 {
		t.Errorf("a member that has left sees %v, want what it saw before", leaver.Members())
	}
}

func TestCrashIsSeen(t *testing.T) {
	c := newCluster(t)
	nodes := c.startAll(4)
	c.crash(nodes[2])
	took := c.within(20*time.Second, "the survivors know of the crash", func() bool {
		return all([]*node{nodes[0], nodes[1], nodes[3]}, func(n *node) bool { return len(n.Members()) == 3 })
	})
	t.Logf("a crash was known to all after %v", took)
	if took < suspicionMult*probeInterval {
		t.Errorf("a crash was taken for true after %v, without the time to contradict", took)
	}
}

func TestWrongKeyNeverBecomesMember(t *testing.T) {
	c := newCluster(t)
	nodes := c.startAll(2)
	stranger := c.start("stranger", []byte("another secret of 32 bytes ....."))
	c.eventually("both sides have tried several times", func() bool {
		to, by := c.network.tried(stranger.address())
		return to >= 6 && by >= 6
	})
	for _, n := range nodes {
		if _, found := n.find("stranger"); found {
			t.Errorf("%s counts a member with another key", n.options.Name)
		}
	}
	if len(stranger.Members()) != 1 {
		t.Errorf("with another key the members are %v", stranger.Members())
	}
}

// TestKeysCanBeRotated checks that two members find each other if their keys are one step of a rotation apart.
func TestKeysCanBeRotated(t *testing.T) {
	yesterday, tomorrow := []byte("the secret of yesterday"), []byte("the secret of tomorrow")
	for _, test := range []struct {
		name          string
		first, second [][]byte
	}{
		{"the new key is accepted", [][]byte{yesterday}, [][]byte{yesterday, tomorrow}},
		{"the new key is used", [][]byte{yesterday, tomorrow}, [][]byte{tomorrow, yesterday}},
		{"the old key is dropped", [][]byte{tomorrow, yesterday}, [][]byte{tomorrow}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			a, b := c.start("a", test.first...), c.start("b", test.second...)
			c.eventually("both meet", func() bool { return len(a.Members()) == 2 && len(b.Members()) == 2 })
		})
	}
}

func TestReturnUnderAnotherAddress(t *testing.T) {
	for _, polite := range []bool{true, false} {
		t.Run(map[bool]string{true: "after a leave", false: "after a crash"}[polite], func(t *testing.T) {
			c := newCluster(t)
			nodes := c.startAll(3)
			if polite {
				nodes[2].end()
			} else {
				c.crash(nodes[2])
			}
			// The node starts before the other members know that its previous process is dead.
			back := c.start("node-3")
			took := c.within(30*time.Second, "it is let in", func() bool {
				return all(nodes[:2], func(n *node) bool { m, found := n.find("node-3"); return found && m.Addr == back.address() }) &&
					len(back.Members()) == 3
			})
			t.Logf("let in after %v", took)
		})
	}
}

func TestPartitionHeals(t *testing.T) {
	c := newCluster(t)
	nodes := c.startAll(4)
	for _, n := range nodes[2:] {
		c.network.put(1, n.address().String())
	}
	c.eventually("each side is alone", func() bool {
		return all(nodes, func(n *node) bool { return len(n.Members()) == 2 })
	})
	for _, n := range nodes[2:] {
		c.network.put(0, n.address().String())
	}
	took := c.within(30*time.Second, "all know all again", func() bool {
		return all(nodes, func(n *node) bool { return n.count(Ready) == 4 })
	})
	t.Logf("healed after %v", took)
}

// TestLongPartitionHeals lets the members forget each other completely, as happens some time after a death, so that
// only the list of peers can bring the members together.
func TestLongPartitionHeals(t *testing.T) {
	c := newCluster(t)
	c.memory = time.Millisecond
	nodes := c.startAll(2)
	b := nodes[1]
	c.network.put(1, b.address().String())
	c.eventually("each is alone", func() bool { return all(nodes, func(n *node) bool { return len(n.Members()) == 1 }) })
	// Each round of joining takes longer than the time after which memberlist forgets a dead member.
	to, by := c.network.tried(b.address())
	c.eventually("both sides have tried to join in vain", func() bool {
		nowTo, nowBy := c.network.tried(b.address())
		return nowTo >= to+2 && nowBy >= by+2
	})
	c.network.put(0, b.address().String())
	c.eventually("both meet again", func() bool { return all(nodes, func(n *node) bool { return n.count(Ready) == 2 }) })
}

func TestRunLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	c := newCluster(t)
	nodes := c.startAll(3)
	for _, n := range nodes {
		n.end()
	}
	// memberlist does not wait for a probe in progress, which takes at most eight probe intervals.
	c.eventually("all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestRunSaysWhereItCannotListen(t *testing.T) {
	c := newCluster(t)
	first := c.start("first")
	second, err := New(Options{
		Name: "second", Bind: first.address(), Keys: [][]byte{testKey}, Peers: c.currentPeers,
		Log: c.log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "listen for gossip on "+first.address().String()+": ") ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Errorf("the error is %v", err)
	}
}

func TestSettled(t *testing.T) {
	t.Run("without peers at once", func(t *testing.T) {
		c := newCluster(t)
		alone := c.start("alone")
		c.within(settleBound/2, "it is settled", alone.Settled)
	})
	t.Run("in company at once", func(t *testing.T) {
		c := newCluster(t)
		// No member uses this address.
		c.peers = []Peer{{Name: "nobody", Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}}}
		a, b := c.start("a"), c.start("b")
		if a.Settled() && len(a.Members()) == 1 || b.Settled() && len(b.Members()) == 1 {
			t.Error("settled before anybody was heard")
		}
		c.within(settleBound/2, "both are settled", func() bool { return a.Settled() && b.Settled() })
	})
	t.Run("in vain after a while", func(t *testing.T) {
		c := newCluster(t)
		c.peers = []Peer{{Name: "nobody", Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}}}
		start := time.Now()
		alone := c.start("alone")
		c.eventually("it is settled", alone.Settled)
		if took := time.Since(start); took < settleBound {
			t.Errorf("it takes itself to be alone after %v, want %v at least", took, settleBound)
		}
	})
}

func TestNew(t *testing.T) {
	good := Options{
		Name: "a", Bind: netip.MustParseAddrPort("192.0.2.1:7950"), Keys: [][]byte{testKey},
		Log: slog.New(slog.DiscardHandler),
	}
	for _, test := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"good", func(*Options) {}, ""},
		{"no name", func(o *Options) { o.Name = "" }, "membership: no node name"},
		{"no key", func(o *Options) { o.Keys = nil }, "membership: no gossip key, and gossip is never unencrypted"},
		{"short key", func(o *Options) { o.Keys = [][]byte{testKey, []byte("fifteen bytes..")} },
			"membership: gossip key 2 of 2 has 15 bytes, fewer than 16"},
		{"no address", func(o *Options) { o.Bind = netip.AddrPort{} },
			"membership: gossip address invalid AddrPort is not one that other nodes can reach"},
		{"a second address of the other family", func(o *Options) { o.Also = netip.MustParseAddrPort("[fd00::1]:7950") }, ""},
		{"a second address of the same family", func(o *Options) { o.Also = netip.MustParseAddrPort("192.0.2.2:7950") },
			"membership: second gossip address 192.0.2.2 is not one of the other family that nodes can reach"},
		{"any address", func(o *Options) { o.Bind = netip.MustParseAddrPort("[::]:7950") },
			"membership: gossip address [::]:7950 is not one that other nodes can reach"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := good
			options.Registerer = prometheus.NewRegistry()
			options.Wake = func() { t.Error("New wakes its owner") }
			test.change(&options)
			m, err := New(options)
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want != "" && (err == nil || err.Error() != test.want):
				t.Fatalf("error %v, want %s", err, test.want)
			case test.want == "":
				want := Member{Name: "a", Addr: good.Bind, State: Joining}
				if got := m.Members(); len(got) != 1 || !got[0].equal(want) {
					t.Errorf("before Run the members are %v, want %v", got, want)
				}
			}
		})
	}
	if _, err := New(Options{Name: "a", Bind: good.Bind, Keys: good.Keys, Registerer: failing{}}); err == nil {
		t.Error("metrics that cannot be registered are no error")
	}
}

// failing is a registerer that rejects all collectors.
type failing struct{ prometheus.Registerer }

func (failing) Register(prometheus.Collector) error { return prometheus.AlreadyRegisteredError{} }

// TestSetStateSaysWhatIsLeftOut checks that SetState logs the omitted parts once, and again when other parts are
// omitted.
func TestSetStateSaysWhatIsLeftOut(t *testing.T) {
	m, logged := lone(t)
	var links []Link
	for i := range 60 {
		links = append(links, plain("eth"+strconv.Itoa(i), MAC{2, byte(i)}))
	}
	for _, set := range []struct {
		state State
		links int
	}{{Joining, 5}, {Joining, 59}, {Ready, 59}, {Ready, 60}, {Ready, 60}, {Ready, 5}} {
		if err := m.SetState(Report{State: set.state, Links: links[:set.links]}); err != nil {
			t.Fatal(err)
		}
	}
	const line = `level=WARN msg="gossip has no room for all links of this node; ` +
		`the other speakers see the most important" links=`
	if want := line + "27 subnets=0 macs=0\n" + line + "28 subnets=0 macs=0\n"; logged.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", logged, want)
	}
}

// TestSetStateSaysWhatCannotBeAnnounced checks that SetState logs invalid links once, and again when another link is
// invalid.
func TestSetStateSaysWhatCannotBeAnnounced(t *testing.T) {
	m, logged := lone(t)
	good, zero, group := plain("eth0", MAC{2}), plain("tun0", MAC{}), plain("eth1", MAC{1})
	for _, links := range [][]Link{{good, zero}, {zero, good}, {good}, {good, group}} {
		if err := m.SetState(Report{State: Ready, Links: links}); err != nil {
			t.Fatal(err)
		}
		if got := m.Members()[0].Links; len(got) != 1 || !got[0].Equal(good) {
			t.Errorf("of %v the node announces %v", links, got)
		}
	}
	const line = `level=WARN msg="links of this node cannot be announced to the other speakers" err="link \"`
	want := line + `tun0\": MAC address is all zero"` + "\n" + line + `eth1\": MAC address 01:00:00:00:00:00 is a group address"` + "\n"
	if logged.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", logged, want)
	}
}

func TestSetState(t *testing.T) {
	woken := 0
	m, err := New(Options{
		Name: "a", Bind: netip.MustParseAddrPort("192.0.2.1:7950"), Keys: [][]byte{testKey},
		Wake: func() { woken++ }, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	before := m.Members()
	for range 2 {
		if err := m.SetState(Report{State: Ready, Links: []Link{plain("eth0", MAC{2, 1})}}); err != nil {
			t.Fatal(err)
		}
	}
	if woken != 1 {
		t.Errorf("the same state twice wakes %d times, want once", woken)
	}
	if before[0].State != Joining {
		t.Error("a list that was handed out has changed")
	}
	if err := m.SetState(Report{State: Unknown}); err == nil || err.Error() != "announce this node as unknown: unknown cannot be announced" {
		t.Errorf("SetState(Unknown) returns %v", err)
	}
	if got := m.Members()[0]; got.State != Ready || len(got.Links) != 1 {
		t.Errorf("after a refused state this member is %v, want what it was", got)
	}
}
