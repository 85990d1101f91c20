package schedslice

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// slice is how long a thread of the speaker wants to run at a time: it has less to do than that, and where all CPUs are busy the kernel
// gives those their turn sooner that ask for less. Neighbours take a speaker that waits for 0.3 s for a dead one.
const slice = 100 * time.Microsecond

// Ask asks the kernel for short slices for all threads of this process.
func Ask() error { return ask(slice) }

// ask asks the kernel for slices of this length for all threads of this process; those that come later inherit it. It needs no
// privilege. Kernels before 6.12 accept it without effect. A thread that somebody has given another scheduling policy keeps that.
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
