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
	// logPatience is the time limit of a write to standard error while somebody reads. logTry is the limit after a
	// dropped line.
	logPatience = 100 * time.Millisecond
	logTry      = time.Millisecond
)

// openStderr returns a writer to standard error. If standard error is a pipe, as in a container, a write takes at most
// about logPatience. If the disk for logs is full or the runtime is stuck, nobody reads the pipe, and a process that
// waited for its log would stop answering. The writer drops and counts lines in that case. openStderr returns any other
// file unchanged.
func openStderr(stderr *os.File) io.Writer {
	info, err := stderr.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return stderr
	}
	// The pipe is opened anew, because all processes with the same open pipe share the flag O_NONBLOCK.
	pipe, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", stderr.Fd()), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return stderr
	}
	return &impatient{pipe: pipe}
}

// impatient writes to a pipe, and drops lines if a write takes too long.
type impatient struct {
	// mu guards the fields below. Many goroutines log, and more than one logger may write here.
	mu      sync.Mutex
	pipe    *os.File
	dropped int
}

// Write implements [io.Writer]. A dropped line counts as written.
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

// try writes line within a time limit.
func (w *impatient) try(line []byte, within time.Duration) (int, error) {
	if err := w.pipe.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return 0, err
	}
	return w.pipe.Write(line)
}
