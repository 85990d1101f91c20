// Command scale measures what many Services cost the API server, the controller and the speakers, and prints a table; see
// package scale. Needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/scale"
	"github.com/lanlord/lanlord/e2e/wire"
)

const legend = `One column for each number of Services and of speakers, each with a control plane of its own. The bare client does what creating Services
and assigning addresses takes, with as many requests at once, while no controller runs. Memory: resident, of that what is not the
program's file, and the most it ever was; of the speaker that has most. An endpoint change and a heartbeat cost what the process
took more CPU than none, over the number of them.
`

// options are the flags.
type options struct {
	scale.Options
	scale.Plan
	sizes   []int
	rings   []int // how many speakers, each with all sizes
	keep    bool
	verbose bool
	// turns is a comparison, which is made in place of the plan if it has parts.
	turns scale.Turns
}

func main() { command.Main(run) }

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Controller, "controller", "bin/controller", "the `program`")
	flags.StringVar(&o.Speaker, "speaker", "bin/speaker", "the `program`")
	flags.StringVar(&o.Manifest, "manifest", "deploy/install.yaml", "Lanlord's manifest, a `file`")
	flags.StringVar(&o.Binaries, "binaries", "", "`folder` with etcd and hyperkube; empty means the newest in the cache")
	flags.IntVar(&o.Nodes, "nodes", 197, "Node objects besides those")
	flags.StringVar(&o.Layer2, "layer2", "", "`keys` of the configuration below layer2, as \"rate: 1000\"")
	flags.DurationVar(&o.Idle, "idle", 30*time.Second, "how long nothing happens")
	flags.IntVar(&o.Changes, "changes", 500, "endpoint changes, and heartbeats")
	flags.StringVar(&o.Profiles, "profiles", "", "`folder` for heap profiles of programs at rest; needs -flags --pprof")
	flags.BoolVar(&o.Reference, "reference", true, "measure the API server alone too")
	flags.BoolVar(&o.Again, "again", true, "also have all addresses given at once")
	flags.BoolVar(&o.Crash, "crash", true, "let a node crash")
	beside := besideFlags(flags, &o)
	flags.BoolVar(&o.keep, "keep", false, "keep the logs")
	flags.BoolVar(&o.verbose, "v", false, "say what is being done")
	sizes := flags.String("services", "1,1000,2000", "`numbers` of Services, separated by commas")
	speakers := flags.String("speakers", "3", "`numbers` of nodes with a speaker, separated by commas")
	programs := flags.String("flags", "", "further `flags` of the controller and the speakers, separated by blanks")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if o.sizes, err = numbers(*sizes, "Services", 1, mostServices); err != nil {
		return o, err
	}
	if o.rings, err = numbers(*speakers, "speakers", leastSpeakers, mostSpeakers); err != nil {
		return o, err
	}
	if o.Changes < 1 || o.Nodes < 1 || o.Idle <= 0 {
		return o, errors.New("no changes, no other Nodes, or no time to be idle")
	}
	o.Flags = strings.Fields(*programs)
	if err := o.find(); err != nil {
		return o, err
	}
	return o, beside(&o)
}

const (
	// mostServices is what the pool has addresses for.
	mostServices = 30_000
	// One speaker leaves nobody to take over when its node crashes; the laboratory has room for so many.
	leastSpeakers, mostSpeakers = 2, 200
)

// numbers reads some of something, separated by commas.
func numbers(list, what string, least, most int) ([]int, error) {
	var all []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%q is no number of %s, %d to %d", text, what, least, most)
		}
		all = append(all, n)
	}
	return all, nil
}

// find makes the paths absolute.
func (o *options) find() (err error) {
	if o.Binaries == "" {
		if o.Binaries, err = controlplane.Binaries(); err != nil {
			return err
		}
	}
	for _, path := range []*string{&o.Controller, &o.Speaker, &o.Manifest, &o.Binaries} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
		if _, err := os.Stat(*path); err != nil {
			return err
		}
	}
	return nil
}

// run prints the table, also of a run that is ended early.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	top, err := os.MkdirTemp("", "scale-")
	if err != nil {
		return err
	}
	start := time.Now()
	say := func(step string) {
		if o.verbose {
			fmt.Fprintf(stderr, "%6.1f s: %s\n", time.Since(start).Seconds(), step)
		}
	}
	if len(o.turns.Parts) > 0 {
		err = o.beside(ctx, top, stdout, stderr, say)
	} else {
		err = o.measure(ctx, top, stdout, stderr, say)
	}
	fmt.Fprintf(stdout, "\n%v\n", time.Since(start).Round(time.Second))
	if err != nil || o.keep {
		fmt.Fprintln(stderr, "logs and data are in", top)
		return err
	}
	return os.RemoveAll(top)
}

// measure carries out the plan with each number of Services and of speakers, and prints the table.
func (o options) measure(ctx context.Context, top string, stdout, stderr io.Writer, say func(string)) (err error) {
	var results []scale.Result
	for i := 0; i < len(o.sizes)*len(o.rings) && err == nil; i++ {
		o.Services, o.Speakers = o.sizes[i%len(o.sizes)], o.rings[i/len(o.sizes)]
		o.Dir = filepath.Join(top, fmt.Sprintf("%d.%d", o.Services, o.Speakers))
		if err = os.Mkdir(o.Dir, 0o700); err != nil {
			break
		}
		var result scale.Result
		if result, err = scale.Measure(ctx, o.Options, o.Plan, say); err != nil {
			err = errors.Join(err, wire.WriteLogs(stderr, o.Dir))
			break
		}
		results = append(results, result)
	}
	fmt.Fprint(stdout, legend, "\n")
	return errors.Join(err, scale.Write(stdout, results))
}
