package layer2_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// TestStaleFramesAreDropped freezes a node during a question, for a little less and a little more than staleAge.
func TestStaleFramesAreDropped(t *testing.T) {
	for _, c := range []struct {
		name   string
		wait   time.Duration
		want   bool
		metric string
	}{
		{"just in time", 500 * time.Millisecond, true, "answered"},
		{"too late", 501 * time.Millisecond, false, "stale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			inBubble(t, layer2.Options{Registerer: registry}, func(t *testing.T, l *lab) {
				client := l.lan.Host("client", lantest.Linux, client4)
				l.set(vip4)
				l.pass(10 * time.Second)
				l.eth0.Freeze(true)
				client.Ask(vip4)
				l.pass(c.wait)
				l.eth0.Freeze(false)
				synctest.Wait()
				answers := func(f lantest.Frame) bool { return f.Answers(vip4) }
				if ok := slices.ContainsFunc(l.lan.Trace(), answers); ok != c.want {
					t.Errorf("answered %t, want %t", ok, c.want)
				}
				if n := counted(t, registry, "lanlord_layer2_requests_total", "eth0", "ARP", c.metric); n != 1 {
					t.Errorf("%v frames are %s, want one", n, c.metric)
				}
				// The node answers later questions.
				client.Forget(vip4)
				if _, ok := client.Resolve(vip4); !ok {
					t.Error("a new question is not answered")
				}
			})
		})
	}
}

// TestStandstillWithholds delivers a frame that has waited too long. The node answers and announces nothing until
// Resume is called with the number of that stall, even after a new set. Questions of the node to other stations are
// still sent.
func TestStandstillWithholds(t *testing.T) {
	stood := 0
	inBubble(t, layer2.Options{Stood: func() { stood++ }}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.set(vip4)
		l.pass(200 * time.Millisecond) // the third announcement is at 1 s
		l.eth0.Freeze(true)
		client.Ask(vip4)
		l.pass(600 * time.Millisecond)
		l.eth0.Freeze(false)
		synctest.Wait()
		if stood == 0 || l.a.Standstills() == 0 {
			t.Fatalf("told %d times, %d standstills, want some", stood, l.a.Standstills())
		}
		before := len(l.lan.From("node/eth0"))
		asks := func(why string) {
			t.Helper()
			client.Ask(vip4)
			l.a.Announce([]netip.Addr{vip4, vip6})
			l.pass(10 * time.Second)
			for _, f := range l.lan.From("node/eth0")[before:] {
				if f.Answers(vip4) || f.Announces(vip4) || f.Announces(vip6) {
					t.Fatalf("%s: %s", why, f)
				}
			}
		}
		asks("at once")
		l.set(vip4, vip6)
		asks("after Set alone")
		l.a.Resume(l.a.Standstills() - 1)
		asks("after Resume from one before")
		l.a.SetRanges([]layer2.Range{{From: client4, To: client4}})
		synctest.Wait()
		if f, err := l.a.Probe(t.Context(), client4, layer2.ProbeOptions{}); err != nil || f.Outcome != layer2.Taken {
			t.Errorf("another's address: %v, %v", f, err)
		}
		l.set(vip6)
		l.a.Resume(l.a.Standstills())
		l.pass(time.Second)
		if _, ok := client.Resolve(vip4); ok {
			t.Error("an address that was given up meanwhile is answered for")
		}
		if len(l.announced("node/eth0", vip6, 0)) == 0 {
			t.Error("nothing is announced after Resume")
		}
	})
}
