package layer2

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// bigTable holds 2,000 addresses of each family besides the two addresses of testTable.
func bigTable() *table {
	t := testTable()
	addrs := t.addrs.Edit()
	for i := range 2000 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i))
		addrs.Put(netip.AddrFrom4(a), struct{}{})
		addrs.Put(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 14: byte(i >> 8), 15: byte(i)}), struct{}{})
	}
	t.addrs = addrs.Map()
	return t
}

// packetPath returns frames that are common on a LAN.
func packetPath(t testing.TB) []struct {
	name  string
	h     handler
	frame []byte
	want  Verdict
} {
	arpH, ndpH := arpHandlerFor(t), ndpHandlerFor(t)
	return []struct {
		name  string
		h     handler
		frame []byte
		want  Verdict
	}{
		{"ARP/answered", arpH, arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4), Answered},
		{"ARP/foreign", arpH, arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, free4), NotOurs},
		{"ARP/claimed", arpH, arpBytes(t, arp.OperationReply, broadcast, askerMAC, held4, askerMAC, held4), Claimed},
		{"NDP/answered", ndpH, nsTo(t, solicitedNode(held6), held6, lladdr(ndp.Source, askerMAC)), Answered},
		{"NDP/foreign", ndpH, nsTo(t, solicitedNode(free6), free6, lladdr(ndp.Source, askerMAC)), NotOurs},
		{"NDP/claimed", ndpH, naFrom(t, askerMAC, held6, lladdr(ndp.Target, askerMAC)), Claimed},
	}
}

func TestPacketPathAllocatesNothing(t *testing.T) {
	table := bigTable()
	for _, c := range packetPath(t) {
		allocs := testing.AllocsPerRun(1000, func() {
			if _, v, _ := c.h.handle(table, c.frame); v != c.want {
				t.Fatalf("%s: %s", c.name, v)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %.1f allocations for a frame, want none", c.name, allocs)
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	table := bigTable()
	for _, c := range packetPath(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.h.handle(table, c.frame)
			}
		})
	}
}

func BenchmarkAnnouncement(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := arpAnnouncement(ourMAC, held4); err != nil {
			b.Fatal(err)
		}
	}
}
