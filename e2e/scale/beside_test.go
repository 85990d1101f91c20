package scale

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// TestSidesTakeTurns compares the same programs with themselves: each side creates its own Services, and each has its
// turns with the Services of the last side.
func TestSidesTakeTurns(t *testing.T) {
	o := rigOptions(t)
	side := Side{Controller: o.Controller, Speaker: o.Speaker}
	c, err := Beside(t.Context(), o, Turns{
		Sides: []Side{side, side}, Parts: Parts(), Services: 12, Rounds: 1, Crashes: 1, Idle: time.Second,
	}, func(step string) { t.Log(step) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Sides {
		if len(c.Turns[i]) != 1 {
			t.Fatalf("side %d had %d turns", i, len(c.Turns[i]))
		}
		turn := c.Turns[i][0]
		if turn.Rest.Speaker == 0 || turn.Rest.Controller == 0 || turn.Rest.Switches == 0 || turn.Rest.Over < time.Second {
			t.Errorf("side %d at rest: %+v", i, turn.Rest)
		}
		if turn.Memory.Speaker.Now == 0 || turn.Memory.Controller.Now == 0 {
			t.Errorf("side %d has no memory: %+v", i, turn.Memory)
		}
		if turn.Answers.Speaker == 0 || turn.Answers.Kernel == 0 {
			t.Errorf("side %d answers nothing: %+v", i, turn.Answers)
		}
		if len(turn.Crashes) != 1 || turn.Crashes[0].Gap == 0 || turn.Crashes[0].Middle > turn.Crashes[0].Last {
			t.Errorf("side %d crashed: %+v", i, turn.Crashes)
		}
		if a := c.Created[i]; a.All < a.Made || a.CPU == 0 || a.Speakers == 0 || c.Reference[i].Both == 0 {
			t.Errorf("side %d created %+v, beside %+v", i, a, c.Reference[i])
		}
	}
}

func TestBesideTable(t *testing.T) {
	rest := func(cpu time.Duration, switches int) Turn {
		return Turn{Rest: Usage{Speaker: cpu, Switches: switches, Over: 10 * time.Second}}
	}
	few := Comparison{Services: 50, Sides: []Side{{Name: "MetalLB"}, {Name: "now"}}, Turns: [][]Turn{
		{rest(250*time.Millisecond, 1400), rest(220*time.Millisecond, 1250), rest(260*time.Millisecond, 1650)},
		{{Answers: wire.Answers{Speaker: 30_000, Kernel: 100_000, Above: 36 * time.Microsecond},
			Crashes: []wire.Result{{Gap: 350 * time.Millisecond}, {Gap: 400 * time.Millisecond}}}},
	}, Created: make([]Assignment, 2), Reference: make([]Reference, 2)}
	many := Comparison{Services: 2000, Sides: few.Sides, Turns: [][]Turn{nil, {
		{Crashes: []wire.Result{{Owned: 679, Middle: 490 * time.Millisecond, Last: 600 * time.Millisecond, Gap: time.Second}}},
	}}, Created: []Assignment{{}, {All: 21 * time.Second, Made: 20 * time.Second, CPU: 5500 * time.Millisecond}},
		Reference: []Reference{{}, {Both: 14 * time.Second}}}
	var text bytes.Buffer
	if err := WriteBeside(&text, []Comparison{few, many}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"speaker at rest, % of a core":                          "50 2.50 (2.20 to 2.60) - 1.0",
		"  context switches a second":                           "50 140 (125 to 165) - 120",
		"ARP answers a second, as a part of the kernel's":       "50 - 0.30 0.6",
		"ARP answer, median above the kernel's, us":             "50 - 36 10",
		"node crashed: longest time without an answer, s":       "50 - 0.35 (0.35 to 0.40) 0.20, most 0.40",
		"node with many addresses crashed: median announced, s": "2000 - 0.49 0.25",
		"  to last assigned, relative to a bare client":         "2000 - 1.50 1.2",
		"  to last assigned, relative to that":                  "2000 - 1.05 1.01",
	} {
		var found []string
		for line := range strings.Lines(text.String()) {
			if values, is := strings.CutPrefix(line, name+"  "); is {
				found = append(found, strings.Join(strings.Fields(values), " "))
			}
		}
		if len(found) != 1 || found[0] != want {
			t.Errorf("%q: lines %q, want one with %q", name, found, want)
		}
	}
	if t.Failed() {
		t.Log(text.String())
	}
}
