package layer2_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

const ms = time.Millisecond

// arpTimes holds the times of both forms of gratuitous ARP, and ndpTimes the times of the advertisement.
var (
	ndpTimes = []time.Duration{0, 200 * ms, 1000 * ms, 2500 * ms, 5000 * ms}
	arpTimes = []time.Duration{0, 0, 200 * ms, 200 * ms, 1000 * ms, 1000 * ms, 2500 * ms, 2500 * ms, 5000 * ms, 5000 * ms}
)

func wantTimes(t *testing.T, l *lab, nic string, addr netip.Addr, since time.Duration) {
	t.Helper()
	want := ndpTimes
	if addr.Is4() {
		want = arpTimes
	}
	if got := l.announced(nic, addr, since); !slices.Equal(got, want) {
		t.Errorf("%s announced on %s at %v, want %v", addr, nic, got, want)
	}
}

func TestNewAddressIsAnnouncedByTheSchedule(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(60 * time.Second)
		wantTimes(t, l, "node/eth0", vip4, 0)
		wantTimes(t, l, "node/eth0", vip6, 0)
	})
}

func TestRefreshComesWithinItsBounds(t *testing.T) {
	const lower, upper = 72 * time.Second, 108 * time.Second
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		l.set(vip6)
		l.pass(time.Hour)
		times := l.announced("node/eth0", vip6, 0)
		if first := times[len(ndpTimes)] - times[len(ndpTimes)-1]; first > 90*time.Second {
			t.Errorf("the first refresh came after %v, want it within 90 s", first)
		}
		times = times[len(ndpTimes):]
		if len(times) < 33 || len(times) > 50 {
			t.Errorf("%d refreshes in an hour, want one each 90 s on average", len(times)-1)
		}
		for i, at := range times[1:] {
			if gap := at - times[i]; gap < lower || gap > upper {
				t.Errorf("refresh %d came after %v, want between %v and %v", i, gap, lower, upper)
			}
		}
	})
}

func TestSetRefreshAppliesToThoseAlreadyPlanned(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip6)
		l.pass(time.Hour)
		wantTimes(t, l, "node/eth0", vip6, 0) // and no further announcements
		l.a.SetRefresh(10 * time.Second)
		synctest.Wait()
		l.pass(time.Minute)
		if n := len(l.announced("node/eth0", vip6, time.Hour)); n < 5 || n > 8 {
			t.Errorf("%d refreshes in a minute, want about 6 at 10 s each", n)
		}
		l.a.SetRefresh(-1)
		l.pass(time.Second)
		before := len(l.lan.Trace())
		l.pass(time.Hour)
		if n := len(l.lan.Trace()) - before; n != 0 {
			t.Errorf("%d frames after the refresh was switched off", n)
		}
	})
}

func TestSameSetSendsNothing(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(time.Minute)
		before := len(l.lan.Trace())
		for range 100 {
			l.set(vip6, vip4, vip6)
			l.pass(time.Second)
		}
		if n := len(l.lan.Trace()) - before; n != 0 {
			t.Errorf("%d frames sent for a set that was the same", n)
		}
	})
}

func TestAdditionLeavesTheRestAlone(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4)
		l.pass(time.Minute)
		l.set(vip4, vip6)
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip4, 0)
		wantTimes(t, l, "node/eth0", vip6, time.Minute)
	})
}

func TestNothingIsSentAfterRemoval(t *testing.T) {
	for _, after := range []time.Duration{100 * ms, 1500 * ms, time.Minute} {
		inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
			client := l.lan.Host("client", lantest.Linux, client4)
			l.set(vip4, vip6)
			l.pass(after)
			l.set()
			before := len(l.lan.From("node/eth0"))
			l.pass(10 * time.Minute)
			for _, addr := range []netip.Addr{vip4, vip6} {
				if mac, ok := client.Resolve(addr); ok {
					t.Errorf("%s is still answered by %s after its removal", addr, mac)
				}
			}
			if n := len(l.lan.From("node/eth0")) - before; n != 0 {
				t.Errorf("removed after %v: %d frames sent", after, n)
			}
			if groups := l.eth0.Groups(); len(groups) != 0 {
				t.Errorf("still in the groups %v", groups)
			}
		})
	}
}

func TestCancelWithdrawsAll(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.set(vip4, vip6)
		if _, ok := client.Resolve(vip4); !ok {
			t.Error("not answered before the announcer was stopped")
		}
		l.stop()
		if l.a.Ready() {
			t.Error("ready after Run has returned")
		}
		client.Forget(vip4)
		before := len(l.lan.From("node/eth0"))
		l.pass(time.Hour)
		if _, ok := client.Resolve(vip4); ok {
			t.Error("answered after Run has returned")
		}
		if n := len(l.lan.From("node/eth0")) - before; n != 0 {
			t.Errorf("%d frames sent after Run has returned", n)
		}
	})
}

func TestAnnounceRepeatsTheScheduleOfWhatIsHeld(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(time.Minute)
		l.a.Announce([]netip.Addr{vip4, netip.MustParseAddr("192.0.2.99")})
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip4, time.Minute)
		if n := len(l.announced("node/eth0", vip6, time.Minute)); n != 0 {
			t.Errorf("%s announced %d times without being asked for", vip6, n)
		}
		if n := len(l.announced("node/eth0", netip.MustParseAddr("192.0.2.99"), 0)); n != 0 {
			t.Errorf("an address that is not held was announced %d times", n)
		}
	})
}

func TestRemovalDuringABurst(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		l.set(manyAddrs(60000)...)
		l.pass(time.Second)
		l.set()
		before := len(l.lan.Trace())
		l.pass(time.Minute)
		if n := len(l.lan.Trace()) - before; n != 0 {
			t.Errorf("%d frames sent after the addresses were removed", n)
		}
	})
}

// manyAddrs returns n addresses outside all subnets of the lab. The announcer announces such addresses too.
func manyAddrs(n int) []netip.Addr {
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i)+1)
		addrs[i] = netip.AddrFrom4(a)
	}
	return addrs
}
