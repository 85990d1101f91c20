package lantest

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pair returns a segment with two hosts.
func pair(seed uint64) (l *LAN, a, b *Host) {
	l = New(seed)
	return l, l.Host("a", Linux, netip.MustParseAddr("192.0.2.9")), l.Host("b", Linux, netip.MustParseAddr("192.0.2.10"))
}

// TestDelay tests questions and answers over links with a delay in each direction.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := pair(1)
		l.Delay("a", time.Millisecond, 0)
		l.Delay("b", 10*time.Millisecond, 0)
		for _, addr := range []netip.Addr{b.IP4(), b.LinkLocal()} {
			began := time.Now()
			if mac, ok := a.Resolve(addr); !ok || mac != b.MAC() || time.Since(began) != 22*time.Millisecond {
				t.Errorf("%s resolves to %s, %t after %v, want 22 ms", addr, mac, ok, time.Since(began))
			}
		}
		l.Delay("b", 0, 0)
		if began := time.Now(); !a.Confirm(b.IP4()) || time.Since(began) != 2*time.Millisecond {
			t.Errorf("confirmed after %v, want 2 ms", time.Since(began))
		}
		l.Cut("b", true)
		sent := len(l.Trace())
		a.Announce(a.IP4())
		l.Cut("a", true) // too late for the frame in transit, which then meets the other cut link
		time.Sleep(time.Second)
		if f := l.Trace()[sent]; len(f.To) != 0 {
			t.Errorf("through a cut link came %s", f)
		}
		l.Cut("a", false)
		l.Cut("b", false)
		a.Announce(a.IP4())
		l.Cut("a", true)
		time.Sleep(time.Second)
		if f := l.Trace()[sent+1]; !slices.Equal(f.To, []string{"b"}) {
			t.Errorf("cut after it was sent: %s", f)
		}
	})
}

// arrivals sends ten frames, a millisecond apart, through a link with jitter, and returns the order and the times of
// arrival.
func arrivals(t *testing.T, seed uint64) (order []int, after []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _ := pair(seed)
		l.Delay("a", 5*time.Millisecond, 20*time.Millisecond)
		for range 10 {
			a.Announce(a.IP4())
			time.Sleep(time.Millisecond)
		}
		arrived := map[int]bool{}
		for range 100 {
			synctest.Wait()
			for i, f := range l.Trace() {
				if len(f.To) > 0 && !arrived[i] {
					arrived[i] = true
					order, after = append(order, i), append(after, time.Since(l.began)-f.At)
				}
			}
			time.Sleep(time.Millisecond / 2)
		}
	})
	return order, after
}

func TestJitter(t *testing.T) {
	order, after := arrivals(t, 7)
	if len(order) != 10 || slices.IsSorted(order) {
		t.Errorf("ten frames arrive in the order %v, want all, and some that overtake others", order)
	}
	for i, d := range after[1:] { // without the first frame, because its arrival may be noticed late
		if d < 5*time.Millisecond || order[i+1] == 9 && d > 25500*time.Microsecond {
			t.Errorf("frame %d was underway for %v, want 5 to 25 ms", order[i+1], d)
		}
	}
	if again, _ := arrivals(t, 7); !slices.Equal(again, order) {
		t.Errorf("the same seed gives %v, and then %v", order, again)
	}
	if other, _ := arrivals(t, 8); slices.Equal(other, order) {
		t.Errorf("another seed gives %v as well", order)
	}
}

func TestDuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := pair(1)
		l.Duplicate("a", 1)
		if mac, ok := a.Resolve(b.IP4()); !ok || mac != b.MAC() {
			t.Errorf("resolves to %s, %t", mac, ok)
		}
		var to []string
		for _, f := range l.Trace() {
			to = append(to, f.From+" to "+strings.Join(f.To, " "))
		}
		if want := []string{"a to b b", "b to a a", "b to a a"}; !slices.Equal(to, want) {
			t.Errorf("%q, want %q", to, want)
		}
		l.Duplicate("a", 0.5)
		sent, copies := len(l.Trace()), 0
		for range 1000 {
			a.Announce(a.IP4())
		}
		for _, f := range l.Trace()[sent:] {
			copies += len(f.To)
		}
		if copies < 1400 || copies > 1600 {
			t.Errorf("%d copies of 1000 frames, want about 1500", copies)
		}
	})
}

// TestOneDirection tests a link with one direction cut.
func TestOneDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := pair(1)
		reaches := func() string {
			before := len(l.Trace())
			a.Announce(a.IP4())
			b.Announce(b.IP4())
			var s []string
			for _, f := range l.Trace()[before:] {
				s = append(s, f.From+">"+strings.Join(f.To, ","))
			}
			return strings.Join(s, " ")
		}
		for _, c := range []struct {
			what string
			set  func()
			want string
		}{
			{"whole", func() {}, "a>b b>a"},
			{"mute", func() { l.Mute("a", true) }, "a> b>a"},
			{"both", func() { l.Deafen("a", true) }, "a> b>"},
			{"deaf", func() { l.Mute("a", false) }, "a>b b>"},
			{"mended", func() { l.Cut("a", false) }, "a>b b>a"},
		} {
			c.set()
			if got := reaches(); got != c.want {
				t.Errorf("%s: %s, want %s", c.what, got, c.want)
			}
		}
	})
}

func TestLinkString(t *testing.T) {
	l, _, _ := pair(1)
	l.Mute("a", true)
	l.Duplicate("a", 0.5)
	l.Delay("a", time.Millisecond, time.Second)
	if got, want := l.links[0].String(), "link a island=0 cut=false loss=0.00 mute=true deaf=false duplicate=0.50 delay=1ms jitter=1s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestTap tests that a tap receives the frames and no trace is kept, and that the traffic counts match at both ends.
func TestTap(t *testing.T) {
	l := New(1)
	a, b := l.Host("a", Linux, netip.MustParseAddr("192.0.2.1")), l.Host("b", Linux, netip.MustParseAddr("192.0.2.2"))
	var seen []Frame
	l.Tap(func(f Frame) { seen = append(seen, f) })
	a.Announce(a.IP4())
	b.Announce(b.IP4())
	l.Cut("b", true)
	a.Announce(a.IP4())
	if len(seen) != 3 || seen[0].From != "a" || !seen[0].Announces(a.IP4()) || len(l.Trace()) != 0 {
		t.Errorf("told of %v, kept %v", seen, l.Trace())
	}
	size := uint64(len(seen[0].Data))
	for name, want := range map[string][2]Count{"a": {{2, 2 * size}, {1, size}}, "b": {{1, size}, {1, size}}} {
		if sent, received := l.Traffic(name); sent != want[0] || received != want[1] {
			t.Errorf("%s has sent %v and received %v, want %v", name, sent, received, want)
		}
	}
}
