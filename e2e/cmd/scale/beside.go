package main

import (
	"cmp"
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

	"github.com/lanlord/lanlord/e2e/scale"
	"github.com/lanlord/lanlord/e2e/wire"
)

const besideLegend = `One row for each figure and number of Services. The sides take turns on one control plane: in each turn only the side's
controller and speakers run. A value is the median of the turns (the least to the most). CPU and context switches are those
of all threads of a process, of the speakers on average; memory is resident, of the speaker that has most. ARP: the speaker and
the kernel of one node answer in turns, 64 requests at a time or one. Creation: one by one, 8 requests at once.
`

// besideFlags adds the flags of a comparison, and returns what reads them when all flags are parsed.
func besideFlags(flags *flag.FlagSet, o *options) func(*options) error {
	var metallb scale.Side
	only := flags.String("only", "", "compare sides in turns, in these `parts`, separated by commas: "+strings.Join(scale.Parts(), ", "))
	beside := flags.Bool("beside", false, "compare sides in turns, in all parts")
	before := flags.String("before", "", "`folder` with another controller and speaker of Lanlord, which are a side too")
	flags.StringVar(&metallb.Speaker, "metallb-speaker", "", "MetalLB's speaker, v0.14 or later, a `program`: makes MetalLB a side")
	flags.StringVar(&metallb.Controller, "metallb-controller", "", "MetalLB's controller, a `program`")
	flags.StringVar(&metallb.MetalLB, "metallb-manifest", "", "MetalLB's own manifest of the same version, a `file`; empty means metallb-native.yaml beside the speaker")
	flags.IntVar(&o.turns.Rounds, "turns", 3, "how often each side has its turn")
	flags.IntVar(&o.turns.Crashes, "crashes", 3, "crashes in each turn with less than 1,000 Services")
	flags.DurationVar(&o.turns.Warm, "warm", 15*time.Second, "how long programs run before they are measured at rest")
	flags.IntVar(&o.turns.MostGuests, "metallb-most", 2000, "the most Services that MetalLB creates")
	return func(o *options) error {
		if *only != "" {
			o.turns.Parts = strings.Split(*only, ",")
		} else if *beside {
			o.turns.Parts = scale.Parts()
		}
		for _, part := range o.turns.Parts {
			if !slices.Contains(scale.Parts(), part) {
				return fmt.Errorf("no part is called %q; there are %s", part, strings.Join(scale.Parts(), ", "))
			}
		}
		if o.turns.Rounds < 1 || o.turns.Crashes < 1 || o.turns.Warm < 0 {
			return errors.New("no turns, no crashes, or less than no time to run before")
		}
		o.turns.Idle = o.Idle
		return o.sides(metallb, *before)
	}
}

// sides lists the sides: MetalLB and the programs of before, where they are named, and Lanlord.
func (o *options) sides(metallb scale.Side, before string) error {
	if metallb.Speaker != "" || metallb.Controller != "" {
		if metallb.Speaker == "" || metallb.Controller == "" {
			return errors.New("MetalLB needs -metallb-speaker and -metallb-controller")
		}
		metallb.Name = "MetalLB"
		metallb.MetalLB = cmp.Or(metallb.MetalLB, filepath.Join(filepath.Dir(metallb.Speaker), "metallb-native.yaml"))
		o.turns.Sides = append(o.turns.Sides, metallb)
	}
	if before != "" {
		o.turns.Sides = append(o.turns.Sides, scale.Side{
			Name: "before", Controller: filepath.Join(before, "controller"), Speaker: filepath.Join(before, "speaker"),
		})
	}
	o.turns.Sides = append(o.turns.Sides, scale.Side{Name: "now", Controller: o.Controller, Speaker: o.Speaker})
	for i := range o.turns.Sides {
		s := &o.turns.Sides[i]
		for _, path := range []*string{&s.Controller, &s.Speaker, &s.MetalLB} {
			if *path == "" {
				continue
			}
			var err error
			if *path, err = filepath.Abs(*path); err != nil {
				return err
			}
			if _, err := os.Stat(*path); err != nil {
				return err
			}
		}
	}
	return nil
}

// beside compares the sides with each number of Services and of speakers, and prints the table, also of a run that is
// ended early.
func (o options) beside(ctx context.Context, top string, stdout, stderr io.Writer, say func(string)) (err error) {
	var all []scale.Comparison
	for i := 0; i < len(o.sizes)*len(o.rings) && err == nil; i++ {
		o.turns.Services, o.Speakers = o.sizes[i%len(o.sizes)], o.rings[i/len(o.sizes)]
		o.Dir = filepath.Join(top, fmt.Sprintf("%d.%d", o.turns.Services, o.Speakers))
		if err = os.Mkdir(o.Dir, 0o755); err != nil {
			break
		}
		var c scale.Comparison
		if c, err = scale.Beside(ctx, o.Options, o.turns, say); err != nil {
			err = errors.Join(err, wire.WriteLogs(stderr, o.Dir))
		}
		all = append(all, c)
	}
	fmt.Fprint(stdout, besideLegend, "\n")
	return errors.Join(err, scale.WriteBeside(stdout, all))
}
