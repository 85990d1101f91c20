package scale

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// figure makes a row: values of each side, one for each turn or each crash.
type figure struct {
	name string
	// goals are by the number of Services; 0 is for all others.
	goals  map[int]string
	format string
	values func(c Comparison, side int) []float64
}

// ofTurns makes the values of the turns in which f has one.
func ofTurns(f func(Turn) (float64, bool)) func(Comparison, int) []float64 {
	return func(c Comparison, side int) (values []float64) {
		for _, t := range c.Turns[side] {
			if v, ok := f(t); ok {
				values = append(values, v)
			}
		}
		return values
	}
}

// ofRest makes the values of the turns that measured the programs at rest.
func ofRest(f func(Turn) float64) func(Comparison, int) []float64 {
	return ofTurns(func(t Turn) (float64, bool) {
		if t.Rest.Over == 0 {
			return 0, false
		}
		return f(t), true
	})
}

// ofCrashes makes the values of all crashes, with many Services or with few.
func ofCrashes(many bool, f func(wire.Result) float64) func(Comparison, int) []float64 {
	return func(c Comparison, side int) (values []float64) {
		if (c.Services >= manyServices) != many {
			return nil
		}
		for _, t := range c.Turns[side] {
			for _, crash := range t.Crashes {
				values = append(values, f(crash))
			}
		}
		return values
	}
}

// ofCreation makes the value of the creation of Services.
func ofCreation(f func(Assignment, Reference) float64) func(Comparison, int) []float64 {
	return func(c Comparison, side int) []float64 {
		if c.Created[side].All == 0 {
			return nil
		}
		return []float64{f(c.Created[side], c.Reference[side])}
	}
}

func core(used, over time.Duration) float64 { return 100 * used.Seconds() / over.Seconds() }

// figures are the rows of the table.
func figures() []figure {
	always := func(goal string) map[int]string { return map[int]string{0: goal} }
	return []figure{
		{"speaker at rest, % of a core", always("1.0"), "%.2f", ofRest(func(t Turn) float64 { return core(t.Rest.Speaker, t.Rest.Over) })},
		{"  context switches a second", always("120"), "%.0f", ofRest(func(t Turn) float64 {
			return float64(t.Rest.Switches) / t.Rest.Over.Seconds()
		})},
		{"controller at rest, % of a core", nil, "%.2f", ofRest(func(t Turn) float64 { return core(t.Rest.Controller, t.Rest.Over) })},
		{"speaker, memory, MB", map[int]string{50: "24", 2000: "32", 10000: "60"}, "%.1f", ofRest(func(t Turn) float64 {
			return float64(t.Memory.Speaker.Now) / 1e6
		})},
		{"controller, memory, MB", map[int]string{50: "21", 2000: "25", 10000: "45"}, "%.1f", ofRest(func(t Turn) float64 {
			return float64(t.Memory.Controller.Now) / 1e6
		})},
		{"ARP answers a second, as a part of the kernel's", always("0.6"), "%.2f", ofTurns(func(t Turn) (float64, bool) {
			return t.Answers.Speaker / max(t.Answers.Kernel, 1), t.Answers.Kernel > 0
		})},
		{"ARP answer, median above the kernel's, us", always("10"), "%.0f", ofTurns(func(t Turn) (float64, bool) {
			return t.Answers.Above.Seconds() * 1e6, t.Answers.Kernel > 0
		})},
		{"node crashed: longest time without an answer, s", always("0.20, most 0.40"), "%.2f",
			ofCrashes(false, func(r wire.Result) float64 { return r.Gap.Seconds() })},
		{"node with many addresses crashed: median announced, s", always("0.25"), "%.2f",
			ofCrashes(true, func(r wire.Result) float64 { return r.Middle.Seconds() })},
		{"  last announced, s", always("0.35"), "%.2f", ofCrashes(true, func(r wire.Result) float64 { return r.Last.Seconds() })},
		{"  how many addresses", nil, "%.0f", ofCrashes(true, func(r wire.Result) float64 { return float64(r.Owned) })},
		{"first Service created to last created, s", nil, "%.1f", ofCreation(func(a Assignment, _ Reference) float64 { return a.Made.Seconds() })},
		{"  to last assigned, relative to that", map[int]string{2000: "1.01"}, "%.2f", ofCreation(func(a Assignment, _ Reference) float64 {
			return a.All.Seconds() / a.Made.Seconds()
		})},
		{"  to last assigned, relative to a bare client", map[int]string{2000: "1.2", 10000: "1.2"}, "%.2f",
			ofCreation(func(a Assignment, r Reference) float64 { return a.All.Seconds() / r.Both.Seconds() })},
		{"  controller, CPU, s", map[int]string{2000: "3", 10000: "15"}, "%.1f", ofCreation(func(a Assignment, _ Reference) float64 {
			return a.CPU.Seconds()
		})},
		{"  speaker, CPU, s", map[int]string{10000: "15"}, "%.1f", ofCreation(func(a Assignment, _ Reference) float64 {
			return a.Speakers.Seconds()
		})},
	}
}

// WriteBeside writes a table with a column for each side and a row for each figure and number of Services that was
// measured. A value is the median of the turns, with the least and the most.
func WriteBeside(w io.Writer, all []Comparison) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\tServices")
	if len(all) > 0 {
		for _, s := range all[0].Sides {
			fmt.Fprintf(t, "\t%s", s.Name)
		}
	}
	fmt.Fprintln(t, "\tgoal")
	for _, f := range figures() {
		for _, c := range all {
			cells, shown := make([]string, len(c.Sides)), false
			for i := range c.Sides {
				values := f.values(c, i)
				cells[i] = cmp.Or(summary(f.format, values), "-")
				shown = shown || len(values) > 0
			}
			if shown {
				fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", f.name, c.Services, strings.Join(cells, "\t"), cmp.Or(f.goals[c.Services], f.goals[0]))
			}
		}
	}
	return t.Flush()
}

// summary shows the median of values, and the least and the most if there are several. It is empty without values.
func summary(format string, values []float64) string {
	if len(values) == 0 {
		return ""
	}
	values = slices.Sorted(slices.Values(values))
	text := fmt.Sprintf(format, values[(len(values)-1)/2])
	if len(values) > 1 {
		text += fmt.Sprintf(" ("+format+" to "+format+")", values[0], values[len(values)-1])
	}
	return text
}
