package scale

import (
	"cmp"
	"context"
	"os/exec"
)

// Side names a controller and a speaker that take turns with others.
type Side struct {
	// Name heads the side's column.
	Name string
	// Controller and Speaker are the paths of the programs.
	Controller, Speaker string
	// MetalLB is the path of MetalLB's own manifest if the programs are MetalLB's, of v0.14 or later. It is empty for
	// Lanlord's programs.
	MetalLB string
}

// prepare makes the speaker of a node the side's, before each start.
func (r *Rig) prepare(number int, cmd *exec.Cmd) error {
	if r.side.MetalLB != "" {
		r.guest.speaker(r.lab.Nodes()[number], number, cmd)
		return nil
	}
	cmd.Path = cmp.Or(r.side.Speaker, cmd.Path)
	cmd.Args[0] = cmd.Path
	return nil
}

// take gives a side its turn: ends the programs that run, and starts the side's.
func (r *Rig) take(ctx context.Context, s Side) (err error) {
	if err := r.halt(); err != nil {
		return err
	}
	if s.MetalLB != "" && r.guest == nil {
		if r.guest, err = r.newGuest(ctx, s); err != nil {
			return err
		}
	}
	r.side = s
	r.lab.WireOnly(s.MetalLB != "")
	for i := range r.options.Speakers {
		if err := r.lab.Start(i, nil); err != nil {
			return err
		}
	}
	if err := r.StartController(); err != nil {
		return err
	}
	switch {
	case s.MetalLB == "":
		return r.awaitController(ctx)
	case r.services == 0:
		return r.awaitGuest(ctx)
	default:
		return nil // a further Service could get an address that another one has before MetalLB has seen that one
	}
}

// halt ends the side that runs, if one does. Lanlord's controller is told to stop, so that the next one need not wait
// for its Lease.
func (r *Rig) halt() error {
	if r.controller != nil {
		if r.side.MetalLB == "" {
			if err := r.StopController(); err != nil {
				return err
			}
		} else {
			_ = r.controller.Process.Kill() // it may have ended
			<-r.ended
		}
		r.controller = nil
	}
	for i := range r.options.Speakers {
		if !r.lab.Running(i) {
			continue
		}
		if err := r.lab.Kill(i); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until each address is answered for by one node, however long that takes with many addresses.
func (r *Rig) settle(ctx context.Context) error {
	return until(ctx, "one node to answer for each address", progressPoll, func() (bool, error) {
		_, err := r.lab.Settle(ctx)
		return err == nil, err
	})
}
