package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Options say what is measured.
type Options struct {
	// Speaker is the path of the program, Logs an existing folder for the logs.
	Speaker, Logs string
	// Rounds is the number of repetitions of each event.
	Rounds int
	// Prefixes is the number of prefixes in the measurement many, MemoryPrefixes in the measurement memory.
	Prefixes, MemoryPrefixes int
	// Quiet is the duration of the measurement quiet, Busy the time for which all CPUs are busy.
	Quiet, Busy time.Duration
	// Say gets a line for each step; nil discards the lines.
	Say func(format string, args ...any)
}

// bench is a run.
type bench struct {
	Options
	Report
}

// Measurement is a part of the table.
type Measurement struct {
	// Name is one word, About a sentence.
	Name, About string
	run         func(*bench, context.Context) error
}

// Measurements returns all of them, in their order.
func Measurements() []Measurement {
	return []Measurement{
		{
			"unready",
			"a pod becomes unready, policy Local: until the router's kernel has its node no more",
			(*bench).unready,
		},
		{"crash", "a node's link to the LAN fails: until no datagram is lost any more", (*bench).crash},
		{"stop", "a speaker is told to stop", (*bench).stop},
		{"rollout", "a second speaker follows the one of a node, two for each round", (*bench).rollout},
		{"many", "a speaker starts with many prefixes; one of them goes and comes", (*bench).many},
		{"memory", "what a speaker holds with prefixes and two routers, against layer 2 only", (*bench).memory},
		{"quiet", "nothing changes while the API server ends all watches every few seconds", (*bench).quiet},
		{"busy", "all CPUs are busy with two processes each, BFD at 3 x 50 ms", (*bench).busy},
	}
}

// Names returns the names of all measurements.
func Names() (all []string) {
	for _, m := range Measurements() {
		all = append(all, m.Name)
	}
	return all
}

// Run takes the named measurements, or all of them without names. The report is complete also when a measurement
// failed.
func Run(ctx context.Context, o Options, names ...string) (*Report, error) {
	b := &bench{Options: o}
	if b.Say == nil {
		b.Say = func(string, ...any) {}
	}
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("no measurement is called %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	if _, err := os.Stat(o.Speaker); err != nil {
		return nil, err
	}
	for _, m := range Measurements() {
		if len(names) > 0 && !slices.Contains(names, m.Name) {
			continue
		}
		b.Say("%s: %s", m.Name, m.About)
		if err := m.run(b, ctx); err != nil {
			b.Failed = append(b.Failed, fmt.Sprintf("%s: %v", m.Name, err))
		}
		if err := ctx.Err(); err != nil {
			return &b.Report, err
		}
	}
	return &b.Report, nil
}
