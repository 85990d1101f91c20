package soak

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// Violation is what must not be.
type Violation struct {
	After time.Duration
	What  string
}

// String is a line.
func (v Violation) String() string { return fmt.Sprintf("after %.1fs: %s", v.After.Seconds(), v.What) }

// Tally is what was seen of one kind of fault.
type Tally struct {
	// Count is how often it happened.
	Count int
	// Dark and New are how long addresses had no owner, Two how long two, Unserved how long requests to them failed; sorted in the end.
	Dark, New, Two, Unserved []time.Duration
	// Excused counts those of New that could be late, since a node might not have heard of the Service.
	Excused int
	// Unjudged counts spans that were longer than allowed while somebody got no CPU.
	Unjudged int
}

// Report is what a soak has found.
type Report struct {
	Options
	Took time.Duration
	// Settled says that the cluster was at rest before the first fault.
	Settled bool
	Faults  map[fault.Kind]*Tally
	Usage   map[string][]Usage
	// Deeds counts what users did, Lost the controllers that ended by themselves.
	Deeds, Lost int
	// Skipped counts faults that had to wait for the end of others for too long.
	Skipped int
	// Refused counts those of users' deeds that the API server has not done, by reason.
	Refused  map[string]int
	Assigned []time.Duration
	Changed  int
	// Killed counts speakers that the kernel killed because of a fault that need not have.
	Killed int
	// LeftOut says why kinds of faults were left out.
	LeftOut map[fault.Kind]string
	Events  map[string]int
	// Requests counts those of clients, Failed those that were not answered.
	Requests, Failed int
	// Forsaken counts addresses without an owner for which no node was left that could have them; the tallies are without these.
	Forsaken int
	// Late is for how long nothing was judged.
	Late       time.Duration
	LogBytes   int64
	LogLevels  map[string]int
	Violations []Violation

	rules Rules
}

func newReport(o Options, rules Rules) *Report {
	r := &Report{
		Options: o, rules: rules, Faults: map[fault.Kind]*Tally{"none": {}}, Usage: make(map[string][]Usage), Events: make(map[string]int),
		LogLevels: make(map[string]int), Refused: make(map[string]int), LeftOut: make(map[fault.Kind]string),
	}
	for _, k := range o.Kinds {
		r.Faults[k] = &Tally{}
	}
	return r
}

// LeaveOut says why kinds of faults cannot happen here. It is called before the first one.
func (r *Report) LeaveOut(why string, kinds ...fault.Kind) {
	for _, k := range kinds {
		r.LeftOut[k] = why
	}
}

// without tells whether a kind of fault is left out.
func (r *Report) without(k fault.Kind) bool { return r.LeftOut[k] != "" }

// add counts a span that was judged.
func (r *Report) add(s Span) {
	t := r.Faults[s.Cause]
	switch {
	case s.Forsaken > 0:
		r.Forsaken++
	case s.Trait == Dark:
		t.Dark = append(t.Dark, s.Length())
	case s.Trait == New:
		t.New = append(t.New, s.Length())
		if s.Excused {
			t.Excused++
		}
	case s.Trait == Unserved:
		t.Unserved = append(t.Unserved, s.Length())
	case s.Trait == Two:
		t.Two = append(t.Two, s.Length())
	}
	if s.Late && s.Length() > s.Bound {
		t.Unjudged++
	}
}

// finish takes what the ledger knows, and judges what the processes used.
func (r *Report) finish(l *Ledger, took time.Duration) {
	r.Took, r.Assigned, r.Changed = took, l.Assigned, l.Changed
	slices.Sort(r.Assigned)
	for _, t := range r.Faults {
		slices.Sort(t.Dark)
		slices.Sort(t.New)
		slices.Sort(t.Two)
		slices.Sort(t.Unserved)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Usage)) {
		for _, of := range lives(r.Usage[name]) {
			for _, leak := range leaks(of) {
				r.Violations = append(r.Violations, Violation{took, fmt.Sprintf("%s, process %d: %s", name, of[0].Process, leak)})
			}
		}
	}
}

// lives parts samples by their processes.
func lives(samples []Usage) (parts [][]Usage) {
	for i, u := range samples {
		if i == 0 || u.Process != samples[i-1].Process {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], u)
	}
	return parts
}

// logRate is how many bytes a process may log in a second in the long run, and logStart how many for each start.
const (
	logRate  = 2 << 10
	logStart = 32 << 10
)

// alarms are words that no log may have.
var alarms = []string{"panic:", "fatal error:", "WARNING: DATA RACE", "goroutine stack exceeds"}

// readLogs looks into all logs for what must not be there, and how much it is.
func (r *Report) readLogs(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := r.readLog(path); err != nil {
			return err
		}
	}
	limit := int64(len(files))*logStart + int64(r.Took.Seconds()*float64(r.Nodes+1)*logRate)
	if r.LogBytes > limit {
		r.Violations = append(r.Violations, Violation{r.Took, fmt.Sprintf("%d bytes were logged, at most %d", r.LogBytes, limit)})
	}
	return nil
}

func (r *Report) readLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		r.LogBytes += int64(len(line)) + 1
		for _, level := range []string{"INFO", "WARN", "ERROR"} {
			if strings.Contains(line, " level="+level+" ") {
				r.LogLevels[level]++
			}
		}
		for _, alarm := range alarms {
			if strings.Contains(line, alarm) {
				r.Violations = append(r.Violations, Violation{r.Took, fmt.Sprintf("%s: %s", filepath.Base(path), line)})
			}
		}
	}
	return lines.Err()
}

// Write writes the report as Markdown. version is what was soaked.
func (r *Report) Write(w io.Writer, version string) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "Seed %d, commit %s, %d nodes, up to %d Services, %v; %d faults, %d deeds of users.\n\n", r.Seed, version, r.Nodes,
		r.Services, r.Took.Round(time.Second), r.faults(), r.Deeds)
	if r.Skipped > 0 {
		fmt.Fprintf(b, "%d faults did not happen, since what was before them lasted too long.\n\n", r.Skipped)
	}
	if len(r.Violations) == 0 {
		fmt.Fprintf(b, "**No violation.**\n\n")
	}
	for _, v := range r.Violations {
		fmt.Fprintf(b, "- **Violation** %s\n", v)
	}
	r.writeFaults(b)
	fmt.Fprintf(b, "\nServices assigned: %d, from wish to addresses p50 %s, p99 %s, max %s ms; addresses changed at their Services' wish: %d. "+
		"Controllers that ended by themselves: %d.\n", len(r.Assigned), ms(r.Assigned, 50), ms(r.Assigned, 99), ms(r.Assigned, 100), r.Changed, r.Lost)
	if _, may := r.Faults["squeeze"]; may {
		fmt.Fprintf(b, "Speakers that the kernel killed while they were squeezed: %d. ", r.Killed)
	}
	fmt.Fprintf(b, "Times without an owner of addresses that no node could have, which are not in the table: %d.\n", r.Forsaken)
	if r.Requests > 0 {
		fmt.Fprintf(b, "Requests of clients: %d, of which %d failed. Users' deeds that the API server has not done: %v.\n", r.Requests, r.Failed, r.Refused)
	}
	for _, k := range slices.Sorted(maps.Keys(r.LeftOut)) {
		fmt.Fprintf(b, "`%s` was left out: %s.\n", k, r.LeftOut[k])
	}
	fmt.Fprintf(b, "For %.0f s the judge or a speaker waited so long for a CPU that nothing longer than its bound would have been a verdict.\nLogged: %.1f MB; lines %v. Events %v.\n",
		r.Late.Seconds(), float64(r.LogBytes)/1e6, r.LogLevels, r.Events)
	r.writeUsage(b)
	return b.Flush()
}

func (r *Report) faults() (n int) {
	for _, t := range r.Faults {
		n += t.Count
	}
	return n
}

func (r *Report) writeFaults(b io.Writer) {
	fmt.Fprintln(b, "\n| fault | times | dark: addresses | p50 | p99 | max | bound | two owners | max | bound | new | p50 | max | excused | unserved | p50 | max | not judged |")
	fmt.Fprintln(b, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, k := range append(slices.Clone(r.Kinds), "none") {
		t, rule := r.Faults[k], r.rules.Of(k)
		fmt.Fprintf(b, "| `%s` | %d | %d | %s | %s | %s | %d | %d | %s | %d | %d | %s | %s | %d | %d | %s | %s | %d |\n", k, t.Count,
			len(t.Dark), ms(t.Dark, 50), ms(t.Dark, 99), ms(t.Dark, 100), rule.Dark.Milliseconds(),
			len(t.Two), ms(t.Two, 100), rule.Overlap.Milliseconds(), len(t.New), ms(t.New, 50), ms(t.New, 100), t.Excused,
			len(t.Unserved), ms(t.Unserved, 50), ms(t.Unserved, 100), t.Unjudged)
	}
}

// ms is a percentile of sorted times in milliseconds (nearest rank).
func ms(values []time.Duration, p int) string {
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprint(values[max(0, (len(values)*p+99)/100-1)].Milliseconds())
}

// shown is how many lines of each process's use the report has at most.
const shown = 2

func (r *Report) writeUsage(b io.Writer) {
	fmt.Fprintln(b, "\n| process | after | RSS MB | heap MB | goroutines | files | sockets | series |")
	fmt.Fprintln(b, "|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, name := range slices.Sorted(maps.Keys(r.Usage)) {
		all := r.Usage[name]
		for i := range min(shown, len(all)) {
			u := all[(len(all)-1)*i/max(1, min(shown, len(all))-1)]
			fmt.Fprintf(b, "| %s (%d) | %.0f s | %.1f | %.1f | %d | %d | %d | %d |\n", name, u.Process, u.At.Seconds(), u.RSS/1e6, u.Heap/1e6,
				u.Goroutines, u.Files, u.Sockets, u.Series)
		}
	}
}
