package schedslice

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// slice is the requested time slice. The threads of the speaker need less time per run, and on a busy machine the
// kernel schedules threads with a short slice sooner. Other nodes consider a speaker dead after 0.3 s without an
// answer.
const slice = 100 * time.Microsecond

// Ask requests short slices for all threads of this process.
func Ask() error { return ask(slice) }

// ask requests slices of the given length for all threads of this process. Later threads inherit the slice. The request
// needs no privilege. Kernels before 6.12 accept the request without effect. A thread with another scheduling policy
// keeps its policy.
func ask(slice time.Duration) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		attr, err := unix.SchedGetAttr(id, 0)
		if err == nil && attr.Policy == unix.SCHED_NORMAL {
			attr.Runtime = uint64(slice)
			err = unix.SchedSetAttr(id, attr, 0)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // the thread may have ended
			return fmt.Errorf("thread %d: %w", id, err)
		}
	}
	return nil
}
