package layer2_test

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

func TestPing(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		both := []netip.Addr{vip4, vip6}
		expect := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			for i, addr := range both {
				reply, ok := client.Ping(addr, uint16(i))
				if ok != want {
					t.Errorf("%s: reply from %s: %t, want %t", when, addr, ok, want)
				}
				if ok && (reply.Source != addr || reply.Seq != uint16(i) || string(reply.Data) != "lantest" || reply.TTL != 64) {
					t.Errorf("%s: %+v does not answer", when, reply)
				}
			}
		}
		l.set(both...)
		before := l.node.Attempts()
		expect("before it is asked for", false)
		l.a.SetPing(true)
		expect("switched on", true)
		if n := l.node.Attempts() - before; n != 2 {
			t.Errorf("%d sockets opened for pings, want one for each family", n)
		}
		l.a.SetPing(true)
		l.set(append(both, netip.MustParseAddr("192.0.2.81"))...)
		expect("with another address", true)
		l.eth0.Break(syscall.ENETDOWN)
		l.pass(time.Second)
		expect("after the sockets failed", true)
		l.eth0.SetLocal(both...)
		expect("addresses that the kernel has too", false)
		l.eth0.SetLocal(subnet4.Addr())
		expect("addresses that the kernel no longer has", true)
		l.a.SetPing(false)
		expect("switched off", false)
	})
}

// counted returns the counter with the given label values, in the order of the label names.
func counted(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(got, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no counter %s with %v", name, labels)
	return 0
}

// TestPingSockets requires a socket only for a family with an address, because each socket has a cost for every packet.
func TestPingSockets(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		before := l.node.Attempts()
		l.a.SetPing(true)
		l.a.Set([]layer2.Target{{Addr: vip6, Mode: layer2.Watch}})
		synctest.Wait()
		if n := l.node.Attempts() - before; n != 0 {
			t.Errorf("%d sockets opened for no address", n)
		}
		l.set(vip4)
		if n := l.node.Attempts() - before; n != 1 {
			t.Errorf("%d sockets opened for an IPv4 address, want one", n)
		}
		if _, ok := client.Ping(vip4, 1); !ok {
			t.Error("no reply")
		}
		l.set()
		if _, ok := client.Ping(vip4, 2); ok {
			t.Error("a reply from an address that was given up")
		}
	})
}

// TestPingFlood requires one reply for each request up to the rate, and answers to ARP all the time.
func TestPingFlood(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	inBubble(t, layer2.Options{Registerer: registry}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.a.SetPing(true)
		l.set(vip4)
		request := lantest.Ping{Source: client4, Destination: vip4, TTL: 64, ID: 9}
		for i := range 2000 {
			request.Seq = uint16(i)
			client.Send(request.Frame(l.eth0.MAC(), client.MAC()))
		}
		synctest.Wait()
		var seqs []uint16
		for _, f := range l.lan.From("node/eth0") {
			if p, err := lantest.ParsePing(f.Data); err == nil && p.Reply && slices.Equal(f.To, []string{"client"}) {
				seqs = append(seqs, p.Seq)
			}
		}
		if n := len(seqs); n != 1000 || len(slices.Compact(slices.Sorted(slices.Values(seqs)))) != n {
			t.Errorf("%d replies to 2,000 requests, want one each for 1,000", n)
		}
		if _, ok := client.Resolve(vip4); !ok {
			t.Error("no answer to ARP meanwhile")
		}
	})
	for verdict, want := range map[string]float64{"answered": 1000, "limited": 1000} {
		if got := counted(t, registry, "lanlord_layer2_requests_total", "eth0", "ICMP", verdict); got != want {
			t.Errorf("%v pings counted as %s, want %v", got, verdict, want)
		}
	}
}
