package peers

import (
	"errors"
	"testing"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// TestJudge shows the result of one probe on the wire for a neighbour that announces from 02:01 and also has 02:02, the
// slave of a bond.
func TestJudge(t *testing.T) {
	member := membership.Member{Links: []membership.Link{{MAC: membership.MAC{2, 1}}}, MACs: []membership.MAC{{2, 2}}}
	heard := func(last byte, form layer2.Form) layer2.Finding {
		return layer2.Finding{Outcome: layer2.Taken, Heard: []layer2.Sighting{{MAC: layer2.MAC{2, last}, Form: form}}}
	}
	for _, c := range []struct {
		name    string
		finding layer2.Finding
		err     error
		want    result
	}{
		{"an answer", heard(1, layer2.Reply), nil, answered},
		{"an answer, and an error", heard(1, layer2.Reply), errors.New("no buffer"), answered},
		{"an answer from the slave of a bond", heard(2, layer2.Reply), nil, answered},
		{"the neighbour asks for the address itself",
			layer2.Finding{Outcome: layer2.Contested, Heard: heard(1, layer2.Probing).Heard}, nil, unreachable},
		{"another node answers", heard(3, layer2.Reply), nil, inconclusive},
		{"no answer", layer2.Finding{Outcome: layer2.Silent}, nil, unreachable},
		{"no answer, and another node probes", layer2.Finding{Outcome: layer2.Contested}, nil, unreachable},
		{"the question could not be sent", layer2.Finding{}, layer2.ErrNotAsked, inconclusive},
	} {
		if got := judge(c.finding, c.err, member); got != c.want {
			t.Errorf("%s: result %d, want %d", c.name, got, c.want)
		}
	}
}
