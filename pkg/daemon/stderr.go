package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// logPatience is how long a write to standard error may take while it is read, and logTry while it is not.
	logPatience = 100 * time.Millisecond
	logTry      = time.Millisecond
)

// openStderr returns standard error, such that nobody waits for whoever reads it for long. In a container it is a pipe: when the
// disk for logs is full, or the runtime is stuck, nobody reads it, and a process that waited for its log would answer nobody. Lines are
// dropped then, and counted.
func openStderr(stderr *os.File) io.Writer {
	info, err := stderr.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return stderr
	}
	// Opened anew, since not to block is a property that all who have a pipe open share.
	pipe, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", stderr.Fd()), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return stderr
	}
	return &impatient{pipe: pipe}
}

// impatient writes to a pipe, unless that takes long.
type impatient struct {
	// mu guards the rest: what is logged comes from many goroutines, and more than one logger may write here.
	mu      sync.Mutex
	pipe    *os.File
	dropped int
}

// Write implements [io.Writer]. What it drops counts as written.
func (w *impatient) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	patience := logPatience
	if w.dropped > 0 {
		patience = logTry
		if _, err := w.try(fmt.Appendf(nil, "level=WARN msg=\"log lines were dropped, since nobody read them\" lines=%d\n", w.dropped), patience); err != nil {
			w.dropped++
			return len(line), nil
		}
		w.dropped = 0
	}
	n, err := w.try(line, patience)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.dropped++
		return len(line), nil
	}
	return n, err
}

// try writes within a time.
func (w *impatient) try(line []byte, within time.Duration) (int, error) {
	if err := w.pipe.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return 0, err
	}
	return w.pipe.Write(line)
}
