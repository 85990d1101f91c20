package lantest

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
)

var (
	addr4 = netip.MustParseAddr("192.0.2.80")
	addr6 = netip.MustParseAddr("2001:db8::80")
	first = layer2.MAC{2, 1, 0, 0, 0, 1}
	other = layer2.MAC{2, 1, 0, 0, 0, 2}
)

// TestARPCache tests whether each kind of host accepts a new hardware address for a cached address, for every form of
// ARP packet.
func TestARPCache(t *testing.T) {
	host4, nobody := netip.MustParseAddr("192.0.2.9"), layer2.MAC{}
	for _, c := range []struct {
		name  string
		after time.Duration // time since the last change of the entry
		frame func(h *Host) []byte
		takes map[Kind]bool
	}{
		{"gratuitous request", 0, func(*Host) []byte {
			return arpFrame(arp.OperationRequest, broadcast, other, addr4, nobody, addr4)
		}, map[Kind]bool{Linux: true, Junos: true}},
		{"gratuitous reply", 0, func(*Host) []byte {
			return arpFrame(arp.OperationReply, broadcast, other, addr4, other, addr4)
		}, map[Kind]bool{Linux: true}},
		{"gratuitous reply with another target, at once", 0, func(*Host) []byte {
			return arpFrame(arp.OperationReply, broadcast, other, addr4, broadcast, addr4)
		}, nil},
		{"gratuitous reply with another target, later", 2 * time.Second, func(*Host) []byte {
			return arpFrame(arp.OperationReply, broadcast, other, addr4, broadcast, addr4)
		}, map[Kind]bool{Linux: true}},
		{"request for the host", 0, func(h *Host) []byte {
			return arpFrame(arp.OperationRequest, broadcast, other, addr4, nobody, h.ip4)
		}, map[Kind]bool{Linux: true, Junos: true}},
		{"reply to another", 0, func(*Host) []byte {
			return arpFrame(arp.OperationReply, other, other, addr4, other, host4)
		}, nil},
	} {
		for _, kind := range []Kind{Linux, Junos} {
			synctest.Test(t, func(t *testing.T) {
				l := New(1)
				h := l.Host("host", kind, host4)
				sender := l.Host("sender", Linux, netip.MustParseAddr("192.0.2.10"))
				h.lan.mu.Lock()
				h.learn(addr4, first)
				h.lan.mu.Unlock()
				time.Sleep(c.after)
				sender.Send(c.frame(h))
				mac, _ := h.Neighbor(addr4)
				if took := mac == other; took != c.takes[kind] {
					t.Errorf("%s: %s takes it: %t, want %t", c.name, kind, took, c.takes[kind])
				}
			})
		}
	}
}

func TestNDPCache(t *testing.T) {
	na := func(solicited, override bool, options ...ndp.Option) ndp.Message {
		return &ndp.NeighborAdvertisement{Solicited: solicited, Override: override, TargetAddress: addr6, Options: options}
	}
	option := &ndp.LinkLayerAddress{Direction: ndp.Target, Addr: other[:]}
	for _, c := range []struct {
		name    string
		message ndp.Message
		takes   bool
	}{
		{"override", na(false, true, option), true},
		{"no override", na(false, false, option), false},
		{"solicited, no override", na(true, false, option), false},
		{"no option", na(false, true), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := New(1)
			h := l.Host("host", Linux, netip.MustParseAddr("192.0.2.9"))
			sender := l.Host("sender", Linux, netip.MustParseAddr("192.0.2.10"))
			frame := NDPFrame(groupMAC(allNodes), other, addr6, allNodes, c.message)
			sender.Send(frame)
			if mac, ok := h.Neighbor(addr6); ok {
				t.Errorf("%s: an entry was made of nothing: %s", c.name, mac)
			}
			h.lan.mu.Lock()
			h.learn(addr6, first)
			h.lan.mu.Unlock()
			sender.Send(frame)
			mac, _ := h.Neighbor(addr6)
			if took := mac == other; took != c.takes {
				t.Errorf("%s: taken: %t, want %t", c.name, took, c.takes)
			}
		})
	}
}

// TestHosts tests that two hosts resolve and confirm each other and detect a duplicate, and how long each step takes.
func TestHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		a := l.Host("a", Linux, netip.MustParseAddr("192.0.2.9"))
		b := l.Host("b", Junos, netip.MustParseAddr("192.0.2.10"))
		b.Own(addr6, true)
		for _, addr := range []netip.Addr{b.IP4(), b.LinkLocal(), addr6} {
			if mac, ok := a.Resolve(addr); !ok || mac != b.MAC() {
				t.Errorf("%s resolves to %s, %t", addr, mac, ok)
			}
			if mac, ok := a.Probe(addr); !ok || mac != b.MAC() {
				t.Errorf("%s is not detected as taken: %s", addr, mac)
			}
			if !a.Confirm(addr) {
				t.Errorf("%s is not confirmed", addr)
			}
		}
		if d := time.Since(l.began); d != 0 {
			t.Errorf("answers took %v", d)
		}
		l.Cut("b", true)
		if a.Confirm(addr6) {
			t.Error("confirmed through a cut link")
		}
		if _, ok := a.Neighbor(addr6); ok {
			t.Error("the entry stays although nobody confirmed it")
		}
		if _, ok := a.Probe(addr4); ok {
			t.Error("an address of nobody is taken")
		}
		if d := time.Since(l.began); d != 6*time.Second {
			t.Errorf("two searches in vain took %v, want 2 x 3 s", d)
		}
	})
}

// TestSwitch tests to which links the switch forwards frames.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		a := l.Host("a", Linux, netip.MustParseAddr("192.0.2.9"))
		b := l.Host("b", Linux, netip.MustParseAddr("192.0.2.10"))
		l.Host("c", Linux, netip.MustParseAddr("192.0.2.11"))
		nic := l.Node("node").Add("eth0")
		last := func() string { f := l.Trace(); return strings.Join(f[len(f)-1].To, " ") }
		unicast := arpFrame(arp.OperationReply, b.MAC(), a.MAC(), a.IP4(), b.MAC(), b.IP4())
		a.Send(unicast)
		if got := last(); got != "b c node/eth0" {
			t.Errorf("to a station not yet learned: [%s], want a flood", got)
		}
		b.Announce(b.IP4())
		if got := last(); got != "a c node/eth0" {
			t.Errorf("broadcast: [%s]", got)
		}
		a.Send(unicast)
		if got := last(); got != "b" {
			t.Errorf("to a station that was learned: [%s]", got)
		}
		group := solicitedNode(addr6)
		ns := NDPFrame(groupMAC(group), a.MAC(), a.LinkLocal(), group, &ndp.NeighborSolicitation{TargetAddress: addr6})
		a.Send(ns)
		if got := last(); got != "b c" {
			t.Errorf("to a group that the node is not in: [%s]", got)
		}
		conn, err := nic.node.ListenNDP(nic.node.hostState().Interfaces[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Join(group); err != nil {
			t.Fatal(err)
		}
		a.Send(ns)
		if got := last(); got != "b c node/eth0" {
			t.Errorf("to a group that the node is in: [%s]", got)
		}
		if conn.Join(group) == nil || conn.Leave(solicitedNode(netip.IPv6Loopback())) == nil {
			t.Error("joined twice, or left what was not joined")
		}
		l.Partition("a", "c")
		b.Announce(b.IP4())
		if got := last(); got != "node/eth0" {
			t.Errorf("in a partition: [%s]", got)
		}
	})
}

const wantText = `link a island=0 cut=false loss=0.00
  station 02:00:00:00:00:01
  host Linux 02:00:00:00:00:01 192.0.2.9
  neighbor 192.0.2.10 at 02:00:00:00:00:02
link b island=0 cut=true loss=0.25
  station 02:00:00:00:00:02
  host Junos 02:00:00:00:00:02 192.0.2.10
  neighbor 192.0.2.9 at 02:00:00:00:00:01
        0s a              ARP to ff:ff:ff:ff:ff:ff: who has 192.0.2.10? tell 192.0.2.9 at 02:00:00:00:00:01 -> [b]
        0s b              ARP to 02:00:00:00:00:01: 192.0.2.10 is at 02:00:00:00:00:02, for 192.0.2.9 at 02:00:00:00:00:01 -> [a]
      1.5s b              NA fe80::ff:fe00:2 > ff02::1: 2001:db8::80 S=false O=true option 02:00:00:00:00:02 -> []
`

func TestString(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		a := l.Host("a", Linux, netip.MustParseAddr("192.0.2.9"))
		b := l.Host("b", Junos, netip.MustParseAddr("192.0.2.10"))
		a.Resolve(b.IP4())
		time.Sleep(1500 * time.Millisecond)
		l.Cut("b", true)
		l.Lose("b", 0.25)
		b.Announce(addr6)
		if got := l.String(); got != wantText {
			t.Errorf("got\n%swant\n%s", got, wantText)
		}
	})
}
