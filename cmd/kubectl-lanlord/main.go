// Command kubectl-lanlord is a plugin of kubectl (kubectl lanlord) that shows what Lanlord does in a cluster, who has which
// address and why, and what is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanlord/lanlord/pkg/daemon"
)

// completer is the name under which kubectl looks for what completes the plugin's arguments.
const completer = "kubectl_complete-lanlord"

// The exit statuses.
const (
	exitOK    = 0
	exitWrong = 1 // what was asked about is not as it should be
	exitError = 2 // it could not be found out, or done
)

// errWrong is returned by a command that has said what is wrong with the cluster.
var errWrong = errors.New("something is wrong")

// errUnsure is returned by a command that has said what could not be found out, and found nothing wrong in the rest.
var errUnsure = errors.New("not all could be found out")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args, world{connect, time.Now, daemon.Version()}, os.Stdout, os.Stderr))
}

// world is what the program meets outside of itself.
type world struct {
	connect connector
	now     func() time.Time
	// version is the plugin's.
	version string
}

// run runs the command line args, which begin with the program's name, and returns the exit status.
func run(ctx context.Context, args []string, w world, stdout, stderr io.Writer) int {
	terminal := stderr
	stdout, stderr = &plainWriter{to: stdout}, &plainWriter{to: stderr}
	p := &plugin{world: w, stdout: stdout, stderr: stderr, terminal: terminal}
	root := p.root()
	root.SetArgs(arguments(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errWrong):
		return exitWrong
	case errors.Is(err, errUnsure):
		return exitError
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitError // interrupted; whoever did that knows
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	return exitError
}

// arguments are those for the root command. Under the name that kubectl completes by, they are what is to be completed.
func arguments(args []string) []string {
	if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == completer {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}
