package bench

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	var r Report
	for i := range 100 {
		r.AddTime(Row{What: "gone", Router: "FRR", Percentile: 99, Goal: 99}, time.Duration(i+1)*time.Millisecond)
		r.Add(Row{What: "lost", Router: "FRR", Percentile: 100}, float64(i/99))
	}
	r.AddTime(Row{What: "gone", Router: "BIRD"}, 2*time.Second)
	r.Failed = []string{"many: nothing came"}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"what router rounds p50 p99 most unit goal met",
		"gone FRR 100 50.0 99.0 100.0 ms p99 99 yes",
		"lost FRR 100 0 0 1 0 NO",
		"gone BIRD 1 2000 2000 2000 ms - -",
		"not measured: many: nothing came",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q\nwant %q", lines, want)
	}
}

// TestRun refuses a measurement that there is not, and a program that is not there.
func TestRun(t *testing.T) {
	if _, err := Run(t.Context(), Options{Speaker: "/nowhere"}, "flood"); err == nil ||
		!strings.Contains(err.Error(), "unready") {
		t.Errorf("%v, want the names of those that there are", err)
	}
	if _, err := Run(t.Context(), Options{Speaker: "/nowhere"}); err == nil {
		t.Error("a program that is not there was measured")
	}
}
