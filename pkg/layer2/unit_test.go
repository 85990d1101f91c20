package layer2

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

func addrsOf(texts ...string) map[netip.Addr]struct{} {
	set := map[netip.Addr]struct{}{}
	for _, s := range texts {
		set[netip.MustParseAddr(s)] = struct{}{}
	}
	return set
}

func TestPlan(t *testing.T) {
	prefix := netip.MustParsePrefix
	interfaces := []Interface{
		{Index: 1, Name: "eth0", Up: true, Prefixes: []netip.Prefix{prefix("192.0.2.7/24"), prefix("2001:db8::7/64")}},
		{Index: 2, Name: "eth1", Up: false, Prefixes: []netip.Prefix{prefix("198.51.100.7/24")}},
		{Index: 3, Name: "bond[0]", Up: true},
	}
	for _, c := range []struct {
		target Target
		want   []int
	}{
		{Target{Addr: netip.MustParseAddr("192.0.2.80")}, []int{1}},
		{Target{Addr: netip.MustParseAddr("2001:db8::80")}, []int{1}},
		{Target{Addr: netip.MustParseAddr("198.51.100.80")}, []int{2}}, // down, but the only link with the subnet
		{Target{Addr: netip.MustParseAddr("203.0.113.80")}, []int{1, 2, 3}},
		{Target{Addr: netip.MustParseAddr("192.0.2.80"), Interfaces: []string{"eth1"}}, []int{2}},
		{Target{Addr: netip.MustParseAddr("192.0.2.80"), Interfaces: []string{"eth?"}}, []int{1, 2}},
		// An exact name comes before a pattern.
		{Target{Addr: netip.MustParseAddr("192.0.2.80"), Interfaces: []string{"bond[0]"}}, []int{3}},
		{Target{Addr: netip.MustParseAddr("192.0.2.80"), Interfaces: []string{"wlan0", "[", "eth0"}}, []int{1}},
		{Target{Addr: netip.MustParseAddr("192.0.2.80"), Interfaces: []string{"wlan0"}}, nil},
	} {
		var got []int
		assigned := plan(slices.Values([]Target{c.target}), newLayout(interfaces, nil))
		for _, i := range interfaces {
			if _, ok := assigned[i.Index][c.target.Addr]; ok {
				got = append(got, i.Index)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v on %v, want %v", c.target, got, c.want)
		}
	}
}

func TestNormalize(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	got := normalize([]Target{
		{Addr: b.WithZone("eth0"), Interfaces: []string{"eth1", "eth0", "eth1"}},
		{},
		{Addr: netip.MustParseAddr("::ffff:192.0.2.1"), Interfaces: []string{"eth0"}},
		{Addr: b, Interfaces: []string{"eth2", "eth0"}},
		{Addr: a},
		{Addr: a, Interfaces: []string{"eth3"}},
	})
	want := []Target{{Addr: a}, {Addr: b, Interfaces: []string{"eth0", "eth1", "eth2"}}}
	if !slices.EqualFunc(got, want, Target.equal) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ old, next, start, stop string }{
		{"", "", "[]", "[]"},
		{"", "10.0.0.2 10.0.0.1", "[10.0.0.1 10.0.0.2]", "[]"},
		{"10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.3", "[10.0.0.3]", "[10.0.0.1]"},
		{"10.0.0.1 ::1", "", "[]", "[10.0.0.1 ::1]"},
	} {
		start, stop := diff(addrsOf(strings.Fields(c.old)...), addrsOf(strings.Fields(c.next)...))
		if got := fmt.Sprint(start, stop); got != c.start+" "+c.stop {
			t.Errorf("diff(%q, %q) = %s, want %s %s", c.old, c.next, got, c.start, c.stop)
		}
	}
}

// TestScheduleOrder requires that first rounds precede repeats, and repeats precede refreshes, however long the others
// have waited.
func TestScheduleOrder(t *testing.T) {
	s, now := newSchedule(time.Second), time.Unix(0, 0)
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	s.start(now, a)
	for range offsets {
		s.sent(now, s.next(now.Add(time.Hour)))
	}
	s.start(now, b)
	s.sent(now, s.next(now))
	now = now.Add(time.Hour)
	s.start(now, c)
	for _, want := range []netip.Addr{c, b} {
		if j := s.next(now); j == nil || j.addr != want {
			t.Fatalf("next is %+v, want %s", j, want)
		}
		s.stop(want)
	}
	if j := s.next(now); j == nil || j.addr != a || j.round() != refreshRound {
		t.Errorf("next is %+v, want the refresh of %s", j, a)
	}
	s.stop(a)
	s.stop(a)
	if at, ok := s.wakeAt(); ok || len(s.jobs) != 0 {
		t.Errorf("an empty schedule wakes at %v with %d jobs", at, len(s.jobs))
	}
}

// TestScheduleRepeatsFollowTheFirst requires that the repeats of an address delayed by the rate keep their distance.
func TestScheduleRepeatsFollowTheFirst(t *testing.T) {
	s, now := newSchedule(-1), time.Unix(0, 0)
	s.start(now, held4)
	sent := now.Add(10 * time.Second)
	s.sent(sent, s.next(sent))
	for _, offset := range offsets[1:] {
		at, ok := s.wakeAt()
		if want := sent.Add(offset); !ok || !at.Equal(want) {
			t.Errorf("repeat at %v, want %v", at, want)
		}
		s.sent(at, s.next(at))
	}
	if at, ok := s.wakeAt(); ok {
		t.Errorf("refresh at %v, although it is off", at)
	}
}

func TestFitness(t *testing.T) {
	const flags = unix.IFF_UP | unix.IFF_BROADCAST | unix.IFF_MULTICAST
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		s    station
		want unfitness
	}{
		{station{"eth0", flags, "ether", mac, ""}, fit},
		{station{"eth0", flags &^ unix.IFF_UP, "ether", mac, ""}, fit}, // a link that is down is still fit
		{station{"bond0", flags, "ether", mac, "vrf"}, fit},
		{station{"eth0", flags, "ether", mac, "bond"}, isSlave},
		{station{"eth0", flags, "ether", mac, "bridge"}, isSlave},
		{station{"eth0", flags, "ether", mac, "openvswitch"}, isSlave},
		{station{"veth1a2b", flags, "ether", mac, ""}, excludedByName},
		{station{"docker0", flags, "ether", mac, ""}, excludedByName},
		{station{"lo", flags | unix.IFF_LOOPBACK, "loopback", mac, ""}, isLoopback},
		{station{"ib0", flags, "infiniband", make(net.HardwareAddr, 20), ""}, isNotEthernet},
		{station{"wg0", flags, "none", nil, ""}, isNotEthernet},
		{station{"odd0", flags, "ether", nil, ""}, hasNoAddress},
		{station{"eth0", flags, "ether", make(net.HardwareAddr, 6), ""}, hasNoAddress},
		{station{"eth0", flags | unix.IFF_NOARP, "ether", mac, ""}, cannotBroadcast},
		{station{"eth0", flags &^ unix.IFF_BROADCAST, "ether", mac, ""}, cannotBroadcast},
		{station{"eth0", flags &^ unix.IFF_MULTICAST, "ether", mac, ""}, cannotBroadcast},
	} {
		if got := c.s.unfit(DefaultExclude()); got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
}

func TestSubnets(t *testing.T) {
	addr := func(text string, flags int) netlink.Addr {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		a.Flags = flags
		return *a
	}
	prefixes, linkLocal := subnets([]netlink.Addr{
		addr("2001:db8::7/64", 0), addr("192.0.2.7/24", 0), addr("192.0.2.7/24", 0),
		addr("fe80::3/64", unix.IFA_F_TENTATIVE), addr("fe80::4/64", unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED), addr("fe80::9/64", 0),
	})
	if got := fmt.Sprint(prefixes, linkLocal); got != "[192.0.2.7/24 2001:db8::7/64] fe80::9" {
		t.Error(got)
	}
}

// TestEnums fails for a value without a name, or with the name of another value.
func TestEnums(t *testing.T) {
	check := func(kind string, n int, name func(int) string) {
		seen := map[string]bool{"unknown": true}
		for i := range n {
			if s := name(i); s == "" || seen[s] {
				t.Errorf("%s %d is called %q, like another", kind, i, s)
			} else {
				seen[s] = true
			}
		}
		if s := name(n); s != "unknown" {
			t.Errorf("%s %d is called %q, and this test does not know it", kind, n, s)
		}
	}
	check("Verdict", int(verdicts), func(i int) string { return Verdict(i).String() })
	check("Protocol", int(protocols), func(i int) string { return Protocol(i).String() })
	check("round", int(rounds), func(i int) string { return round(i).String() })
	check("unfitness", int(isSlave)+1, func(i int) string { return unfitness(i).String() })
	check("Form", int(forms)-1, func(i int) string { return Form(i + 1).String() })
	check("Mode", int(modes), func(i int) string { return Mode(i).String() })
	check("Outcome", int(outcomes), func(i int) string { return Outcome(i).String() })
}

func TestSocketErrors(t *testing.T) {
	inLibrary := &net.OpError{Op: "listen", Net: "packet", Err: os.NewSyscallError("socket", syscall.EPERM)}
	err := error(socketError{operation: "open", protocol: ARP, name: "eth0", err: inLibrary})
	const want = "open ARP socket on eth0: operation not permitted: the container needs the capability NET_RAW"
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, syscall.EPERM) {
		t.Error("the cause is lost")
	}
	err = socketError{operation: "read from", protocol: NDP, name: "eth1", err: os.NewSyscallError("read", syscall.ENETDOWN)}
	if want := "read from NDP socket on eth1: network is down"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestMetricsLint(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	New(Options{Registerer: registry})
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestSnapshotsAreNotShared changes the arguments after the call; the stored values must not change.
func TestSnapshotsAreNotShared(t *testing.T) {
	names := []string{"eth1", "eth0"}
	targets := []Target{{Addr: held4, Interfaces: names}}
	a := New(Options{})
	a.Set(targets)
	want := maps.Collect(a.targets.load().All())
	names[0], targets[0].Addr = "wlan0", free4
	got := maps.Collect(a.targets.load().All())
	if !reflect.DeepEqual(got, want) || !slices.Equal(got[held4].Interfaces, []string{"eth0", "eth1"}) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// fullSocket is a socket with room for a limited number of groups.
type fullSocket struct {
	GroupConn
	room   int
	joined []netip.Addr
}

func (s *fullSocket) Join(group netip.Addr) error {
	if len(s.joined) == s.room {
		return syscall.ENOBUFS
	}
	s.joined = append(s.joined, group)
	return nil
}

// TestGroupsAreTriedAgain requires that a failed group is joined later, at the time of the retry, without a change of
// the set.
func TestGroupsAreTriedAgain(t *testing.T) {
	addrs := byaddr.Of(addrsOf("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"))
	now := time.Unix(0, 0)
	s := &fullSocket{room: 2}
	m := membership{conn: s, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	m.set(now, addrs)
	s.room = 3
	m.retry(now.Add(groupRetry-1), addrs)
	if len(s.joined) != 2 {
		t.Errorf("joined %v before the time", s.joined)
	}
	m.retry(now.Add(groupRetry), addrs)
	if want := []netip.Addr{solicitedNode(netip.MustParseAddr("::1")), solicitedNode(netip.MustParseAddr("::2")),
		solicitedNode(netip.MustParseAddr("::3"))}; !slices.Equal(s.joined, want) {
		t.Errorf("joined %v, want %v", s.joined, want)
	}
	if !m.again.IsZero() {
		t.Error("tried again although nothing is missing")
	}
}
