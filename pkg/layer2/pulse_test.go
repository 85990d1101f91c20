package layer2

import (
	"testing"
	"time"
)

// TestPulse tests that a late beat counts as a stall, whichever goroutine finds the stall first, and that the stall
// lasts until Resume with the number of exactly that stall.
func TestPulse(t *testing.T) {
	began := time.Now()
	told, counted := 0, 0
	p := pulse{began: began, stood: func() { told++ }, count: func() { counted++ }}
	p.start(began)
	at := func(d time.Duration) time.Time { return began.Add(d) }
	if p.look(at(standstill)); !p.steady(at(2*standstill)) || told != 0 {
		t.Fatal("a pause as long as the bound is a standstill")
	}
	if p.steady(at(3*standstill + time.Millisecond)) {
		t.Fatal("not noticed by one that is about to answer")
	}
	if p.look(at(3*standstill + 2*time.Millisecond)); p.steady(at(3*standstill + 2*time.Millisecond)) {
		t.Fatal("forgotten with the next beat")
	}
	if told != 1 || counted != 1 {
		t.Errorf("told %d times, counted %d, want once", told, counted)
	}
	p.resumed.Store(p.stops.Load())
	if !p.steady(at(3*standstill + 3*time.Millisecond)) {
		t.Error("still withheld")
	}
	if p.look(at(5 * standstill)); p.steady(at(5 * standstill)) {
		t.Error("not noticed by the beat")
	}
	p.resumed.Store(p.stops.Load())
	if p.behind(at(5 * standstill)); p.steady(at(5*standstill)) || counted != 3 {
		t.Errorf("not noticed by a frame that had waited; counted %d", counted)
	}
	if p.behind(at(5 * standstill)); counted != 3 {
		t.Error("the same standstill is counted for each frame")
	}
}

// TestPulseWithoutAnybodyToKnow requires that pulse without stood counts stalls, and withholds nothing.
func TestPulseWithoutAnybodyToKnow(t *testing.T) {
	counted := 0
	p := pulse{began: time.Now(), count: func() { counted++ }}
	p.start(p.began)
	if p.look(p.began.Add(time.Hour)); !p.steady(p.began.Add(time.Hour)) || counted != 1 {
		t.Errorf("steady %t, counted %d", p.steady(p.began.Add(time.Hour)), counted)
	}
}
