package layer2_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// withStandby runs a test body on a node with two interfaces in one subnet, after both addresses have settled on eth0.
func withStandby(t *testing.T, o layer2.Options, body func(t *testing.T, l *lab, eth1 *lantest.NIC)) {
	t.Helper()
	o.Refresh = -1
	inBubble(t, o, func(t *testing.T, l *lab) {
		eth1 := l.node.Add("eth1", netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
		l.a.SetNodeAddrs([]netip.Addr{subnet4.Addr(), subnet6.Addr()})
		l.a.SetRanges([]layer2.Range{{From: netip.MustParseAddr("192.0.2.0"), To: netip.MustParseAddr("192.0.2.255")}})
		l.set(vip4, vip6)
		l.pass(time.Minute)
		body(t, l, eth1)
	})
}

// answers returns the number of answers for addr that the named interface has sent since the given time.
func (l *lab) answers(name string, addr netip.Addr, since time.Duration) (n int) {
	for _, f := range l.lan.From(name) {
		if f.At >= since && f.Answers(addr) {
			n++
		}
	}
	return n
}

// wantOneAnswer asks for both addresses and requires one answer for each, from the named interface.
func wantOneAnswer(t *testing.T, l *lab, client *lantest.Host, nic *lantest.NIC, name string) {
	t.Helper()
	l.pass(time.Second)
	since := time.Since(l.lan.Began())
	for _, addr := range []netip.Addr{vip4, vip6} {
		client.Forget(addr)
		if mac, ok := client.Resolve(addr); !ok || mac != nic.MAC() {
			t.Errorf("%s resolves to %s, %t, want %s of %s", addr, mac, ok, nic.MAC(), name)
		}
		synctest.Wait()
		for _, other := range []string{"node/eth0", "node/eth1"} {
			want := 0
			if other == name {
				want = 1
			}
			if n := l.answers(other, addr, since); n != want {
				t.Errorf("%d answers for %s on %s, want %d", n, addr, other, want)
			}
		}
	}
}

// TestStandbyIsSilent requires silence of the second interface: no answer, no announcement, no group, no claim, no
// probe.
func TestStandbyIsSilent(t *testing.T) {
	claims := make(chan layer2.Claim, 100)
	withStandby(t, layer2.Options{Heard: func(c layer2.Claim) { claims <- c }}, func(t *testing.T, l *lab, eth1 *lantest.NIC) {
		client := l.lan.Host("client", lantest.Linux, client4)
		wantOneAnswer(t, l, client, l.eth0, "node/eth0")
		if got := l.a.Answering(vip4); !slices.Equal(got, []string{"eth0"}) {
			t.Errorf("%s is answered on %v, want eth0", vip4, got)
		}
		f, err := l.a.Probe(t.Context(), netip.MustParseAddr("192.0.2.99"), layer2.ProbeOptions{})
		if err != nil || f.Outcome != layer2.Silent || !slices.Equal(f.Asked, []string{"eth0"}) {
			t.Errorf("probe: %+v, %v, want a question on eth0 alone", f, err)
		}
		if frames := l.lan.From("node/eth1"); len(frames) != 0 {
			t.Errorf("the interface that stands by sent %v", frames)
		}
		if groups := eth1.Groups(); len(groups) != 0 {
			t.Errorf("the interface that stands by is in the groups %v", groups)
		}
		if n := len(claims); n != 0 {
			t.Errorf("%d claims heard of this node's own interfaces", n)
		}
	})
}

// TestOwnReplyOnStandbyIsNotForeign probes an address that this node's kernel has on the other interface.
func TestOwnReplyOnStandbyIsNotForeign(t *testing.T) {
	withStandby(t, layer2.Options{}, func(t *testing.T, l *lab, eth1 *lantest.NIC) {
		own := netip.MustParseAddr("192.0.2.3")
		l.node.SetAddrs(own)
		synctest.Wait()
		f, err := l.a.Probe(t.Context(), own, layer2.ProbeOptions{})
		if err != nil || f.Outcome != layer2.Silent {
			t.Errorf("probe: %+v, %v, want silence: the answer came from this node", f, err)
		}
		if l.answers("node/eth1", own, 0) == 0 {
			t.Error("the kernel did not answer on eth1, so that this test proves nothing")
		}
	})
}

// TestStandbyTakesOver removes the serving interface in every way, and restores the interface.
func TestStandbyTakesOver(t *testing.T) {
	for name, c := range map[string]struct{ away, back func(l *lab) }{
		"carrier": {func(l *lab) { l.eth0.SetUp(false) }, func(l *lab) { l.eth0.SetUp(true) }},
		"subnet":  {func(l *lab) { l.eth0.SetPrefixes() }, func(l *lab) { l.eth0.SetPrefixes(subnet4, subnet6) }},
		"Node's address": {
			func(l *lab) { l.a.SetNodeAddrs([]netip.Addr{netip.MustParseAddr("192.0.2.2")}) },
			func(l *lab) { l.a.SetNodeAddrs([]netip.Addr{subnet4.Addr()}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			withStandby(t, layer2.Options{}, func(t *testing.T, l *lab, eth1 *lantest.NIC) {
				client := l.lan.Host("client", lantest.Linux, client4)
				wantOneAnswer(t, l, client, l.eth0, "node/eth0")
				c.away(l)
				synctest.Wait()
				began := time.Since(l.lan.Began())
				if mac, _ := client.Neighbor(vip4); mac != eth1.MAC() {
					t.Errorf("the client was not told at once: %s at %s", vip4, mac)
				}
				l.pass(time.Minute)
				wantTimes(t, l, "node/eth1", vip4, began)
				wantTimes(t, l, "node/eth1", vip6, began)
				wantOneAnswer(t, l, client, eth1, "node/eth1")
				c.back(l)
				synctest.Wait()
				began = time.Since(l.lan.Began())
				l.pass(time.Minute)
				wantTimes(t, l, "node/eth0", vip4, began)
				wantTimes(t, l, "node/eth0", vip6, began)
				if n := len(l.announced("node/eth1", vip4, began)); n != 0 {
					t.Errorf("%d announcements on the interface that stands by again", n)
				}
				wantOneAnswer(t, l, client, l.eth0, "node/eth0")
			})
		})
	}
}

// TestStandbyTakesOverForGood removes the serving interface.
func TestStandbyTakesOverForGood(t *testing.T) {
	withStandby(t, layer2.Options{}, func(t *testing.T, l *lab, eth1 *lantest.NIC) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.eth0.Remove()
		synctest.Wait()
		wantOneAnswer(t, l, client, eth1, "node/eth1")
	})
}

// TestServingInterfaceStaysWithOthers requires that no frame is sent and no socket closed when a standby interface
// comes, goes or changes.
func TestServingInterfaceStaysWithOthers(t *testing.T) {
	withStandby(t, layer2.Options{}, func(t *testing.T, l *lab, eth1 *lantest.NIC) {
		attempts := l.node.Attempts()
		eth1.SetUp(false)
		l.pass(time.Minute)
		eth1.SetUp(true)
		eth1.Flap()
		l.pass(time.Minute)
		eth1.Remove()
		l.pass(time.Minute)
		l.a.SetNodeAddrs([]netip.Addr{subnet4.Addr()})
		l.pass(time.Minute)
		l.wantNoFrames("the other interface changed", time.Minute)
		if n := l.node.Attempts() - attempts; n > 2 {
			t.Errorf("%d sockets opened, want those of eth1 alone", n)
		}
	})
}

// TestBondSendsAsItsSlaves tests the replies of a bond in mode balance-alb, as seen by a second node and by the bond
// itself.
func TestBondSendsAsItsSlaves(t *testing.T) {
	claims := make(chan layer2.Claim, 100)
	inBubble(t, layer2.Options{Heard: func(c layer2.Claim) { claims <- c }}, func(t *testing.T, l *lab) {
		slaves := []layer2.MAC{{2, 0xaa, 5: 1}, {2, 0xaa, 5: 2}}
		l.eth0.SetSlaves(slaves...)
		client := l.lan.Host("client", lantest.Linux, client4)
		l.set(vip4)
		l.pass(time.Minute)
		client.Forget(vip4)
		if mac, ok := client.Resolve(vip4); !ok || mac != slaves[1] {
			t.Errorf("%s resolves to %s, %t, want a slave's address", vip4, mac, ok)
		}
		l.a.SetPing(true)
		synctest.Wait()
		if !client.Confirm(vip4) {
			t.Error("a neighbour that asks the slave's address gets no answer")
		}
		if _, ok := client.Ping(vip4, 1); !ok {
			t.Error("a ping to the slave's address gets no answer")
		}
		if got := l.a.Interfaces()[0]; got.MAC != l.eth0.MAC() || !slices.Equal(got.MACs, slaves) {
			t.Errorf("interface %+v, want the slaves %v", got, slaves)
		}
		for _, m := range slaves {
			client.Send(arpOf(arp.OperationReply, l.eth0.MAC(), m, vip4, l.eth0.MAC(), subnet4.Addr()))
			client.Send(arpOf(arp.OperationRequest, l.eth0.MAC(), m, vip4, layer2.MAC{}, vip4))
		}
		synctest.Wait()
		if n := len(claims); n != 0 {
			t.Errorf("%d claims heard of this node's own bond: %+v", n, <-claims)
		}
		l.eth0.SetSlaves()
		l.pass(time.Minute)
		client.Send(arpOf(arp.OperationReply, l.eth0.MAC(), slaves[0], vip4, l.eth0.MAC(), subnet4.Addr()))
		synctest.Wait()
		if n := len(claims); n != 1 {
			t.Errorf("%d claims heard of an address that is no slave's any more, want 1", n)
		}
	})
}
