package layer2

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// transfer is one read or write, with its function made beforehand so that it can be used again without allocating.
type transfer struct {
	b   []byte
	n   int
	err error
	// awaited is true when the call could not be done at once.
	awaited bool
	do      func(fd uintptr) bool
}

func (t *transfer) prepare(call func(fd int, b []byte) (int, error)) {
	t.do = func(fd uintptr) bool {
		for {
			t.n, t.err = call(int(fd), t.b)
			if !errors.Is(t.err, unix.EINTR) {
				break
			}
		}
		t.awaited = t.awaited || errors.Is(t.err, unix.EAGAIN)
		return !errors.Is(t.err, unix.EAGAIN)
	}
}

// reading is a transfer of a frame that comes with the time at which the kernel received it.
type reading struct {
	transfer
	header unix.Msghdr
	vector unix.Iovec
	// control has room for one message, aligned as the kernel has it.
	control struct {
		unix.Cmsghdr
		at unix.Timespec
	}
}

// prepare makes r ready for use. r must not be moved afterwards.
func (r *reading) prepare() {
	r.header.Iov = &r.vector
	r.header.SetIovlen(1)
	r.header.Control = (*byte)(unsafe.Pointer(&r.control))
	r.transfer.prepare(r.receive)
}

// receive is recvmsg(2), which golang.org/x/sys/unix offers only with an address of the sender that it allocates.
func (r *reading) receive(fd int, b []byte) (int, error) {
	r.vector.Base = unsafe.SliceData(b)
	r.vector.SetLen(len(b))
	r.header.SetControllen(int(unsafe.Sizeof(r.control)))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.header)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// waited returns how long before now the frame was received. Kernels have no monotonic time for that: when the clock is set forward
// while a frame waits, it passes for older than it is, and when it is set back, for new.
func (r *reading) waited(now time.Time) time.Duration {
	if r.header.Controllen == 0 || r.control.Level != unix.SOL_SOCKET || r.control.Type != unix.SCM_TIMESTAMPNS {
		return 0
	}
	return time.Duration(now.UnixNano() - r.control.at.Nano())
}

// Read implements io.Reader.
func (c *frameConn) Read(b []byte) (int, error) {
	c.read.b, c.read.awaited = b, false
	if err := c.raw.Read(c.read.do); err != nil {
		return 0, err
	}
	return max(0, c.read.n), c.read.err
}

// Waited implements Dated.
func (c *frameConn) Waited(now time.Time) time.Duration { return c.read.waited(now) }

// Awaited implements Awaiting.
func (c *frameConn) Awaited() bool { return c.read.awaited }

// Write implements io.Writer.
func (c *frameConn) Write(b []byte) (int, error) {
	t := c.writes.Get().(*transfer)
	defer c.writes.Put(t)
	t.b = b
	err := c.raw.Write(t.do)
	t.b = nil
	if err != nil {
		return 0, err
	}
	return max(0, t.n), t.err
}
