// Command bench-bgp measures the speakers' BGP at real routers and at clients behind them, and prints a table; see
// package router/bench. The command needs root and the Debian packages frr and bird2.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/router/bench"
)

const legend = `Times are in milliseconds, by the router's kernel ("ip monitor route") or by a client behind it that sends 4,000 datagrams a second on 40
flows. FRR waits up to 50 ms of its own before it writes a route. The goal is for the percentile that is named, else for the worst round.
`

func main() { command.Main(run) }

// options are the flags.
type options struct {
	bench.Options
	names   []string
	verbose bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench-bgp", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Speaker, "speaker", "../bin/speaker", "the `program`")
	flags.IntVar(&o.Rounds, "rounds", 50, "how often each thing happens")
	flags.IntVar(&o.Prefixes, "prefixes", 10_000, "prefixes where there are many")
	flags.IntVar(&o.MemoryPrefixes, "memory-prefixes", 2_000, "prefixes of which the memory is measured")
	flags.DurationVar(&o.Quiet, "quiet", time.Minute, "how long nothing changes")
	flags.DurationVar(&o.Busy, "busy", time.Minute, "how long all CPUs are busy")
	flags.BoolVar(&o.verbose, "v", false, "print each round")
	only := flags.String(
		"only",
		"",
		"`names` of measurements, separated by commas, of "+strings.Join(bench.Names(), ", "),
	)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	const most = 30_000
	if o.Rounds < 1 || min(o.Prefixes, o.MemoryPrefixes) < 1 || max(o.Prefixes, o.MemoryPrefixes) > most {
		return o, fmt.Errorf("no rounds, or not 1 to %d prefixes", most)
	}
	if *only != "" {
		o.names = strings.Split(*only, ",")
	}
	var err error
	o.Speaker, err = filepath.Abs(o.Speaker)
	return o, err
}

// run prints the table, also of a run that is ended early.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.Logs, err = os.MkdirTemp("", "bench-bgp-"); err != nil {
		return err
	}
	start := time.Now()
	if o.verbose {
		o.Say = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	}
	report, err := bench.Run(ctx, o.Options, o.names...)
	if report == nil {
		return errors.Join(err, os.RemoveAll(o.Logs))
	}
	fmt.Fprint(stdout, legend, "\n")
	err = errors.Join(err, report.Write(stdout))
	fmt.Fprintf(stdout, "\n%v\n", time.Since(start).Round(time.Second))
	if len(report.Failed) > 0 {
		return errors.Join(
			err,
			fmt.Errorf("%d measurements failed; the logs of their speakers are in %s", len(report.Failed), o.Logs),
		)
	}
	return errors.Join(err, os.RemoveAll(o.Logs))
}
