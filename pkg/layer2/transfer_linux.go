package layer2

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// transfer is one read or write. The function do is made once, so that a reused transfer allocates nothing.
type transfer struct {
	b   []byte
	n   int
	err error
	// awaited is true when the call had to wait.
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

// batch is the maximum number of frames taken from the kernel at once.
const batch = 16

// reading takes several frames at once from a socket, each with the time at which the kernel received the frame.
type reading struct {
	transfer
	headers  [batch]messageHeader
	vectors  [batch]unix.Iovec
	controls [batch]control
	frames   [batch][frameSize]byte
	// taken is the number of frames in the batch, and next the index of the frame to read next.
	taken, next int
}

// control has room for the control messages of a frame, in the order and alignment of the kernel: the arrival time and,
// after the first loss, the number of frames lost before this frame.
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

// receive calls recvmmsg(2), which golang.org/x/sys/unix does not offer, and returns the number of frames taken. Like
// readAtOnce, receive does not tell the scheduler about the call.
func (r *reading) receive(fd int, _ []byte) (int, error) {
	for i := range r.headers {
		r.headers[i].SetControllen(int(unsafe.Sizeof(r.controls[i])))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.headers)), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// waited returns the time between the arrival of the frame and now. The kernel gives no monotonic arrival time: if the
// clock is set forward while a frame waits, the frame looks older; if the clock is set back, the frame looks new.
func (r *reading) waited(now time.Time) time.Duration {
	c := r.told()
	if c == nil {
		return 0
	}
	return time.Duration(now.UnixNano() - c.at.Nano())
}

// told returns the control messages of the last read frame, or nil if the arrival time is missing.
func (r *reading) told() *control {
	i := r.next - 1
	if i < 0 || r.headers[i].Controllen == 0 || r.controls[i].stamp.Level != unix.SOL_SOCKET || r.controls[i].stamp.Type != unix.SCM_TIMESTAMPNS {
		return nil
	}
	return &r.controls[i]
}

// lost returns the number of frames that the socket lost before the last read frame.
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

// writeNow implements prompt.
func (c *frameConn) writeNow(b []byte) error {
	var err error
	control := c.raw.Control(func(fd uintptr) { _, err = writeAtOnce(int(fd), b) })
	return errors.Join(control, err)
}
