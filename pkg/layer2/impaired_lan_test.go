package layer2_test

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// TestProbeHearsALateAnswer delays the answer to the first question until after the second question, and then until
// after the end of the probe.
func TestProbeHearsALateAnswer(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		host := l.lan.Host("host", lantest.Linux, client4)
		host.Own(free6, true)
		for addr, form := range map[netip.Addr]layer2.Form{client4: layer2.Reply, free6: layer2.Advertisement} {
			l.lan.Delay("host", 25*ms, 0)
			f, err := l.a.Probe(t.Context(), addr, layer2.ProbeOptions{})
			want := []layer2.Sighting{{MAC: host.MAC(), Interface: "eth0", Form: form, After: 50 * ms}}
			if err != nil || f.Outcome != layer2.Taken || !slices.Equal(f.Heard, want) {
				t.Errorf("%s: %+v, %v, want %+v", addr, f, err, want)
			}
			if got, want := l.questions(addr), []time.Duration{0, 40 * ms}; !slices.Equal(got, want) {
				t.Errorf("%s: asked at %v, want %v", addr, got, want)
			}
			l.pass(time.Second) // for the answer to the second question
			l.lan.Delay("host", 45*ms, 0)
			if f, err := l.a.Probe(t.Context(), addr, layer2.ProbeOptions{}); err != nil || f.Outcome != layer2.Silent {
				t.Errorf("%s: %+v, %v, want silence: the answer comes after 90 ms", addr, f, err)
			}
			l.pass(time.Second)
		}
	})
}

// TestDuplicatedFramesCauseNoStorm makes a link deliver every frame twice. The node answers each copy of a question,
// and sends nothing for a copy of any other frame.
func TestDuplicatedFramesCauseNoStorm(t *testing.T) {
	var heard atomic.Int32
	o := layer2.Options{Refresh: -1, Heard: func(layer2.Claim) { heard.Add(1) }}
	inBubble(t, o, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.lan.Duplicate("client", 1)
		l.lan.Duplicate("node/eth0", 1)
		l.set(vip4, vip6)
		l.pass(time.Minute)
		wantTimes(t, l, "node/eth0", vip4, 0)
		wantTimes(t, l, "node/eth0", vip6, 0)
		for _, addr := range []netip.Addr{vip4, vip6} {
			before := len(l.lan.From("node/eth0"))
			if mac, ok := client.Resolve(addr); !ok || mac != l.eth0.MAC() {
				t.Errorf("%s resolves to %s, %t", addr, mac, ok)
			}
			l.pass(time.Minute)
			if n := len(l.lan.From("node/eth0")) - before; n != 4 {
				t.Errorf("%s: %d answers to a question that came in four copies", addr, n)
			}
			before = len(l.lan.From("node/eth0"))
			heard.Store(0)
			client.Announce(addr)
			l.pass(time.Minute)
			if n := len(l.lan.From("node/eth0")) - before; n != 0 || heard.Load() != 1 {
				t.Errorf("%s: a claim in four copies was heard %d times, and %d frames sent", addr, heard.Load(), n)
			}
		}
	})
}

// TestOneWayLink tests a node that is not heard, and a node that does not hear. The client cannot distinguish either
// node from a silent node.
func TestOneWayLink(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.set(vip4, vip6)
		l.pass(time.Minute)
		for _, addr := range []netip.Addr{vip4, vip6} {
			for name, change := range map[string]func(string, bool){"mute": l.lan.Mute, "deaf": l.lan.Deafen} {
				sent := len(l.lan.From("node/eth0"))
				change("node/eth0", true)
				if mac, ok := client.Resolve(addr); ok {
					t.Errorf("%s: %s resolves to %s", name, addr, mac)
				}
				synctest.Wait()
				if answered := len(l.lan.From("node/eth0")) > sent; answered != (name == "mute") {
					t.Errorf("%s: questions for %s were answered: %t", name, addr, answered)
				}
				change("node/eth0", false)
				if mac, ok := client.Resolve(addr); !ok || mac != l.eth0.MAC() {
					t.Errorf("%s, mended: %s resolves to %s, %t", name, addr, mac, ok)
				}
				client.Forget(addr)
			}
		}
	})
}
