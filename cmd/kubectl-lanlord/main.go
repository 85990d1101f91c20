// Command kubectl-lanlord is a plugin of kubectl (kubectl lanlord). The plugin shows the state of Lanlord in a cluster,
// which node answers for which address and why, and what is wrong.
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

// completer is the name of the program that kubectl runs to complete the plugin's arguments.
const completer = "kubectl_complete-lanlord"

// The exit statuses.
const (
	exitOK    = 0
	exitWrong = 1 // the command has found something wrong
	exitError = 2 // the command has failed, or could not find out everything
)

// errWrong is the error of a command that has printed what is wrong with the cluster.
var errWrong = errors.New("something is wrong")

// errUnsure is the error of a command that could not find out everything, and has found nothing wrong in the rest. The
// command has printed the gaps.
var errUnsure = errors.New("not all could be found out")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args, world{connect, time.Now, daemon.Version(), browse}, os.Stdout, os.Stderr))
}

// world holds the program's access to the outside. Tests replace the parts.
type world struct {
	connect connector
	now     func() time.Time
	// version is the plugin's version.
	version string
	// browse opens an address in the user's browser.
	browse func(url string) error
}

// run runs the command line args and returns the exit status. The first element of args is the program's name.
func run(ctx context.Context, args []string, w world, stdout, stderr io.Writer) int {
	terminal, binary := stderr, stdout
	if hasColours(stdout, os.Getenv) {
		painted := newPainter(stdout)
		defer func() { _ = painted.Flush() }() // nothing is left but for a line that could not be written
		stdout = painted
	}
	stdout, stderr = &plainWriter{to: stdout}, &plainWriter{to: stderr}
	p := &plugin{world: w, stdout: stdout, stderr: stderr, terminal: terminal, binary: binary}
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
		return exitError // the user who interrupted the command needs no message
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	return exitError
}

// arguments returns the arguments for the root command. kubectl completes arguments with a program called completer;
// under that name, arguments requests the completion of the other arguments.
func arguments(args []string) []string {
	if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == completer {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}
