// Command soak lets a cluster in network namespaces live under random faults, and writes a report of what was seen from outside;
// see package soak. Needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/soak"
)

func main() { command.Main(run) }

// options are the flags.
type options struct {
	soak.Options
	report, commit string
	plan           bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{Options: soak.Options{Progress: stderr}}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Speaker, "speaker", "../bin/speaker", "the `program`")
	flags.StringVar(&o.Controller, "controller", "../bin/controller", "the `program`")
	flags.DurationVar(&o.Duration, "duration", 5*time.Minute, "how long faults happen, at least 1m")
	flags.Uint64Var(&o.Seed, "seed", uint64(time.Now().Unix()), "`number` that decides about the faults; the default is the time")
	flags.IntVar(&o.Nodes, "nodes", 4, "how many nodes, at least 3")
	flags.IntVar(&o.Services, "services", 18, "how many Services at most, at least 6")
	flags.StringVar(&o.report, "report", "", "`file` for the report too")
	flags.StringVar(&o.commit, "commit", "unknown", "`name` in the report for what is soaked")
	flags.BoolVar(&o.plan, "plan", false, "only print the schedule")
	kinds := flags.String("faults", "", "`names` of faults, separated by commas; default is all")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.Kinds = soak.Kinds()
	if *kinds != "" {
		o.Kinds = nil
		for name := range strings.SplitSeq(*kinds, ",") {
			if !slices.Contains(soak.Kinds(), soak.Kind(name)) {
				return o, fmt.Errorf("no fault is called %q; there are %v", name, soak.Kinds())
			}
			o.Kinds = append(o.Kinds, soak.Kind(name))
		}
	}
	if o.Nodes < 3 || o.Services < 6 || o.Duration < time.Minute {
		return o, errors.New("a soak needs at least 3 nodes, 6 Services and a minute")
	}
	for _, path := range []*string{&o.Speaker, &o.Controller} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return o, err
		}
	}
	return o, nil
}

// run prints the report, also of a soak that could not go on.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.plan {
		_, err := fmt.Fprint(stdout, soak.Plan(o.Seed, o.Duration, o.Nodes, o.Kinds))
		return err
	}
	if o.Logs, err = os.MkdirTemp("", "soak-"); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "seed %d, logs in %s\n", o.Seed, o.Logs)
	report, err := soak.Run(ctx, o.Options)
	if report == nil {
		return err
	}
	out := stdout
	if o.report != "" {
		file, failed := os.Create(o.report)
		if failed != nil {
			return errors.Join(err, failed)
		}
		defer file.Close()
		out = io.MultiWriter(stdout, file)
	}
	err = errors.Join(err, report.Write(out, o.commit))
	if len(report.Violations) > 0 {
		err = errors.Join(err, fmt.Errorf("%d violations; logs, traces and schedules are in %s", len(report.Violations), o.Logs))
	}
	if err == nil {
		err = os.RemoveAll(o.Logs)
	}
	return err
}
