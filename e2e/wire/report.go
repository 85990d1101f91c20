package wire

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a table of results, with a line for each fault and number of nodes.
type Report struct{ groups []*group }

type group struct {
	fault   string
	nodes   int
	results []Result
	failed  int
}

// Add takes a result. One that is not complete, since the round failed, only counts as that.
func (r *Report) Add(result Result, failed bool) {
	i := slices.IndexFunc(r.groups, func(g *group) bool { return g.fault == result.Fault && g.nodes == result.Nodes })
	if i < 0 {
		i = len(r.groups)
		r.groups = append(r.groups, &group{fault: result.Fault, nodes: result.Nodes})
	}
	if failed {
		r.groups[i].failed++
		return
	}
	r.groups[i].results = append(r.groups[i].results, result)
}

// of returns one value of all results, sorted.
func of[T int | time.Duration](results []Result, value func(Result) T) []T {
	values := make([]T, len(results))
	for i, r := range results {
		values[i] = value(r)
	}
	slices.Sort(values)
	return values
}

// percentile returns the least value that at least p percent are not above (nearest rank). values are sorted, and at least
// one.
func percentile[T any](values []T, p int) T {
	return values[max(0, (len(values)*p+99)/100-1)]
}

// Write writes the table. Times are in milliseconds.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "fault\tnodes\trounds\tfailed\tgap p50\tp99\tmax\tlost p50\tmax\tempty p50\tp99\tmax\towners\toverlap\ttaken p50\tmax\tlast max\tspread p50\tmax\tmoves\t")
	for _, g := range r.groups {
		if len(g.results) == 0 {
			fmt.Fprintf(t, "%s\t%d\t0\t%d%s\n", g.fault, g.nodes, g.failed, strings.Repeat("\t", 17))
			continue
		}
		gap := of(g.results, func(r Result) time.Duration { return r.Gap })
		empty := of(g.results, func(r Result) time.Duration { return r.Empty })
		lost := of(g.results, func(r Result) int { return r.Lost })
		first := of(g.results, func(r Result) time.Duration { return r.First })
		last := of(g.results, func(r Result) time.Duration { return r.Last })
		spread := of(g.results, func(r Result) time.Duration { return r.Last - r.First })
		moves := of(g.results, func(r Result) int { return r.Moves })
		owners := of(g.results, func(r Result) int { return r.Owners })
		overlap := of(g.results, func(r Result) time.Duration { return r.Overlap })
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", g.fault, g.nodes, len(g.results), g.failed,
			ms(percentile(gap, 50)), ms(percentile(gap, 99)), ms(percentile(gap, 100)), percentile(lost, 50), percentile(lost, 100),
			ms(percentile(empty, 50)), ms(percentile(empty, 99)), ms(percentile(empty, 100)),
			percentile(owners, 100), ms(percentile(overlap, 100)), ms(percentile(first, 50)), ms(percentile(first, 100)), ms(percentile(last, 100)),
			ms(percentile(spread, 50)), ms(percentile(spread, 100)), percentile(moves, 100))
	}
	return t.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }
