package layer2_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/mdlayher/arp"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// TestHostIsFollowed requires that KernelAddrs and MACs follow the host, with a wake-up for each change.
func TestHostIsFollowed(t *testing.T) {
	var wakes atomic.Int32
	inBubble(t, layer2.Options{Wake: func() { wakes.Add(1) }}, func(t *testing.T, l *lab) {
		want := func(what, addrs, macs string, woken bool) {
			t.Helper()
			before := wakes.Swap(0)
			if got := fmt.Sprint(l.a.KernelAddrs()); got != addrs {
				t.Errorf("%s: kernel addresses %s, want %s", what, got, addrs)
			}
			if got := fmt.Sprint(l.a.MACs()); got != macs {
				t.Errorf("%s: hardware addresses %s, want %s", what, got, macs)
			}
			if (before > 0) != woken {
				t.Errorf("%s: woken %d times", what, before)
			}
		}
		want("start", "[192.0.2.1 2001:db8::1]", "[02:00:00:00:00:01]", true)
		l.node.SetAddrs(vip4)
		synctest.Wait()
		want("an address on the loopback interface", "[192.0.2.1 192.0.2.80 2001:db8::1]", "[02:00:00:00:00:01]", true)
		l.node.SetAddrs()
		l.node.SetMACs(layer2.MAC{2, 5: 9})
		synctest.Wait()
		want("an interface that is not used", "[192.0.2.1 2001:db8::1]", "[02:00:00:00:00:01 02:00:00:00:00:09]", true)
		l.eth0.SetSlaves(layer2.MAC{2, 5: 8})
		synctest.Wait()
		want("a slave", "[192.0.2.1 2001:db8::1]", "[02:00:00:00:00:01 02:00:00:00:00:08 02:00:00:00:00:09]", true)
		l.node.SetMACs(layer2.MAC{2, 5: 9})
		l.a.SetNodeAddrs([]netip.Addr{subnet4.Addr()})
		synctest.Wait()
		want("nothing", "[192.0.2.1 2001:db8::1]", "[02:00:00:00:00:01 02:00:00:00:00:08 02:00:00:00:00:09]", false)
		l.eth0.SetMAC(layer2.MAC{})
		synctest.Wait()
		want("no hardware address", "[192.0.2.1 2001:db8::1]", "[02:00:00:00:00:09]", true)
		if list := l.a.Interfaces(); len(list) != 0 {
			t.Errorf("interfaces %+v, want none without a hardware address", list)
		}
	})
}

// TestClaimsTellAnswersFromAnnouncements requires the right Answer in the claims for a foreign host's frames of each
// form.
func TestClaimsTellAnswersFromAnnouncements(t *testing.T) {
	claims := make(chan layer2.Claim, 100)
	inBubble(t, layer2.Options{Heard: func(c layer2.Claim) { claims <- c }}, func(t *testing.T, l *lab) {
		foreign := l.lan.Host("foreign", lantest.Linux, client4)
		l.a.Set([]layer2.Target{{Addr: vip4, Mode: layer2.Watch}, {Addr: vip6, Mode: layer2.Watch}})
		synctest.Wait()
		everybody := layer2.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		for _, c := range []struct {
			name   string
			send   func()
			answer bool
		}{
			{"announcement of an IPv4 address", func() { foreign.Announce(vip4) }, false},
			{"gratuitous reply", func() {
				foreign.Send(arpOf(arp.OperationReply, everybody, foreign.MAC(), vip4, foreign.MAC(), vip4))
			}, false},
			{"answer", func() {
				foreign.Send(arpOf(arp.OperationReply, l.eth0.MAC(), foreign.MAC(), vip4, l.eth0.MAC(), subnet4.Addr()))
			}, true},
			{"answer to a probe", func() {
				foreign.Send(arpOf(arp.OperationReply, l.eth0.MAC(), foreign.MAC(), vip4, l.eth0.MAC(), netip.IPv4Unspecified()))
			}, true},
			{"question", func() {
				foreign.Send(arpOf(arp.OperationRequest, everybody, foreign.MAC(), vip4, layer2.MAC{}, subnet4.Addr()))
			}, false},
			{"announcement of an IPv6 address", func() { foreign.Announce(vip6) }, false},
			{"solicited advertisement", func() {
				foreign.Own(vip6, true)
				if _, err := l.a.Probe(t.Context(), vip6, layer2.ProbeOptions{}); err != nil {
					t.Error(err)
				}
			}, true},
		} {
			l.pass(2e9) // for the limit on claims
			c.send()
			synctest.Wait()
			select {
			case got := <-claims:
				if got.Answer != c.answer {
					t.Errorf("%s: heard %+v, want Answer %t", c.name, got, c.answer)
				}
			default:
				t.Errorf("%s: not heard", c.name)
			}
		}
	})
}

// TestAnnouncementIsHeardBesideAnswers makes a foreign host answer questions all the time, and announce the address in
// between.
func TestAnnouncementIsHeardBesideAnswers(t *testing.T) {
	claims := make(chan layer2.Claim, 100)
	inBubble(t, layer2.Options{Heard: func(c layer2.Claim) { claims <- c }}, func(t *testing.T, l *lab) {
		foreign := l.lan.Host("foreign", lantest.Linux, client4)
		l.a.Set([]layer2.Target{{Addr: vip4, Mode: layer2.Watch}})
		synctest.Wait()
		for range 10 {
			foreign.Send(arpOf(arp.OperationReply, l.eth0.MAC(), foreign.MAC(), vip4, l.eth0.MAC(), subnet4.Addr()))
			foreign.Announce(vip4)
		}
		synctest.Wait()
		if n := len(claims); n != 2 {
			t.Fatalf("%d claims passed on, want one answer and one announcement", n)
		}
		if first, second := <-claims, <-claims; !first.Answer || second.Answer {
			t.Errorf("heard %+v and %+v, want an answer and an announcement", first, second)
		}
	})
}
