package succession

import "testing"

// TestPhases checks the table of the package's documentation. Events missing in the table change nothing.
func TestPhases(t *testing.T) {
	table := map[Phase]map[event]Phase{
		Waiting:   {placeTaken: Following, placeFree: Active, answering: Standby, notUnderstood: Standby},
		Following: {placeFree: Active, answering: Standby, notUnderstood: Standby},
		Standby:   {placeFree: Active},
		Active:    {stopHandOver: HandingOver, stopLeave: Leaving},
	}
	for _, p := range phases {
		for _, e := range events {
			want := p
			if to, named := table[p][e]; named {
				want = to
			}
			if e == runEnded {
				want = Ended
			}
			if got := p.next(e); got != want {
				t.Errorf("event %d turns %s into %s, want %s", e, p, got, want)
			}
		}
	}
	seen := map[string]bool{}
	for _, p := range phases {
		seen[p.String()] = true
	}
	if len(seen) != len(phases) || seen[""] {
		t.Errorf("the phases are called %v", seen)
	}
}
