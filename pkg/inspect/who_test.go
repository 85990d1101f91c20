package inspect

import (
	"strings"
	"testing"
)

// TestWhoTellsOfStandIn has a node answer in place of one that does not know of the address: both are told.
func TestWhoTellsOfStandIn(t *testing.T) {
	c := answered("n1", "n2")
	c.Speakers[0].Says.Owned[0].Reason = standsIn
	c.Speakers[1].Says.Watched = nil
	var out strings.Builder
	if err := Who(c, addr).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the node n1 answers, in place of n2, as nobody answered.",
		"in place of n2, which is to answer and did not",
		"it does not know of the address",
	} {
		if !strings.Contains(strings.ToLower(out.String()), strings.ToLower(want)) {
			t.Errorf("missing %q in\n%s", want, out.String())
		}
	}
}
