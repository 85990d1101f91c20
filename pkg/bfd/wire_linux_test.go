package bfd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/bfd/session"
	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// patient bounds the wait for something that takes milliseconds on an idle machine.
const patient = 30 * time.Second

// slowly is a profile for machines that are busy with other tests: a detection time of 3 s.
var slowly = Profile{ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond,
	DetectMultiplier: 10}

// testMonitor is a Monitor that runs at one end of a network.
type testMonitor struct {
	*Monitor
	t        *testing.T
	events   *events
	registry *prometheus.Registry
	cancel   context.CancelFunc
	ended    chan struct{}
}

func (n *network) start(t *testing.T, end string, targets []Target, adopt []Detached) *testMonitor {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m := &testMonitor{t: t, events: newEvents(), registry: prometheus.NewPedanticRegistry(), cancel: cancel,
		ended: make(chan struct{})}
	m.Monitor = New(Options{Registerer: m.registry, Changed: m.events.add, Adopt: adopt})
	if targets != nil {
		m.Set(targets)
	}
	go func() {
		defer close(m.ended)
		n.in(end, func() {
			if err := m.Run(ctx); err != nil {
				t.Errorf("%s: %v", end, err)
			}
		})
	}()
	t.Cleanup(m.end)
	return m
}

func (m *testMonitor) end() {
	m.cancel()
	<-m.ended
}

// await returns the status once all of it is as wanted.
func (m *testMonitor) await(what string, wanted func(Status) bool) []Status {
	m.t.Helper()
	deadline := time.After(patient)
	for {
		list := m.Status()
		if len(list) > 0 && !slices.ContainsFunc(list, func(s Status) bool { return !wanted(s) }) {
			return list
		}
		select {
		case <-m.events.woken:
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			m.t.Fatalf("not %s: %+v", what, m.Status())
		}
	}
}

func up(s Status) bool { return s.State == Up }

// near is true for base, and for base as a busy process stretches that.
func near(d, base time.Duration) bool {
	for n := range session.MaxStretch + 1 {
		if d == min(base<<n, max(time.Second, base)) {
			return true
		}
	}
	return false
}

// addresses are the two ends of each kind of session.
var addresses = map[string][2]string{
	"IPv4": {"192.0.2.1", "192.0.2.2"}, "IPv6": {"fd00::1", "fd00::2"}, "link-local": {"fe80::1%eth0", "fe80::2%eth0"},
}

// pair returns a target for each end.
func pair(kind string, multihop bool, p Profile) (a, b Target) {
	first, second := netip.MustParseAddr(addresses[kind][0]), netip.MustParseAddr(addresses[kind][1])
	a = Target{Local: first, Remote: second, Multihop: multihop, Profile: p}
	if !multihop {
		a.Interface = "eth0"
	}
	b = a
	b.Local, b.Remote = second, first
	return a, b
}

// TestSessions has sessions of each kind come up, change their profiles without going down, and end by AdminDown.
func TestSessions(t *testing.T) {
	n := newNetwork(t)
	var as, bs []Target
	for kind := range addresses {
		for _, multihop := range []bool{false, true} {
			if multihop && kind == "link-local" {
				continue
			}
			a, b := pair(kind, multihop, slowly)
			a.Profile.MinimumTTL, b.Profile.MinimumTTL = 255, 254
			b.Profile.Passive = kind == "IPv6"
			as, bs = append(as, a), append(bs, b)
		}
	}
	a, b := n.start(t, "a", as, nil), n.start(t, "b", bs, nil)
	a.await("up", up)
	b.await("up", up)
	fast := func(s Status) bool { return s.RemoteState == Up && near(s.DetectionTime/10, slowly.TransmitInterval) }
	for _, s := range a.await("fast", fast) {
		if !near(s.TransmitInterval, slowly.TransmitInterval) || s.Problem != "" ||
			time.Since(s.Since) > patient {
			t.Errorf("%+v", s)
		}
	}
	for i := range as {
		as[i].Profile.TransmitInterval, as[i].Profile.DetectMultiplier = 700*time.Millisecond, 5
	}
	a.Set(as)
	a.await("at the new interval", func(s Status) bool { return up(s) && near(s.TransmitInterval, 700*time.Millisecond) })
	b.await("at the new detection time", func(s Status) bool { return up(s) && near(s.DetectionTime/5, 700*time.Millisecond) })
	for _, m := range []*testMonitor{a, b} {
		for _, s := range m.events.all() {
			if s.State == Down {
				t.Errorf("went down: %+v", s)
			}
		}
	}
	a.Set(as[1:])
	b.await("told AdminDown", func(s Status) bool {
		return s.Remote != as[0].Local || s.Multihop != as[0].Multihop || s.RemoteState == AdminDown
	})
	a.end()
	for _, s := range b.await("told AdminDown", func(s Status) bool { return s.RemoteState == AdminDown }) {
		if s.State != Down || s.Diagnostic != wire.NeighborSignaledDown ||
			s.RemoteDiagnostic != wire.AdministrativelyDown {
			t.Errorf("%+v", s)
		}
	}
}

// TestHandover passes sessions from one Monitor to the next, several times. The peer sees nothing.
func TestHandover(t *testing.T) {
	n := newNetwork(t)
	a1, b1 := pair("IPv4", false, slowly)
	a2, b2 := pair("IPv6", true, slowly)
	a3, b3 := pair("IPv4", true, slowly)
	targets := []Target{a1, a2, a3}
	b := n.start(t, "b", []Target{b1, b2, b3}, nil)
	a := n.start(t, "a", targets, nil)
	a.await("up", up)
	b.await("up", up)
	before := len(b.events.all())
	since := a.Status()[0].Since
	for round := range 5 {
		detached := a.Detach()
		<-a.ended
		if len(detached) != len(targets) || len(detached[0].Files) != 2 {
			t.Fatalf("round %d: %+v", round, detached)
		}
		sent := received(t, b)
		a = n.start(t, "a", nil, detached)
		for _, s := range a.await("adopted", up) {
			if d := s.Since.Sub(since).Abs(); d > time.Minute {
				t.Errorf("since %v, not %v", s.Since, since)
			}
		}
		a.Set(targets)
		// The peer hears all three sessions at once: before an interval has passed on an idle machine, in any case
		// before Down.
		for deadline := time.Now().Add(patient); received(t, b) < sent+3; {
			if time.Now().After(deadline) {
				t.Fatal("the peer hears nothing")
			}
			time.Sleep(time.Millisecond)
		}
	}
	if events := b.events.all(); len(events) != before {
		t.Errorf("the peer saw changes: %+v", events[before:])
	}
	if events := a.events.all(); len(events) != 0 {
		t.Errorf("the adopting end saw changes: %+v", events)
	}
}

// received returns the number of packets that m has accepted.
func received(t *testing.T, m *testMonitor) int {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() != "lanlord_bfd_packets_total" {
			continue
		}
		for _, metric := range f.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetValue() == "received" {
					total += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return int(total)
}

// TestHandoverOfNothing has Detach return what was not used, and Run refuse to begin afterwards.
func TestHandoverOfNothing(t *testing.T) {
	adopt := []Detached{{Target: Target{Interface: "eth7"}}}
	m := New(Options{Adopt: adopt})
	if got := m.Detach(); len(got) != 1 || got[0].Target != adopt[0].Target {
		t.Errorf("%+v", got)
	}
	if err := m.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if got := m.Detach(); got != nil {
		t.Errorf("%+v", got)
	}
}

// TestLinkFails cuts the cable: both ends go down by expiry, and come up again.
func TestLinkFails(t *testing.T) {
	n := newNetwork(t)
	ta, tb := pair("IPv4", false, slowly)
	a, b := n.start(t, "a", []Target{ta}, nil), n.start(t, "b", []Target{tb}, nil)
	a.await("up", up)
	b.await("up", up)
	n.ip("-n " + n.prefix + "a link set eth0 down")
	for _, m := range []*testMonitor{a, b} {
		for _, s := range m.await("down", func(s Status) bool { return s.State == Down }) {
			if s.Diagnostic != wire.DetectionTimeExpired || s.RemoteState != Down || s.DetectionTime != 0 {
				t.Errorf("%+v", s)
			}
		}
	}
	n.ip("-n " + n.prefix + "a link set eth0 up")
	a.await("up", up)
	b.await("up", up)
	if n := (*a.status.Load())[0].counts.changes[Down][wire.DetectionTimeExpired].Load(); n != 1 {
		t.Errorf("%d changes to Down by expiry are counted", n)
	}
}

// TestNewInterface replaces the interface of a link-local session by one with the same name.
func TestNewInterface(t *testing.T) {
	n := newNetwork(t)
	ta, tb := pair("link-local", false, slowly)
	a, b := n.start(t, "a", []Target{ta}, nil), n.start(t, "b", []Target{tb}, nil)
	a.await("up", up)
	b.await("up", up)
	n.ip("-n " + n.prefix + "a link del eth0")
	a.await("down with a problem", func(s Status) bool {
		return s.State == Down && strings.Contains(s.Problem,
			"eth0")
	})
	n.ip("link add eth0 netns " + n.prefix + "a type veth peer name eth0 netns " + n.prefix + "b")
	for i, end := range []string{"a", "b"} {
		n.ip(fmt.Sprintf("-n %s%s link set eth0 addrgenmode none up", n.prefix, end))
		n.ip(fmt.Sprintf("-n %s%s addr add fe80::%d/64 dev eth0 nodad", n.prefix, end, i+1))
	}
	a.await("up without a problem", func(s Status) bool { return up(s) && s.Problem == "" })
	b.await("up", up)
}

// TestRefused sends packets that must not bring a session up, and one that must.
func TestRefused(t *testing.T) {
	n := newNetwork(t)
	target, _ := pair("IPv4", false, slowly)
	far, _ := pair("IPv4", true, slowly)
	far.Profile.MinimumTTL = 200
	n.ip("-n " + n.prefix + "a addr add 198.51.100.1/32 dev lo")
	n.ip("-n " + n.prefix + "b addr add 192.0.2.3/24 dev eth0")
	a := n.start(t, "a", []Target{target, far}, nil)
	a.await("ready", func(s Status) bool { return s.Problem == "" })
	hello := wire.Packet{State: Down, Multiplier: 3, MyDiscriminator: 7, DesiredMinTx: time.Second,
		RequiredMinRx: time.Second}
	send := func(from string, port, ttl int, p wire.Packet) {
		t.Helper()
		n.in("b", func() {
			c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from+":0")),
				net.UDPAddrFromAddrPort(netip.AddrPortFrom(target.Local, uint16(port))))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			setTTL(t, c, ttl)
			var b [wire.Size]byte
			p.Marshal(&b)
			if _, err := c.Write(b[:]); err != nil {
				t.Error(err)
			}
		})
	}
	count := func(v wire.Verdict) int { return int(testutil.ToFloat64(a.metrics.discards[v])) }
	for _, c := range []struct {
		name string
		want wire.Verdict
		send func()
	}{
		{"TTL 254", wire.BadTTL, func() { send("192.0.2.2", portSingleHop, 254, hello) }},
		{"multihop with TTL 199", wire.BadTTL, func() { send("192.0.2.2", portMultihop, 199, hello) }},
		{"another source", wire.UnknownSession, func() { send("192.0.2.3", portSingleHop, 255, hello) }},
		{"another discriminator", wire.UnknownSession, func() {
			p := hello
			p.YourDiscriminator = 1 // the session has it once in 4 billion runs
			send("192.0.2.2", portSingleHop, 255, p)
		}},
		{"my discriminator 0", wire.ZeroDiscriminator, func() {
			p := hello
			p.MyDiscriminator = 0
			send("192.0.2.2",
				portSingleHop, 255, p)
		}},
	} {
		before := count(c.want)
		c.send()
		for deadline := time.Now().Add(patient); count(c.want) == before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not counted as %v", c.name, c.want)
			}
		}
		if list := a.Status(); slices.ContainsFunc(list, func(s Status) bool { return s.State != Down }) {
			t.Errorf("%s: %+v", c.name, list)
		}
	}
	send("192.0.2.2", portSingleHop, 255, hello)
	send("192.0.2.2", portMultihop, 200, hello)
	a.await("in Init", func(s Status) bool { return s.State == Init })
}

// setTTL sets the TTL of the packets of an IPv4 socket.
func setTTL(t *testing.T, c *net.UDPConn, ttl int) {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TTL, ttl) })
	if err := errors.Join(controlErr, err); err != nil {
		t.Error(err)
	}
}
