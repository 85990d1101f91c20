package layer2_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// TestRateSpreadsABurst takes over more addresses than the rate allows at once: no address may wait for the repeat of
// another address.
func TestRateSpreadsABurst(t *testing.T) {
	const count, rate, burst = 4000, 5000, 5000
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		addrs := manyAddrs(count)
		l.set(addrs...)
		l.pass(20 * time.Second)
		frames := l.lan.From("node/eth0")
		if len(frames) != count*2*len(ndpTimes) {
			t.Fatalf("%d frames sent, want %d", len(frames), count*2*len(ndpTimes))
		}
		rounds := map[string]int{}
		for i, f := range frames {
			if allowed := burst + int(f.At.Seconds()*rate) + 2; i+1 > allowed {
				t.Fatalf("frame %d sent at %v, when %d were allowed", i+1, f.At, allowed)
			}
			// A first round may follow a repeat only after all due first rounds: here all first rounds are due at once.
			key := string(f.Data)
			rounds[key]++
			if i < count*2 && rounds[key] != 1 {
				t.Fatalf("frame %d at %v is a repeat, before all were announced once", i, f.At)
			}
		}
		// 5,000 frames at once, the other 3,000 at 5,000 a second.
		if last := frames[count*2-1].At; last < 590*ms || last > 610*ms {
			t.Errorf("first round over after %v, want 600 ms", last)
		}
	})
}

// TestRefreshesSpread takes over many addresses at once. The refreshes are spread evenly over time from the first
// refresh on, and each address gets its share.
func TestRefreshesSpread(t *testing.T) {
	const count, refresh = 5000, 90
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		l.set(manyAddrs(count)...)
		l.pass(15 * time.Second) // 50,000 frames at 5,000 a second
		sent := len(l.lan.Trace())
		l.pass(4 * refresh * time.Second)
		perSecond, perFrame := map[int]int{}, map[string]int{}
		for _, f := range l.lan.Trace()[sent:] {
			perSecond[int(f.At.Seconds())]++
			perFrame[string(f.Data)]++
		}
		for second := 15; second < 15+4*refresh; second++ {
			// On average 111. The jitter adds a random part.
			if n := perSecond[second]; n < 40 || n > 185 {
				t.Errorf("%d frames in second %d, want about %d", n, second, 2*count/refresh)
			}
		}
		if len(perFrame) != 2*count {
			t.Errorf("%d different frames, want both of every address", len(perFrame))
		}
		for frame, n := range perFrame {
			if n < 3 || n > 5 {
				t.Fatalf("%x was sent %d times in %d s, want 4", frame, n, 4*refresh)
			}
		}
	})
}

// TestLowRate takes over 200 addresses at a switch port that shuts down at 15 packets a second.
func TestLowRate(t *testing.T) {
	const count, each = 200, 200 * time.Millisecond // for the two frames of an address
	registry := prometheus.NewPedanticRegistry()
	inBubble(t, layer2.Options{Refresh: -1, Registerer: registry}, func(t *testing.T, l *lab) {
		l.a.SetRate(10)
		addrs := manyAddrs(count)
		l.set(addrs...)
		l.pass(60 * time.Second)
		late := netip.MustParseAddr("192.0.2.99")
		l.set(append(slices.Clone(addrs), late)...)
		l.pass(240 * time.Second)

		frames := l.lan.From("node/eth0")
		if want := (count + 1) * 2 * len(ndpTimes); len(frames) != want {
			t.Fatalf("%d frames, want %d", len(frames), want)
		}
		for i, f := range frames {
			if want := time.Duration(i/2) * each; f.At != want {
				t.Fatalf("frame %d was sent at %v, want %v", i+1, f.At, want)
			}
		}
		// All first rounds precede all repeats, in the order of the addresses. The repeats follow in rounds, with each
		// address once in every round, so that no address is announced twice while another address waits.
		for round := range ndpTimes {
			var order []netip.Addr
			for i, addr := range addrs {
				at := time.Duration(round*count+i) * each
				if at >= 60*time.Second {
					break // the late address comes in between from here on
				}
				if !frames[2*(round*count+i)].Announces(addr) {
					order = append(order, addr)
				}
			}
			if len(order) > 0 {
				t.Errorf("round %d: %d addresses are out of order, first %s", round+1, len(order), order[0])
			}
		}
		times := l.announced("node/eth0", late, 0)
		if len(times) != 2*len(ndpTimes) || times[0] != 60*time.Second+each {
			t.Errorf("an address that came after 60 s was announced at %v, want it next", times)
		}
	})
	const heldBack = "lanlord_layer2_announcements_held_back_total"
	for round, want := range map[string]float64{"first": count - 1, "repeat": count * 4} {
		// The late address is next in the queue when it comes, and the last repeats find tokens.
		if got := counter(t, registry, heldBack, "ARP", round); got < want-1 || got > want+5 {
			t.Errorf("%v announcements of the round %q held back, want about %v", got, round, want)
		}
		if got := counter(t, registry, "lanlord_layer2_announcements_total", "ARP", round); got < 2*want {
			t.Errorf("%v frames of the round %q sent, want at least %v", got, round, 2*want)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func counter(t *testing.T, registry *prometheus.Registry, name, protocol, round string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == protocol && m.GetLabel()[1].GetValue() == round {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s for %s and %s", name, protocol, round)
	return 0
}

// TestRefreshesTakeTurns plans more refreshes than the rate allows: every address gets the same share of the rate.
func TestRefreshesTakeTurns(t *testing.T) {
	const count = 300
	inBubble(t, layer2.Options{Refresh: 10 * time.Second}, func(t *testing.T, l *lab) {
		l.a.SetRate(10)
		addrs := manyAddrs(count)
		l.set(addrs...)
		l.pass(400 * time.Second) // 300 s for the rounds, and the rest for the refreshes to settle
		since := 400 * time.Second
		l.pass(240 * time.Second)
		for _, addr := range addrs {
			// Two frames in each turn; a turn takes a minute.
			if n := len(l.announced("node/eth0", addr, since)); n < 6 || n > 10 {
				t.Fatalf("%s has had %d frames in four minutes, want 8", addr, n)
			}
		}
	})
}

func TestSetRateAppliesAtOnce(t *testing.T) {
	const count = 200
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		l.a.SetRate(10)
		l.set(manyAddrs(count)...)
		l.pass(time.Second)
		if n := len(l.lan.From("node/eth0")); n != 12 {
			t.Errorf("%d frames after a second, want 2 at once and 10", n)
		}
		l.a.SetRate(0) // the default
		synctest.Wait()
		l.pass(100 * time.Millisecond)
		if n := len(l.lan.From("node/eth0")); n < 2*count {
			t.Errorf("%d frames 0.1 s after the rate was raised, want the rest of the %d", n, 2*count)
		}
	})
}
