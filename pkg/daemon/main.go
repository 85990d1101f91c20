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

// ErrDone means that the requested output, such as --help, has been printed and nothing is left to do.
var ErrDone = errors.New("done")

// ErrFailed means that the reason of the failure has already been printed. The process ends with exit status 1 and
// prints nothing else.
var ErrFailed = errors.New("failed")

// UsageError is a mistake in the command line. The text names the flag and the accepted values.
type UsageError struct{ Problem string }

// Error returns the problem in one line.
func (e *UsageError) Error() string { return e.Problem }

// The exit statuses of both binaries.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // as in the shell's builtins and most tools
)

// gcPercent is the growth of the heap between two collections, in percent; see Main.
const gcPercent = 50

// Main calls run with the process's arguments and streams and returns the exit status: 0 if run returned nil or
// ErrDone, 2 after a UsageError, otherwise 1. Main writes an error other than ErrFailed to standard error in the form
// "name: error".
//
// The context ends at the first SIGTERM or SIGINT. A second signal ends the process at once.
//
// The garbage collector runs when the heap has grown by half instead of doubled (Go's default), unless the environment
// variable GOGC is set: these programs keep little memory and allocate much for a short time. The collector works
// harder near the memory limit of the container, unless the environment variable GOMEMLIMIT is set.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) int {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	limitMemory(os.DirFS("/"))
	runtime.MemProfileRate = 0 // the records of the profile take more than a megabyte; see NewServer
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	stderr := openStderr(os.Stderr)
	return exitStatus(name, run(ctx, os.Args[1:], os.Stdout, stderr), stderr)
}

// exitStatus reports err on stderr and returns the exit status.
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
