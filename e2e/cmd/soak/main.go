// Command soak lets a cluster live under random faults, in network namespaces or on kind, and writes a report of what was seen from
// outside; see packages soak and kindsoak. Needs root.
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
	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/kindsoak"
	"github.com/lanlord/lanlord/e2e/soak"
)

func main() { command.Main(run) }

// options are the flags.
type options struct {
	soak.Options
	speaker, controller, deploy, report, commit string
	kind, plan                                  bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{Options: soak.Options{Progress: stderr}}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.speaker, "speaker", "../bin/speaker", "the `program`")
	flags.StringVar(&o.controller, "controller", "../bin/controller", "the `program`")
	flags.DurationVar(&o.Duration, "duration", 5*time.Minute, "how long faults happen, at least 1m")
	flags.Uint64Var(&o.Seed, "seed", uint64(time.Now().Unix()), "`number` that decides about the faults; the default is the time")
	flags.BoolVar(&o.kind, "kind", false, "soak the cluster that e2e/cluster.sh has made, with its three nodes beside the control plane")
	flags.StringVar(&o.deploy, "deploy", "deploy", "`folder` of the manifests, for the cluster")
	flags.IntVar(&o.Nodes, "nodes", 4, "how many nodes in namespaces, at least 3")
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
	if o.kind {
		o.Nodes = kindsoak.Nodes
	}
	all := o.site().Rules().Kinds()
	o.Kinds = all
	if *kinds != "" {
		o.Kinds = nil
		for name := range strings.SplitSeq(*kinds, ",") {
			if !slices.Contains(all, fault.Kind(name)) {
				return o, fmt.Errorf("no fault is called %q; there are %v", name, all)
			}
			o.Kinds = append(o.Kinds, fault.Kind(name))
		}
	}
	if o.Nodes < 3 || o.Services < 6 || o.Duration < time.Minute {
		return o, errors.New("a soak needs at least 3 nodes, 6 Services and a minute")
	}
	for _, path := range []*string{&o.speaker, &o.controller} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return o, err
		}
	}
	return o, nil
}

// site is where to soak.
func (o options) site() soak.Site {
	if o.kind {
		return kindsoak.New(o.deploy)
	}
	return soak.Namespaces(o.speaker, o.controller)
}

// run prints the report, also of a soak that could not go on.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	site := o.site()
	if o.plan {
		_, err := fmt.Fprint(stdout, soak.Plan(site.Rules(), o.Seed, o.Duration, o.Nodes, o.Kinds))
		return err
	}
	if o.Logs, err = os.MkdirTemp("", "soak-"); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "seed %d, logs in %s\n", o.Seed, o.Logs)
	report, err := soak.Run(ctx, o.Options, site)
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
