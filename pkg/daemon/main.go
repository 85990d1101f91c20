package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
)

// ErrDone is returned when there is nothing left to do because what was asked for, such as --help, has been printed.
var ErrDone = errors.New("done")

// ErrFailed is returned by what has already printed why it failed. It ends the process with exit status 1 and no more words.
var ErrFailed = errors.New("failed")

// UsageError is a mistake in the command line. Its text names the flag and what it would accept.
type UsageError struct{ Problem string }

// Error returns the problem in one line.
func (e *UsageError) Error() string { return e.Problem }

// The exit statuses of both binaries.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // as the shell's builtins and most tools
)

// gcPercent is how much the heap may grow between two collections, in percent; see Main.
const gcPercent = 50

// Main calls run with the process's arguments and streams and returns the exit status: 0 when run returned nil or ErrDone,
// 2 after a UsageError, otherwise 1. An error other than ErrFailed is written to standard error in the form "name: error".
//
// The context ends at the first SIGTERM or SIGINT. A second one ends the process at once.
//
// The garbage collector runs when the heap has grown by half, and not when it has doubled as by default, unless the environment
// variable GOGC says something else: what these programs keep is small beside what passes through them. The collector works
// harder near the memory limit of the container, unless the environment variable GOMEMLIMIT says something else.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) int {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	limitMemory(os.DirFS("/"))
	runtime.MemProfileRate = 0 // its notes take more than a megabyte; see NewServer
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	stderr := openStderr(os.Stderr)
	return exitStatus(name, run(ctx, os.Args[1:], os.Stdout, stderr), stderr)
}

// exitStatus reports err on stderr and turns it into an exit status.
func exitStatus(name string, err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, ErrDone) {
		return exitOK
	}
	if errors.Is(err, ErrFailed) {
		return exitError
	}
	if usage, ok := errors.AsType[*UsageError](err); ok {
		line := strings.ReplaceAll(usage.Error(), "\n", " ")
		fmt.Fprintf(stderr, "%s: %s (see %s --help)\n", name, line, name)
		return exitUsage
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return exitError
}
