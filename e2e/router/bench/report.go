package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Row is a line of the table, with a value for each round.
type Row struct {
	What, Router string
	Unit         string
	Values       []float64
	// Goal is the upper bound for the value of Percentile. Percentile 100 is the largest value, 0 means no goal.
	Percentile int
	Goal       float64
}

// Report is a table.
type Report struct {
	rows []*Row
	// Failed names the measurements that failed, and the errors.
	Failed []string
}

// Add adds a value to the row with the same What and Router.
func (r *Report) Add(like Row, value float64) {
	i := slices.IndexFunc(r.rows, func(o *Row) bool { return o.What == like.What && o.Router == like.Router })
	if i < 0 {
		i = len(r.rows)
		r.rows = append(r.rows, &like)
	}
	r.rows[i].Values = append(r.rows[i].Values, value)
}

// AddTime adds a time to a row whose unit is milliseconds.
func (r *Report) AddTime(like Row, d time.Duration) {
	like.Unit = "ms"
	r.Add(like, float64(d.Microseconds())/1000)
}

// percentile returns the nearest-rank percentile.
func (r *Row) percentile(p int) float64 {
	values := slices.Sorted(slices.Values(r.Values))
	return values[max(0, (len(values)*p+99)/100-1)]
}

// Met returns "yes" when the goal is met, "NO" when not, "-" without a goal.
func (r *Row) Met() string {
	switch {
	case r.Percentile == 0:
		return "-"
	case r.percentile(r.Percentile) <= r.Goal:
		return "yes"
	default:
		return "NO"
	}
}

func (r *Row) goal() string {
	switch r.Percentile {
	case 0:
		return "-"
	case 100:
		return fmt.Sprintf("%g", r.Goal)
	default:
		return fmt.Sprintf("p%d %g", r.Percentile, r.Goal)
	}
}

// Write writes the table.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\trouter\trounds\tp50\tp99\tmost\tunit\tgoal\tmet")
	for _, row := range r.rows {
		digits := 0
		if row.Unit == "ms" && row.percentile(100) < 1000 || row.Unit == "MB" {
			digits = 1
		}
		number := func(v float64) string { return fmt.Sprintf("%.*f", digits, v) }
		fmt.Fprintf(
			t,
			"%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n",
			row.What,
			cmp.Or(row.Router, "-"),
			len(row.Values),
			number(row.percentile(50)),
			number(row.percentile(99)),
			number(row.percentile(100)),
			row.Unit,
			row.goal(),
			row.Met(),
		)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Failed {
		if _, err := fmt.Fprintln(w, "not measured:", f); err != nil {
			return err
		}
	}
	return nil
}
