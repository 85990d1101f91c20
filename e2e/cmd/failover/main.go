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
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

const legend = `Times are in milliseconds. gap: longest time without an answer, for a client with a neighbour table that pings every
millisecond; lost: its pings that were not answered; empty: the same time for a client that empties the table before each
ping, every 10 ms. owners: nodes that answered for the address at once, and overlap: how long; both the most of all
rounds. taken: from the fault to the announcement by another node, of the first address of the owner, and last: of its last
one; spread: between the two. moves: how often any address was announced by another node than before, at most.
`

// options are the flags.
type options struct {
	wire.Options
	rounds, many int
	sizes        []int
	faults       []wire.Fault
	verbose      bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

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
	sizes := flags.String("sizes", "3", "`numbers` of nodes, separated by commas; the fault many happens with the first only")
	faults := flags.String("faults", strings.Join(names, ","), "`names` of faults, separated by commas")
	if err := flags.Parse(args); err != nil {
		return o, err
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
		o.faults = append(o.faults, wire.Faults()[i])
	}
	if o.rounds < 1 || o.many < 1 {
		return o, errors.New("no rounds, or not many addresses")
	}
	var err error
	o.Speaker, err = filepath.Abs(o.Speaker)
	return o, err
}

// run prints the table also of rounds before one that failed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	top, err := os.MkdirTemp("", "failover-")
	if err != nil {
		return err
	}
	var report wire.Report
	start := time.Now()
	for i, size := range o.sizes {
		if err = measure(ctx, o, size, i == 0, top, &report, stderr); err != nil {
			break
		}
	}
	fmt.Fprint(stdout, legend, "\n")
	err = errors.Join(err, report.Write(stdout))
	fmt.Fprintf(stdout, "\n%d rounds each, %v\n", o.rounds, time.Since(start).Round(time.Second))
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, os.RemoveAll(top))
	}
	return fmt.Errorf("%w\nthe speakers' logs are in %s", err, top)
}

// measure runs all rounds with one number of nodes: one laboratory for most faults, and another one for each round of the
// rest.
func measure(ctx context.Context, o options, size int, many bool, top string, report *wire.Report, stderr io.Writer) error {
	var common []wire.Fault
	for _, f := range o.faults {
		if !f.Many {
			common = append(common, f)
		}
	}
	o.Nodes = size
	if len(common) > 0 {
		if err := rounds(ctx, o, common, o.rounds, top, report, stderr); err != nil {
			return err
		}
	}
	for _, f := range o.faults {
		for i := 0; f.Many && many && i < o.rounds; i++ {
			// Fresh ones: what the owner had may stay elsewhere.
			o.IPv4, o.IPv6 = o.many*size, 0
			if err := rounds(ctx, o, []wire.Fault{f}, 1, top, report, stderr); err != nil {
				return err
			}
		}
	}
	return nil
}

// rounds makes a laboratory and lets each fault happen in it n times. The logs of one that worked well are removed.
func rounds(ctx context.Context, o options, faults []wire.Fault, n int, top string, report *wire.Report, stderr io.Writer) (err error) {
	if o.Logs, err = os.MkdirTemp(top, fmt.Sprintf("%d-nodes-", o.Nodes)); err != nil {
		return err
	}
	lab, err := wire.New(o.Options)
	if err != nil {
		return err
	}
	defer lab.Close()
	for range n {
		for _, f := range faults {
			result, err := lab.Round(ctx, f)
			if err != nil {
				return fmt.Errorf("%s with %d nodes: %w", f.Name, o.Nodes, err)
			}
			report.Add(result)
			if o.verbose {
				fmt.Fprintf(stderr, "%+v\n", result)
			}
		}
	}
	return nil
}
