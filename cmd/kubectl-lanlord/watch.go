package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// shortestInterval is the least time between two looks. Each look asks every speaker.
const shortestInterval = 500 * time.Millisecond

func (p *plugin) watch() *cobra.Command {
	command := &cobra.Command{
		Use: "watch", Short: "Show changes as they happen: of Services, owners, speakers and the configuration", Args: args("", 0, 0),
		Long: "Shows changes as they happen, one on a line, until it is interrupted: Services that come, wait, get addresses and go; nodes that " +
			"take addresses over; speakers that come and go; the configuration. With -o json each line is an object, with -o yaml a document.",
	}
	command.Example = `  kubectl lanlord watch
  kubectl lanlord watch --for 10m --interval 5s
  kubectl lanlord watch --for 1h -o json | jq -r '.message'`
	format := outputFlag(command)
	interval := command.Flags().Duration("interval", 2*time.Second, "Time from one look to the next; each asks every speaker")
	limit := command.Flags().Duration("for", 0, "Time after which to end; 0 means never")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		if *interval < shortestInterval {
			return fmt.Errorf("--interval %v is too short: must be at least %v", *interval, shortestInterval)
		}
		if *limit < 0 {
			return fmt.Errorf("--for %v is negative: must be a duration such as 10m, or 0 for no end", *limit)
		}
		ctx := cmd.Context()
		if *limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, *limit)
			defer cancel()
		}
		return p.follow(ctx, *interval, *format)
	}
	return command
}

// follow prints changes until ctx ends.
func (p *plugin) follow(ctx context.Context, interval time.Duration, format string) error {
	before, _, err := p.look(ctx, ordinary)
	if err != nil {
		return err
	}
	p.noteGaps(before)
	fmt.Fprintf(p.stderr, "watching %s and %s\n", inspect.Count(len(before.Services), "Service"),
		inspect.Count(len(before.Speakers), "speaker"))
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		after, _, err := p.look(ctx, ordinary)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			// Go on: the trouble that the user watches for often makes the API server unreachable as well.
			if failing != err.Error() {
				failing = err.Error()
				fmt.Fprintf(p.stderr, "%s  %v\n", p.now().Format(time.TimeOnly), err)
			}
			continue
		}
		failing = ""
		for _, c := range inspect.Changes(before, after) {
			if err := p.tell(c, format); err != nil {
				return err
			}
		}
		before = after
	}
}

// tell writes one change.
func (p *plugin) tell(c inspect.Change, format string) error {
	if format != "json" && format != "yaml" {
		_, err := fmt.Fprintln(p.stdout, c)
		return err
	}
	text, err := marshal(c, format)
	switch {
	case err != nil:
		return err
	case format == "json":
		_, err = fmt.Fprintf(p.stdout, "%s\n", text)
	default:
		_, err = fmt.Fprintf(p.stdout, "---\n%s", text)
	}
	return err
}
