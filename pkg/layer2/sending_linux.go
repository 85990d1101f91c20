package layer2

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sending sends several frames at once.
type sending struct {
	headers [batch]messageHeader
	vectors [batch]unix.Iovec
	// count is the number of frames, and next the index of the frame to send next.
	count, next int
	// refused is the number of frames before next that the kernel refused, and err the reason for the last of them.
	refused int
	err     error
	do      func(fd uintptr) bool
}

// prepare makes s ready for use. s must not be moved afterwards.
func (s *sending) prepare() {
	for i := range s.headers {
		s.headers[i].Iov = &s.vectors[i]
		s.headers[i].SetIovlen(1)
	}
	s.do = s.send
}

// load makes frames the frames to send, at most batch of them, none empty.
func (s *sending) load(frames [][]byte) {
	for i, frame := range frames {
		s.vectors[i].Base = unsafe.SliceData(frame)
		s.vectors[i].SetLen(len(frame))
	}
	s.count, s.next, s.refused, s.err = len(frames), 0, 0, nil
}

// send calls sendmmsg(2), which golang.org/x/sys/unix does not offer, until each frame is sent or refused. send returns
// false if the socket has no room; the next call goes on from there. The kernel stops at a frame that it refuses, and
// tells the reason only if that frame is the first of the call.
func (s *sending) send(fd uintptr) bool {
	for s.next < s.count {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.headers[s.next])), uintptr(s.count-s.next), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			s.next += int(n)
		case errors.Is(errno, unix.EAGAIN):
			return false
		case !errors.Is(errno, unix.EINTR):
			s.refused, s.err = s.refused+1, errno
			s.next++
		}
	}
	return true
}

// WriteAll implements Gathering.
func (c *frameConn) WriteAll(frames [][]byte) (unsent int, err error) {
	s := &c.send
	for len(frames) > 0 {
		n := min(len(frames), batch)
		s.load(frames[:n])
		if err := c.raw.Write(s.do); err != nil {
			sent := s.next - s.refused
			return unsent + len(frames) - sent, err
		}
		if s.err != nil {
			unsent, err = unsent+s.refused, s.err
		}
		frames = frames[n:]
	}
	return unsent, err
}

// Gathered implements Gathering.
func (c *frameConn) Gathered() bool { return c.read.next < c.read.taken }
