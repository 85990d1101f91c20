package layer2

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// No system call for a frame or a tick waits: reads and writes return EAGAIN instead. So these calls go past the
// scheduler of the Go runtime (unix.RawSyscall), like a computation. A call that the scheduler knows of costs more than
// the frame: in an idle process the call wakes the monitor thread of the runtime, which then stays awake for
// milliseconds.

// readAtOnce calls read(2) for a descriptor in non-blocking mode.
func readAtOnce(fd int, b []byte) (int, error) { return transferAtOnce(unix.SYS_READ, fd, b) }

// writeAtOnce calls write(2) for a descriptor in non-blocking mode.
func writeAtOnce(fd int, b []byte) (int, error) { return transferAtOnce(unix.SYS_WRITE, fd, b) }

func transferAtOnce(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
