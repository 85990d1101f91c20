package peers

import (
	"testing"
	"testing/quick"
	"time"
)

const ms = time.Millisecond

// TestPatience lists the patience between punctual and late nodes.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		self, neighbour time.Duration
		want            patience
		stall           time.Duration
	}{
		{0, 0, patience{60 * ms, 27 * ms}, 174 * ms},
		{3 * ms, 0, patience{63 * ms, 33 * ms}, 174 * ms},
		{0, 3 * ms, patience{63 * ms, 33 * ms}, 189 * ms},
		{10 * ms, 20 * ms, patience{80 * ms, 67 * ms}, 274 * ms},
		{0, time.Minute, patience{80 * ms, 120 * ms}, 300 * ms},
		{time.Hour, time.Minute, patience{80 * ms, 120 * ms}, 300 * ms},
	} {
		if got := patienceFor(c.self, c.neighbour); got != c.want {
			t.Errorf("patience of %s with %s is %v, want %v", c.self, c.neighbour, got, c.want)
		}
		if got := stallAfter(c.neighbour); got != c.stall {
			t.Errorf("a node that told %s stalls after %s, want %s", c.neighbour, got, c.stall)
		}
	}
}

// TestNoTakeoverBeforeStall checks for every lateness that a node knows of its stall before a neighbour can have its
// addresses, and that both bounds grow with the lateness.
func TestNoTakeoverBeforeStall(t *testing.T) {
	law := func(a, b, more uint32) bool {
		self, told := time.Duration(a), time.Duration(b)
		p := patienceFor(self, told)
		later := patienceFor(self+time.Duration(more), told)
		return stallAfter(told) < p.total()+takeoverTime && later.silence >= p.silence && later.pause >= p.pause &&
			stallAfter(told+time.Duration(more)) >= stallAfter(told) && patienceFor(told, self) == p
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 10000}); err != nil {
		t.Error(err)
	}
}

// TestPunctuality follows the lateness of a node through its start, a late beat, and the time after.
func TestPunctuality(t *testing.T) {
	var p punctuality
	began := time.Unix(1000, 0)
	now := began
	run := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(heartbeatInterval) {
			p.beat(now)
			p.known(now)
		}
	}
	want := func(what string, late, known time.Duration) {
		t.Helper()
		if got, least := p.lateness(), p.known(now.Add(-heartbeatInterval)); got != late || least != known {
			t.Errorf("%s: %s, and all neighbours know %s at least; want %s and %s", what, got, least, late, known)
		}
	}
	run(heartbeatInterval)
	want("at the start", unknownLateness, 0)
	now = now.Add(300 * ms) // the start is slow
	run(2 * time.Second)
	want("2 s after the start", unknownLateness, unknownLateness)
	run(startTime)
	want("after the start", unknownLateness, unknownLateness)
	run(historyTime)
	want("with a history", 0, 0)
	run(latenessWindow)
	now = now.Add(2500 * time.Microsecond)
	run(heartbeatInterval)
	want("after a late beat", 3*ms, 0)
	run(toldTime)
	want("a second later", 3*ms, 3*ms)
	run(latenessWindow * (latenessWindows - 2))
	want("within two minutes", 3*ms, 3*ms)
	run(2 * latenessWindow)
	want("after two minutes", 0, 0)
}
