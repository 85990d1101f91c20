package layer2

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelTicks are the ticks of timerfd_create(2). The poller of the runtime watches the timer like a socket, so that a
// tick wakes one thread. A timer of the runtime wakes a thread that runs the timer, often another thread for the
// waiting goroutine, and always the monitor of the runtime, which then sleeps several times for 20 microseconds.
type kernelTicks struct {
	raw  syscall.RawConn
	read transfer
}

// ticks implements ticking.
func (h *host) ticks(ctx context.Context, interval time.Duration) (ticks, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	file := os.NewFile(uintptr(fd), "timer")
	every := unix.NsecToTimespec(int64(interval))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		file.Close()
		return nil, fmt.Errorf("set a timer: %w", err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("use a timer: %w", err)
	}
	context.AfterFunc(ctx, func() { file.Close() })
	t := &kernelTicks{raw: raw}
	t.read.b = make([]byte, unsafe.Sizeof(uint64(0)))
	t.read.prepare(readAtOnce)
	return t, nil
}

func (t *kernelTicks) next() bool { return t.raw.Read(t.read.do) == nil && t.read.err == nil }
