package wire

import (
	"slices"
	"testing"
	"time"
)

// heard makes a Hearing of a1 for a second, with a question every 100 ms.
func heard(claims ...[]Claim) Hearing {
	h := Hearing{From: start, To: at(1000), Claims: sorted(slices.Concat(claims...))}
	for ms := 0; ms < 1000; ms += 100 {
		h.Asked = append(h.Asked, at(ms))
	}
	return h
}

func TestHearing(t *testing.T) {
	for _, c := range []struct {
		name          string
		h             Hearing
		stations      int
		moves         int
		dark, overlap time.Duration
	}{
		{"nobody", heard(), 0, 0, time.Second, 0},
		{"one", heard(answers(x, 0, 1000)), 1, 0, 0, 0},
		{"a move", heard(answers(x, 0, 400), answers(y, 750, 1000)), 2, 1, 250 * time.Millisecond, 0},
		{"two at once", heard(answers(x, 0, 1000), answers(y, 595, 1000)), 2, 82, 0, 400 * time.Millisecond},
	} {
		if got := len(c.h.Stations(a1)); got != c.stations {
			t.Errorf("%s: %d stations, want %d", c.name, got, c.stations)
		}
		if got := c.h.Moves(a1); got != c.moves {
			t.Errorf("%s: %d moves, want %d", c.name, got, c.moves)
		}
		if got := c.h.Dark(a1); got != c.dark {
			t.Errorf("%s: dark for %v, want %v", c.name, got, c.dark)
		}
		if got := c.h.Overlap(a1); got != c.overlap {
			t.Errorf("%s: two owners for %v, want %v", c.name, got, c.overlap)
		}
	}
}
