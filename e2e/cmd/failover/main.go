// Command failover lets faults happen to speakers in network namespaces, and prints a table of what clients noticed; see
// package wire. Needs root.
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
	"strconv"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/wire"
)

const legend = `Times are in milliseconds. failed: rounds that could not be measured, or after which the cluster did not come to rest.
gap: longest time without an answer, for a client with a neighbour table that pings every millisecond; lost: its pings that
were not answered; empty: the same time for a client that empties the table before each ping, every 10 ms. owners: nodes that
answered for the address at once, and overlap: how long; both the most of all rounds. taken: from the fault to the
announcement by another node, of the first address of the owner, and last: of its last one; spread: between the two. moves:
how often any address was announced by another node than before, at most.
`

// options are the flags.
type options struct {
	wire.Options
	rounds, many int
	sizes        []int
	faults       []wire.Fault
	verbose      bool
	rest         time.Duration
	// rawTo is a file that each round is appended to; from are such files, of which to print the table and do nothing else.
	rawTo string
	from  []string
}

func main() { command.Main(run) }

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("failover", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := make([]string, 0, 16)
	for _, f := range wire.Faults() {
		names = append(names, f.Name)
	}
	flags.StringVar(&o.Speaker, "speaker", "../bin/speaker", "the `program`")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of each fault")
	flags.IntVar(&o.IPv4, "ipv4", 12, "IPv4 addresses that are announced")
	flags.IntVar(&o.IPv6, "ipv6", 0, "IPv6 addresses that are announced")
	flags.IntVar(&o.many, "many", 700, "addresses of the owner in the fault many, about")
	flags.StringVar(&o.Layer2, "layer2", "", "`keys` of the configuration below layer2, as \"refresh: 0s\"")
	flags.StringVar(&o.LogLevel, "log-level", "info", "the speakers' `level`; debug slows them down")
	flags.BoolVar(&o.verbose, "v", false, "print each round")
	flags.StringVar(&o.rawTo, "raw-to", "", "append each round to this `file`, as a line of JSON")
	from := flags.String("from", "", "only print the table of the rounds in these `files`, separated by commas, that -raw-to has written")
	flags.DurationVar(&o.rest, "rest", 11*time.Second,
		"how long the nodes rest before each fault; in the first 10 s a node does not know its lateness, and has more patience")
	busy := flags.Duration("busy", 0, "how long the fault busy lasts, if not 8 s")
	sizes := flags.String("sizes", "3", "`numbers` of nodes, separated by commas; the fault many happens with the first only")
	faults := flags.String("faults", strings.Join(names, ","), "`names` of faults, separated by commas")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 {
			return o, fmt.Errorf("%q is no number of nodes", text)
		}
		o.sizes = append(o.sizes, n)
	}
	for name := range strings.SplitSeq(*faults, ",") {
		i := slices.IndexFunc(wire.Faults(), func(f wire.Fault) bool { return f.Name == name })
		if i < 0 {
			return o, fmt.Errorf("no fault is called %q; there are %s", name, strings.Join(names, ", "))
		}
		f := wire.Faults()[i]
		if f.Name == "busy" && *busy > 0 {
			f.Hold = *busy
		}
		o.faults = append(o.faults, f)
	}
	if *from != "" {
		o.from = strings.Split(*from, ",")
	}
	if o.rounds < 1 || o.many < 1 {
		return o, errors.New("no rounds, or not many addresses")
	}
	var err error
	o.Speaker, err = filepath.Abs(o.Speaker)
	return o, err
}

// bench is one run of the command.
type bench struct {
	options
	top    string
	report wire.Report
	failed int
	stderr io.Writer
	raw    io.Writer
}

// run prints the table, also of a run that is ended early.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b := &bench{options: o, stderr: stderr, raw: io.Discard}
	if len(o.from) > 0 {
		return b.print(stdout)
	}
	if o.rawTo != "" {
		file, err := os.OpenFile(o.rawTo, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer file.Close() // each line was written by itself
		b.raw = file
	}
	if b.top, err = os.MkdirTemp("", "failover-"); err != nil {
		return err
	}
	start := time.Now()
	for i, size := range o.sizes {
		b.Nodes = size
		if err = b.measure(ctx, i == 0); err != nil {
			break
		}
	}
	fmt.Fprint(stdout, legend, "\n")
	err = errors.Join(err, b.report.Write(stdout))
	fmt.Fprintf(stdout, "\n%v\n", time.Since(start).Round(time.Second))
	switch {
	case b.failed > 0:
		return errors.Join(err, fmt.Errorf("%d rounds failed; the logs of their speakers are in %s", b.failed, b.top))
	default:
		return errors.Join(err, os.RemoveAll(b.top))
	}
}

// print prints the table of the rounds in files.
func (b *bench) print(stdout io.Writer) error {
	for _, path := range b.from {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		err = b.report.Read(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	fmt.Fprint(stdout, legend, "\n")
	return b.report.Write(stdout)
}

// measure runs all rounds with one number of nodes: in one laboratory for most faults, and in another one for each round of
// the rest, since what the owner had may stay elsewhere.
func (b *bench) measure(ctx context.Context, many bool) error {
	var common, alone []wire.Fault
	for range b.rounds {
		for _, f := range b.faults {
			switch {
			case !f.Many:
				common = append(common, f)
			case many:
				alone = append(alone, f)
			}
		}
	}
	for len(common) > 0 {
		done, err := b.laboratory(ctx, b.Options, common)
		if err != nil {
			return err
		}
		common = common[done:]
	}
	for _, f := range alone {
		o := b.Options
		o.IPv4, o.IPv6 = b.many*b.Nodes, 0
		if _, err := b.laboratory(ctx, o, []wire.Fault{f}); err != nil {
			return err
		}
	}
	return nil
}

// laboratory makes one and lets faults happen in it until a round fails, and returns how many did. The logs are kept if one
// failed. Its error is of the laboratory, or ctx's.
func (b *bench) laboratory(ctx context.Context, o wire.Options, faults []wire.Fault) (done int, err error) {
	if o.Logs, err = os.MkdirTemp(b.top, fmt.Sprintf("%d-nodes-", o.Nodes)); err != nil {
		return 0, err
	}
	lab, err := wire.New(o)
	if err != nil {
		return 0, err
	}
	defer lab.Close()
	for _, f := range faults {
		if err := wire.Pause(ctx, b.rest); err != nil {
			return done, err
		}
		result, err := lab.Round(ctx, f)
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		b.report.Add(result, err != nil)
		if err := (wire.Record{Result: result, Failed: err != nil}).Write(b.raw); err != nil {
			return done, fmt.Errorf("keep the round: %w", err)
		}
		if b.verbose {
			fmt.Fprintf(b.stderr, "%+v\n", result)
		}
		done++
		if err != nil {
			b.failed++
			fmt.Fprintf(b.stderr, "%s with %d nodes failed: %v\nthe speakers' logs, which are in %s, end so:\n", f.Name, o.Nodes, err, o.Logs)
			return done, wire.WriteLogs(b.stderr, o.Logs)
		}
	}
	return done, os.RemoveAll(o.Logs)
}
