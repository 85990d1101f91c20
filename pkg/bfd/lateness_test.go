package bfd

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/session"
)

// TestBuckets has each duration lie in its bucket, and no bucket wider than a quarter of its start.
func TestBuckets(t *testing.T) {
	for d := time.Duration(0); d < time.Hour; d += max(time.Microsecond, d/7) {
		i := bucket(d)
		if end := upper(i); d >= end || end > d+d/4+time.Microsecond {
			t.Fatalf("%v is in bucket %d that ends at %v", d, i, end)
		}
		if i > 0 && d < upper(i-1) {
			t.Fatalf("%v is in bucket %d, but the one before ends at %v", d, i, upper(i-1))
		}
	}
	if i := bucket(1000 * time.Hour); i != buckets-1 {
		t.Errorf("a very long time is in bucket %d", i)
	}
}

// TestPercentile compares with a sorted list.
func TestPercentile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		l, list := lateness{}, []time.Duration{}
		for range leastSamples + random.IntN(1000) {
			d := time.Duration(random.ExpFloat64()*5000) * time.Microsecond
			list = append(list, d)
			l.add(d, 0)
		}
		slices.Sort(list)
		want := list[len(list)-1-len(list)/100]
		if got := l.p99(); got < want || got > want+want/4+time.Microsecond {
			t.Fatalf("%d samples: p99 %v, want %v", len(list), got, want)
		}
		if l.worst() != list[len(list)-1] {
			t.Fatalf("worst %v, want %v", l.worst(), list[len(list)-1])
		}
	}
}

// TestForgets has a sample count for 10 to 20 s, and none after a long pause.
func TestForgets(t *testing.T) {
	l := lateness{}
	l.add(time.Second, 9*time.Second)
	l.add(0, 15*time.Second)
	if l.worst() != time.Second {
		t.Errorf("forgotten after 6 s")
	}
	l.add(0, 26*time.Second)
	if l.worst() != 0 {
		t.Errorf("not forgotten after 17 s: %v", l.worst())
	}
	l.add(time.Second, 27*time.Second)
	l.add(0, 100*time.Second)
	if l.worst() != 0 || l.p99() != 0 {
		t.Errorf("not forgotten after a pause")
	}
}

func TestStretch(t *testing.T) {
	p := Profile{TransmitInterval: 50 * time.Millisecond, DetectMultiplier: 3}
	many := func(d time.Duration, n int) (l lateness) {
		for range n {
			l.add(d, 0)
		}
		return l
	}
	for _, c := range []struct {
		name    string
		l       lateness
		p       Profile
		current uint8
		changed time.Duration
		now     time.Duration
		want    uint8
	}{
		{"no samples", lateness{}, p, 0, 0, 0, 0},
		{"on time", many(time.Millisecond, 100), p, 0, 0, 0, 0},
		{"p99 just below half", many(24*time.Millisecond, 100), p, 0, 0, 0, 0},
		{"p99 above half", many(26*time.Millisecond, 100), p, 0, 0, 0, 1},
		{"far above half: two steps at once", many(60*time.Millisecond, 100), p, 0, 0, 0, 2},
		{"too few samples for p99", many(26*time.Millisecond, 5), p, 0, 0, 0, 0},
		{"a single sample above the interval", many(51*time.Millisecond, 1), p, 0, 0, 0, 1},
		{"a single sample, and a greater multiplier", many(51*time.Millisecond, 1),
			Profile{TransmitInterval: p.TransmitInterval, DetectMultiplier: 5}, 0, 0, 0, 0},
		{"at most 1 s", many(10*time.Second, 100), p, 0, 0, 0, 5},
		{"a profile above 1 s", many(10*time.Second, 100), Profile{TransmitInterval: 2 * time.Second,
			DetectMultiplier: 3}, 0, 0, 0, 0},
		{"calm, but not for long", many(time.Millisecond, 100), p, 2, 0, calmSpan - 1, 2},
		{"calm", many(time.Millisecond, 100), p, 2, 0, calmSpan, 1},
		{"not calm enough", many(30*time.Millisecond, 100), p, 2, 0, calmSpan, 2},
	} {
		if got := c.l.stretch(c.p, c.current, c.changed, c.now); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if n := (&lateness{}).stretch(Profile{TransmitInterval: 10 * time.Millisecond, DetectMultiplier: 3},
		session.MaxStretch, 0, 0); n != session.MaxStretch {
		t.Errorf("%d", n)
	}
}
