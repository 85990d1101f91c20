package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// doctorLook is the time from one examination to the next with --wait.
const doctorLook = 2 * time.Second

func (p *plugin) doctor() *cobra.Command {
	var wait, strict, pre bool
	command := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong: in the cluster, the configuration, the network", Args: args("", 0, 0),
	}
	command.Long = command.Short + ".\n\nIt probes the paths to some addresses: those whose last probe failed, and one address of each of some nodes. " +
		"That needs the right to execute in the Pods of Lanlord. Exit status 1 if something is wrong, 2 if nothing is known to be, but not all could " +
		"be looked at. A remark is for what may be meant so, and changes nothing of that, except with --strict."
	command.Example = `  kubectl lanlord doctor
  kubectl lanlord doctor --pre                  # before the installation: does this cluster suit
  kubectl lanlord doctor --wait --timeout 5m    # after an update, until all is well
  kubectl lanlord doctor --strict               # in a pipeline: a remark fails too
  kubectl lanlord doctor -o json | jq '.checks[] | select(.verdict != "ok")'`
	format := outputFlag(command)
	command.Flags().BoolVar(&wait, "wait", false, "Look again until all is well, or the time of --timeout is over")
	command.Flags().BoolVar(&strict, "strict", false, "Exit with status 1 also for a remark, and for what could not be looked at")
	command.Flags().BoolVar(&pre, "pre", false, "Check, before the installation, whether the cluster suits Lanlord")
	command.MarkFlagsMutuallyExclusive("pre", "wait")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		var d inspect.Diagnosis
		var err error
		if pre {
			d, err = p.prepare(cmd.Context())
		} else {
			d, err = p.examine(cmd.Context(), wait, strict)
		}
		if err != nil {
			return err
		}
		if err := p.print(d, *format); err != nil {
			return err
		}
		return judge(d, strict)
	}
	return command
}

// judge returns the error for the exit status.
func judge(d inspect.Diagnosis, strict bool) error {
	switch {
	case d.Verdict == inspect.Wrong, strict && d.Verdict != inspect.OK:
		return errWrong
	case d.Verdict == inspect.Unchecked:
		return errUnsure
	}
	return nil
}

// examine looks at the cluster once, or with wait until judge finds nothing or ctx ends. examine then returns the last
// diagnosis. Errors of the API server do not end the wait.
func (p *plugin) examine(ctx context.Context, wait, strict bool) (inspect.Diagnosis, error) {
	var last *inspect.Diagnosis
	for {
		c, a, err := p.look(ctx, thorough)
		if err == nil {
			p.probeChosen(ctx, c, a)
			last = new(inspect.Examine(c))
		}
		switch {
		case err != nil && (!wait || ctx.Err() != nil && last == nil):
			return inspect.Diagnosis{}, err
		case !wait, err == nil && judge(*last, strict) == nil, ctx.Err() != nil:
			return *last, nil
		}
		select {
		case <-ctx.Done():
			if last == nil {
				return inspect.Diagnosis{}, err
			}
			return *last, interrupted(ctx)
		case <-time.After(doctorLook):
		}
	}
}
