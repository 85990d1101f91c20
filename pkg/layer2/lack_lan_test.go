package layer2_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// TestMissingIPv6 requires one log line for an interface that cannot serve IPv6, and none for an interface that only
// needs some time.
func TestMissingIPv6(t *testing.T) {
	said := newOutput()
	const line = "IPv6 addresses are not answered for"
	inBubble(t, layer2.Options{Log: slog.New(slog.NewTextHandler(said, nil)), Refresh: -1}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.eth0.SetIPv6(false)
		l.pass(4 * time.Second)
		l.eth0.SetIPv6(true)
		l.pass(time.Minute)
		l.eth0.SetIPv6(false)
		l.set(vip4)
		l.pass(time.Minute)
		if n := said.count(line); n != 0 {
			t.Errorf("%d lines about IPv6 where none is missing:\n%s", n, said)
		}
		l.set(vip4, vip6)
		l.pass(4999 * ms)
		if n := said.count(line); n != 0 {
			t.Error("said before the time")
		}
		l.pass(ms)
		l.set(vip6)
		l.pass(time.Hour)
		if n := said.count(line); n != 1 {
			t.Errorf("%d lines about IPv6, want one:\n%s", n, said)
		}
	})
}

// TestOddFramesAreCounted requires that malformed frames are counted as malformed, and dropped.
func TestOddFramesAreCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	inBubble(t, layer2.Options{Registerer: registry, Refresh: -1}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.a.SetPing(true)
		l.set(vip4, vip6)
		l.pass(10 * time.Second)
		sent := len(l.lan.From("node/eth0"))
		request := arpOf(arp.OperationRequest, l.eth0.MAC(), client.MAC(), client4, layer2.MAC{}, vip4)
		odd := func(i int, with ...byte) []byte {
			b := append([]byte(nil), request...)
			copy(b[i:], with)
			return b
		}
		ping := lantest.Ping{Source: client4, Destination: vip4, TTL: 64}.Frame(l.eth0.MAC(), client.MAC())
		ping6 := lantest.Ping{Source: client.LinkLocal(), Destination: vip6, TTL: 64}.Frame(l.eth0.MAC(), client.MAC())
		for _, frame := range [][]byte{
			request[:41], odd(14, 0, 6), odd(16, 0x86, 0xdd), odd(18, 8), odd(19, 16), // ARP
			ping[:40],  // shorter than its length field
			ping6[:60], // the same for IPv6
			ping6[:55], // the same, without a whole header
			ping6[:61],
		} {
			client.Send(frame)
		}
		synctest.Wait()
		if n := len(l.lan.From("node/eth0")) - sent; n != 0 {
			t.Errorf("%d answers to odd frames", n)
		}
	})
	for protocol, want := range map[string]float64{"ARP": 5, "ICMP": 1, "ICMPv6": 3} {
		if got := counted(t, registry, "lanlord_layer2_requests_total", "eth0", protocol, "malformed"); got != want {
			t.Errorf("%v odd frames of %s counted, want %v", got, protocol, want)
		}
	}
}
