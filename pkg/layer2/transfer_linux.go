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

// batch is how many frames are taken from the kernel at once, if there are so many.
const batch = 16

// reading takes frames from a socket, several at once, each with the time at which the kernel received it.
type reading struct {
	transfer
	headers  [batch]messageHeader
	vectors  [batch]unix.Iovec
	controls [batch]control
	frames   [batch][frameSize]byte
	// taken is how many frames there are, next the one that is read next.
	taken, next int
}

// control has room for what the kernel tells beside a frame, in its order and aligned as it has it: the time, and, once there were any, how
// many frames were lost before this one.
type control struct {
	stamp unix.Cmsghdr
	at    unix.Timespec
	drops unix.Cmsghdr
	lost  uint32
	_     uint32
}

// messageHeader is struct mmsghdr of recvmmsg(2).
type messageHeader struct {
	unix.Msghdr
	length uint32
}

// prepare makes r ready for use. r must not be moved afterwards.
func (r *reading) prepare() {
	for i := range r.headers {
		r.vectors[i].Base = &r.frames[i][0]
		r.vectors[i].SetLen(frameSize)
		r.headers[i].Iov = &r.vectors[i]
		r.headers[i].SetIovlen(1)
		r.headers[i].Control = (*byte)(unsafe.Pointer(&r.controls[i]))
	}
	r.transfer.prepare(r.receive)
}

// receive is recvmmsg(2), which golang.org/x/sys/unix does not offer. It returns how many frames it has taken.
func (r *reading) receive(fd int, _ []byte) (int, error) {
	for i := range r.headers {
		r.headers[i].SetControllen(int(unsafe.Sizeof(r.controls[i])))
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.headers)), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// waited returns how long before now the frame was received. Kernels have no monotonic time for that: when the clock is set forward
// while a frame waits, it passes for older than it is, and when it is set back, for new.
func (r *reading) waited(now time.Time) time.Duration {
	c := r.told()
	if c == nil {
		return 0
	}
	return time.Duration(now.UnixNano() - c.at.Nano())
}

// told returns what the kernel told beside the frame that was read last, nil if that is not the time at least.
func (r *reading) told() *control {
	i := r.next - 1
	if i < 0 || r.headers[i].Controllen == 0 || r.controls[i].stamp.Level != unix.SOL_SOCKET || r.controls[i].stamp.Type != unix.SCM_TIMESTAMPNS {
		return nil
	}
	return &r.controls[i]
}

// lost returns how many frames the socket has lost before the one that was read last.
func (r *reading) lost() uint32 {
	c := r.told()
	const stamp = unsafe.Offsetof(control{}.drops)
	if c == nil || uintptr(r.headers[r.next-1].Controllen) <= stamp || c.drops.Level != unix.SOL_SOCKET || c.drops.Type != unix.SO_RXQ_OVFL {
		return 0
	}
	return c.lost
}

// Read implements io.Reader.
func (c *frameConn) Read(b []byte) (int, error) {
	r := &c.read
	r.awaited = false
	if r.next == r.taken {
		r.next, r.taken = 0, 0
		if err := c.raw.Read(r.do); err != nil {
			return 0, err
		}
		if r.err != nil {
			return 0, r.err
		}
		r.taken = r.n
		if r.taken == 0 {
			return 0, nil
		}
	}
	i := r.next
	r.next++
	return copy(b, r.frames[i][:r.headers[i].length]), nil
}

// Waited implements Dated.
func (c *frameConn) Waited(now time.Time) time.Duration { return c.read.waited(now) }

// Lost implements Lossy.
func (c *frameConn) Lost() uint32 { return c.read.lost() }

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
