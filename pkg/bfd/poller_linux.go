package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// waker wakes a poller from another goroutine.
type waker struct{ fd int }

func newWaker() (*waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	return &waker{fd: fd}, nil
}

// wake never blocks. The write fails only when the poller has 2^64-2 wake-ups already.
func (w *waker) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(w.fd, one[:])
}

func (w *waker) close() { unix.Close(w.fd) }

// poller waits on one thread for sockets, a waker and a timer with the kernel's precision.
type poller struct {
	epoll, timer int
	waker        *waker
	// start is a reading of both clocks: the wall clock with Go's monotonic part, and CLOCK_MONOTONIC, which all
	// processes of the host share.
	start     time.Time
	monotonic time.Duration
	events    [4]unix.EpollEvent
	counter   [8]byte
	spec      unix.ItimerSpec
	armed     time.Duration
}

func newPoller(w *waker) (*poller, error) {
	p := &poller{epoll: -1, timer: -1, waker: w}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	p.start, p.monotonic = time.Now(), time.Duration(now.Nano())
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		p.close()
		return nil, fmt.Errorf("open timerfd: %w", err)
	}
	for _, fd := range []int{p.timer, w.fd} {
		if err := p.add(fd); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *poller) close() {
	unix.Close(p.epoll)
	if p.timer >= 0 {
		unix.Close(p.timer)
	}
}

// now returns the monotonic time and the same moment with the wall clock.
func (p *poller) now() (time.Duration, time.Time) {
	now := time.Now()
	return p.monotonic + now.Sub(p.start), now
}

// wall returns the time of the wall clock for a monotonic time, as people read it.
func (p *poller) wall(t time.Duration) time.Time { return p.start.Add(t - p.monotonic) }

func (p *poller) add(fd int) error {
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN,
		Fd: int32(fd)}); err != nil {
		return fmt.Errorf("wait for a socket: %w", err)
	}
	return nil
}

func (p *poller) remove(fd int) {
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil) // fails only for a descriptor that is not there
}

// wait returns at the deadline, after a packet or after a wake-up.
func (p *poller) wait(deadline time.Duration) error {
	if deadline != p.armed {
		p.armed = deadline
		p.spec.Value = unix.NsecToTimespec(max(int64(deadline), 1))
		if err := unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &p.spec, nil); err != nil {
			return fmt.Errorf("set timer: %w", err)
		}
	}
	n, err := unix.EpollWait(p.epoll, p.events[:], -1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait: %w", err)
	}
	for i := range max(n, 0) {
		switch fd := int(p.events[i].Fd); fd {
		case p.timer:
			p.armed = 0 // the timer must be set again
			_, _ = unix.Read(fd, p.counter[:])
		case p.waker.fd:
			_, _ = unix.Read(fd, p.counter[:])
		}
	}
	return nil
}
