package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/lanlord/lanlord/pkg/daemon"
)

// podEnv is where the manifest tells the speaker its Pod's name. Speaker and probe both take it from there, and not from
// --pod-name, which the probe does not see.
const podEnv = "POD_NAME"

// probeCommand is the word that makes this binary ask the running one, since the image holds nothing else that could.
const probeCommand = "probe"

// probe asks the speaker of this Pod, and of no other on this node, whether it is live or ready.
func probe(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return &daemon.UsageError{Problem: fmt.Sprintf("%s takes one word, live or ready, not %d", probeCommand, len(args))}
	}
	pod := os.Getenv(podEnv)
	if pod == "" {
		if _, err := fmt.Fprintf(stdout, "%s is not set, so no speaker of this Pod can be asked\n", podEnv); err != nil {
			return err
		}
		return daemon.ErrFailed
	}
	return daemon.Probe(ctx, pod, args[0], stdout)
}
