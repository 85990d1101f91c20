package layer2_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

func TestLateInterfaceServesAllAddresses(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.setEverywhere(false, vip4, vip6)
		l.pass(time.Minute)
		eth1 := l.node.Add("eth1", elsewhere4, elsewhere6)
		synctest.Wait()
		if list := l.a.Interfaces(); len(list) != 2 || list[1].Name != "eth1" || list[1].MAC != eth1.MAC() {
			t.Errorf("Interfaces() = %+v, want eth1 second", list)
		}
		l.pass(time.Minute)
		for _, addr := range []netip.Addr{vip4, vip6} {
			wantTimes(t, l, "node/eth1", addr, time.Minute)
			wantTimes(t, l, "node/eth0", addr, 0) // and no further announcements
		}
		if want := []netip.Addr{groupOf(vip6)}; !slices.Equal(eth1.Groups(), want) {
			t.Errorf("eth1 is in the groups %v, want %v", eth1.Groups(), want)
		}
	})
}

func TestLateLinkLocalAddress(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.eth0.SetIPv6(false)
		synctest.Wait()
		l.set(vip4, vip6)
		l.pass(1500 * ms)
		if _, ok := client.Resolve(vip6); ok {
			t.Error("IPv6 is answered without a link-local address to answer from")
		}
		l.pass(time.Minute - 1500*ms - 3*time.Second)
		l.eth0.SetIPv6(true)
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip6, time.Minute)
		wantTimes(t, l, "node/eth0", vip4, 0) // the change does not affect the IPv4 address
		if mac, ok := client.Resolve(vip6); !ok || mac != l.eth0.MAC() {
			t.Errorf("%s resolves to %s, %t after the link-local address came", vip6, mac, ok)
		}
	})
}

func TestMACChangeIsAnnouncedAtOnce(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(time.Minute)
		next := layer2.MAC{0x02, 0xbb, 0, 0, 0, 1}
		l.eth0.SetMAC(next)
		l.pass(time.Minute)
		for _, addr := range []netip.Addr{vip4, vip6} {
			wantTimes(t, l, "node/eth0", addr, time.Minute)
		}
		for _, f := range l.lan.From("node/eth0") {
			if f.At >= time.Minute && layer2.MAC(f.Data[6:12]) != next {
				t.Errorf("sent from the old MAC: %s", f)
			}
		}
	})
}

func TestLinkDownAndUp(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(time.Minute)
		l.eth0.SetUp(false)
		synctest.Wait()
		if list := l.a.Interfaces(); len(list) != 1 || list[0].Up {
			t.Errorf("Interfaces() = %+v, want eth0 listed as down", list)
		}
		if l.a.Ready() {
			t.Error("ready without an interface that is up")
		}
		l.pass(time.Hour - time.Minute)
		if n := len(l.announced("node/eth0", vip4, time.Minute)); n != 0 {
			t.Errorf("%d announcements on a link that is down", n)
		}
		l.eth0.SetUp(true)
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip4, time.Hour)
		wantTimes(t, l, "node/eth0", vip6, time.Hour)
	})
}

// TestFlapIsAnnounced tests a link that is up again before the loss of the carrier is visible, for example after a bond
// changes its slave.
func TestFlapIsAnnounced(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(time.Minute)
		attempts := l.node.Attempts()
		l.eth0.Flap()
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip4, time.Minute)
		wantTimes(t, l, "node/eth0", vip6, time.Minute)
		if n := l.node.Attempts() - attempts; n != 0 {
			t.Errorf("%d sockets opened for a link that was never seen down", n)
		}
	})
}

func TestRemovedInterface(t *testing.T) {
	var wakes atomic.Int32
	inBubble(t, layer2.Options{Wake: func() { wakes.Add(1) }}, func(t *testing.T, l *lab) {
		eth1 := l.node.Add("eth1", subnet4, subnet6)
		l.set(vip4, vip6)
		l.pass(time.Minute)
		attempts, before := l.node.Attempts(), wakes.Load()
		eth1.Remove()
		l.pass(time.Minute)
		if list := l.a.Interfaces(); len(list) != 1 || list[0].Name != "eth0" {
			t.Errorf("Interfaces() = %+v, want eth0 alone", list)
		}
		if wakes.Load() == before {
			t.Error("not woken when an interface went")
		}
		if n := l.node.Attempts() - attempts; n > 2 {
			t.Errorf("%d attempts to open a socket on an interface that is gone", n)
		}
		if !l.a.Ready() {
			t.Error("not ready with eth0 left")
		}
	})
}

func TestSocketThatCannotBeOpened(t *testing.T) {
	var log logLines
	inBubble(t, layer2.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.set(vip4)
		l.node.Refuse(fs.ErrPermission)
		l.eth0.Break(errors.New("the cable melted"))
		began := l.node.Attempts()
		l.pass(time.Hour)
		if l.a.Ready() {
			t.Error("ready without a socket")
		}
		// Two sockets, doubling from 0.1 s up to 10 s.
		if n := l.node.Attempts() - began; n < 700 || n > 750 {
			t.Errorf("%d attempts in an hour, want about 2 x 366", n)
		}
		if n := log.count("socket failed"); n != 4 {
			t.Errorf("%d lines about a failing socket, want one for each protocol and kind of failure:\n%s", n, log.String())
		}
		l.node.Refuse(nil)
		l.pass(10 * time.Second)
		if !l.a.Ready() {
			t.Error("not ready 10 s after sockets can be opened again")
		}
		if _, ok := client.Resolve(vip4); !ok {
			t.Error("not answered after the socket was opened again")
		}
	})
}

// TestBrokenSocketLeavesOthersAlone breaks the sockets of one interface once. The sockets reopen, and the other
// interface sends nothing.
func TestBrokenSocketLeavesOthersAlone(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		eth1 := l.node.Add("eth1", elsewhere4, elsewhere6)
		l.setEverywhere(false, vip4, vip6)
		l.pass(time.Minute)
		eth1.Break(syscall.EIO)
		l.pass(time.Minute)
		for _, addr := range []netip.Addr{vip4, vip6} {
			wantTimes(t, l, "node/eth0", addr, 0)
			wantTimes(t, l, "node/eth1", addr, time.Minute+100*ms) // reopened after the first pause
		}
	})
}

func TestGroupsFollowTheSet(t *testing.T) {
	sharing := netip.MustParseAddr("2001:db8:1::80") // the same last 24 bits as vip6
	other := netip.MustParseAddr("2001:db8::81")
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		for _, step := range []struct {
			set  []netip.Addr
			want []netip.Addr
		}{
			{[]netip.Addr{vip4}, nil},
			{[]netip.Addr{vip6, sharing}, []netip.Addr{groupOf(vip6)}},
			{[]netip.Addr{sharing, other}, []netip.Addr{groupOf(vip6), groupOf(other)}},
			{[]netip.Addr{other}, []netip.Addr{groupOf(other)}},
			{nil, nil},
			{[]netip.Addr{vip6}, []netip.Addr{groupOf(vip6)}},
		} {
			l.set(step.set...)
			if got := l.eth0.Groups(); !slices.Equal(got, step.want) {
				t.Errorf("with %v: groups %v, want %v", step.set, got, step.want)
			}
		}
	})
}

func TestAddressGoesWhereItsSubnetIs(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.node.Add("eth1", elsewhere4)
		outside := netip.MustParseAddr("203.0.113.1")
		l.a.Set([]layer2.Target{{Addr: vip4}, {Addr: outside}, {Addr: vip6, Interfaces: []string{"eth[1-9]"}}})
		l.pass(time.Minute)
		for _, c := range []struct {
			addr netip.Addr
			nics []string
		}{
			{vip4, []string{"node/eth0"}},
			{outside, []string{"node/eth0", "node/eth1"}},
			{vip6, []string{"node/eth1"}},
		} {
			for _, nic := range []string{"node/eth0", "node/eth1"} {
				got := len(l.announced(nic, c.addr, 0)) > 0
				if want := slices.Contains(c.nics, nic); got != want {
					t.Errorf("%s announced on %s: %t, want %t", c.addr, nic, got, want)
				}
			}
		}
		l.eth0.SetUp(false)
		l.pass(time.Minute)
		if n := len(l.announced("node/eth1", vip4, 0)); n != 0 {
			t.Errorf("%s was announced in another network while its own was down", vip4)
		}
	})
}

func groupOf(addr netip.Addr) netip.Addr {
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		panic(err)
	}
	return group
}

// logLines collects log lines.
type logLines struct {
	lines atomic.Pointer[[]string]
}

func (l *logLines) Write(b []byte) (int, error) {
	for {
		old := l.lines.Load()
		next := []string{string(b)}
		if old != nil {
			next = append(slices.Clone(*old), string(b))
		}
		if l.lines.CompareAndSwap(old, &next) {
			return len(b), nil
		}
	}
}

func (l *logLines) String() string {
	if lines := l.lines.Load(); lines != nil {
		return strings.Join(*lines, "")
	}
	return ""
}

func (l *logLines) count(part string) int { return strings.Count(l.String(), part) }
