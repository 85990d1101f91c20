package layer2_test

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// inherit gives the announcer the addresses as already announced by another process.
func (l *lab) inherit(addrs ...netip.Addr) {
	var targets []layer2.Target
	for _, addr := range addrs {
		targets = append(targets, layer2.Target{Addr: addr, Announced: true})
	}
	l.a.Set(targets)
	synctest.Wait()
}

// wantNoFrames fails if the node has sent a frame since the given time.
func (l *lab) wantNoFrames(what string, since time.Duration) {
	l.t.Helper()
	for _, f := range l.lan.From("node/eth0") {
		if f.At >= since {
			l.t.Errorf("%s: sent %s", what, f)
		}
	}
}

func TestInheritedAddressIsAnsweredAndNotAnnounced(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.inherit(vip4, vip6)
		if want := []netip.Addr{groupOf(vip6)}; !slices.Equal(l.eth0.Groups(), want) {
			t.Errorf("in the groups %v, want %v", l.eth0.Groups(), want)
		}
		l.pass(time.Hour)
		l.wantNoFrames("inherited", 0)
		for _, addr := range []netip.Addr{vip4, vip6} {
			if mac, ok := client.Resolve(addr); !ok || mac != l.eth0.MAC() {
				t.Errorf("%s resolves to %s, %t", addr, mac, ok)
			}
		}
	})
}

// TestInheritedAddressesAreRefreshed requires one refresh of each address within the first interval, spread over that
// interval.
func TestInheritedAddressesAreRefreshed(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		vips := []netip.Addr{vip6, free6, netip.MustParseAddr("2001:db8::82"), netip.MustParseAddr("2001:db8::83")}
		l.inherit(vips...)
		l.pass(99 * time.Second) // the interval and its jitter
		var firsts []time.Duration
		for _, addr := range vips {
			times := l.announced("node/eth0", addr, 0)
			if len(times) == 0 || len(times) > 2 || times[0] < time.Second {
				t.Errorf("%s refreshed at %v, want it once within 90 s, and not at the beginning", addr, times)
				continue
			}
			firsts = append(firsts, times[0])
		}
		// The four refreshes are planned at 21, 42, 56 and 77 s, each with a jitter of 9 s.
		if spread := slices.Max(firsts) - slices.Min(firsts); spread < 37*time.Second {
			t.Errorf("refreshes come together: %v", firsts)
		}
	})
}

func TestInheritedAddressIsAnnouncedWhenThereIsAReason(t *testing.T) {
	for name, happens := range map[string]func(l *lab){
		"asked for":    func(l *lab) { l.a.Announce([]netip.Addr{vip4, vip6}) },
		"link up":      func(l *lab) { l.eth0.SetUp(false); synctest.Wait(); l.eth0.SetUp(true) },
		"flap":         func(l *lab) { l.eth0.Flap() },
		"MAC change":   func(l *lab) { l.eth0.SetMAC(layer2.MAC{0x02, 0xbb, 0, 0, 0, 1}) },
		"gone between": func(l *lab) { l.set(); l.set(vip4, vip6) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
				l.inherit(vip4, vip6)
				l.pass(time.Minute)
				l.wantNoFrames("before", 0)
				happens(l)
				l.pass(time.Minute)
				wantTimes(t, l, "node/eth0", vip4, time.Minute)
				wantTimes(t, l, "node/eth0", vip6, time.Minute)
			})
		})
	}
}

// TestInheritedAddressIsAnnouncedOnceItsSocketOpens tests three cases before a socket is open, and breaks the socket
// later.
func TestInheritedAddressIsAnnouncedOnceItsSocketOpens(t *testing.T) {
	for name, happens := range map[string]func(l *lab){
		"nothing":   func(*lab) {},
		"asked for": func(l *lab) { l.a.Announce([]netip.Addr{vip6}) },
		"flap":      func(l *lab) { l.eth0.Flap() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
				l.eth0.SetIPv6(false)
				synctest.Wait()
				l.inherit(vip6)
				happens(l)
				l.pass(time.Minute)
				l.eth0.SetIPv6(true)
				l.pass(time.Minute)
				if name == "nothing" {
					l.wantNoFrames(name, 0)
				} else {
					wantTimes(t, l, "node/eth0", vip6, time.Minute)
				}
				l.eth0.Break(syscall.EIO)
				l.pass(time.Minute)
				wantTimes(t, l, "node/eth0", vip6, 2*time.Minute+100*ms) // after the broken socket
			})
		})
	}
}

// TestInheritedAddressOnALateInterface tests inherited addresses on an interface that comes up, and on an interface
// added later: the other process has not announced the addresses there.
func TestInheritedAddressOnALateInterface(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		down := l.node.Add("eth1", elsewhere4, elsewhere6)
		down.SetUp(false)
		synctest.Wait()
		l.setEverywhere(true, vip4, vip6)
		l.pass(time.Minute)
		down.SetUp(true)
		l.node.Add("eth2", netip.MustParsePrefix("203.0.113.1/24"))
		l.pass(time.Minute)
		l.wantNoFrames("inherited", 0)
		for _, nic := range []string{"node/eth1", "node/eth2"} {
			wantTimes(t, l, nic, vip4, time.Minute)
			wantTimes(t, l, nic, vip6, time.Minute)
		}
	})
}

// TestInheritedBeforeRun calls Set and Announce before the list of interfaces is known.
func TestInheritedBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, layer2.Options{Refresh: -1}, func(a *layer2.Announcer) {
			a.Set([]layer2.Target{{Addr: vip4, Announced: true}, {Addr: vip6, Announced: true}})
			a.Announce([]netip.Addr{vip6})
		})
		l.pass(time.Minute)
		if times := l.announced("node/eth0", vip4, 0); len(times) != 0 {
			t.Errorf("%s announced at %v", vip4, times)
		}
		wantTimes(t, l, "node/eth0", vip6, 0)
	})
}

// TestAnnouncedMattersOnlyWhenNew changes Announced for addresses already in the set.
func TestAnnouncedMattersOnlyWhenNew(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.a.Set([]layer2.Target{{Addr: vip4, Mode: layer2.Watch, Announced: true}, {Addr: vip6}})
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip6, 0)
		l.inherit(vip4, vip6) // the watched address becomes an inherited address
		l.pass(time.Minute)
		l.set(vip4, vip6)
		l.pass(time.Minute)
		l.wantNoFrames("changed", time.Minute)
		l.a.Announce([]netip.Addr{vip6})
		l.pass(100 * ms)
		l.inherit(vip4, vip6) // does not end a schedule that has begun
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip6, 3*time.Minute)
	})
}
