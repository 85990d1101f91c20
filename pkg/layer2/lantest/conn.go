package lantest

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// conn is a socket.
type conn struct {
	nic      *NIC
	protocol layer2.Protocol
	frames   chan arrival
	came     time.Time // arrival time of the last read frame
	end      chan struct{}
	err      error // the reason for the end
	groups   map[netip.Addr]struct{}
}

// arrival is a received frame and the time of its arrival.
type arrival struct {
	data []byte
	at   time.Time
}

// heartbeats is the protocol of the sockets for heartbeats.
const heartbeats layer2.Protocol = 255

var (
	_ layer2.GroupConn     = (*conn)(nil)
	_ layer2.HeartbeatConn = (*conn)(nil)
	_ layer2.Dated         = (*conn)(nil)
)

// finish ends the socket. The caller holds the mutex.
func (s *conn) finish(err error) {
	if s.err == nil {
		s.err = err
		close(s.end)
		delete(s.nic.conns, s)
	}
}

// Read implements io.Reader.
func (s *conn) Read(b []byte) (int, error) {
	select {
	case <-s.end:
		return 0, s.err
	case f := <-s.frames:
		s.came = f.at
		if thaw := s.nic.frozen(); thaw != nil {
			select {
			case <-s.end:
				return 0, s.err
			case <-thaw:
			}
		}
		return copy(b, f.data), nil
	}
}

// ReadNow implements layer2.HeartbeatConn.
func (s *conn) ReadNow(b []byte, now time.Time) (n int, waited time.Duration) {
	if s.nic.frozen() != nil {
		return 0, 0
	}
	select {
	case f := <-s.frames:
		return copy(b, f.data), now.Sub(f.at)
	default:
		return 0, 0
	}
}

// WriteNow implements layer2.HeartbeatConn.
func (s *conn) WriteNow(frame []byte) error {
	_, err := s.Write(frame)
	return err
}

// Waited implements layer2.Dated.
func (s *conn) Waited(now time.Time) time.Duration { return now.Sub(s.came) }

// Write implements io.Writer.
func (s *conn) Write(b []byte) (int, error) {
	s.nic.node.lan.mu.Lock()
	defer s.nic.node.lan.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case !s.nic.state.Up:
		return 0, syscall.ENETDOWN
	case s.nic.thaw != nil:
		return len(b), nil
	}
	s.nic.node.lan.send(s.nic.link, s.nic.outgoing(b))
	return len(b), nil
}

// Close implements io.Closer.
func (s *conn) Close() error {
	s.nic.node.lan.mu.Lock()
	defer s.nic.node.lan.mu.Unlock()
	s.finish(net.ErrClosed)
	return nil
}

// Join implements layer2.GroupConn. As in the kernel, a socket can join a group only once.
func (s *conn) Join(group netip.Addr) error { return s.member(group, true) }

// Leave implements layer2.GroupConn.
func (s *conn) Leave(group netip.Addr) error { return s.member(group, false) }

func (s *conn) member(group netip.Addr, join bool) error {
	s.nic.node.lan.mu.Lock()
	defer s.nic.node.lan.mu.Unlock()
	_, joined := s.groups[group]
	switch {
	case s.err != nil:
		return s.err
	case !group.IsMulticast() || !group.Is6():
		return errors.New("no IPv6 group")
	case join && joined:
		return syscall.EADDRINUSE
	case !join && !joined:
		return syscall.EADDRNOTAVAIL
	case join:
		s.groups[group] = struct{}{}
	default:
		delete(s.groups, group)
	}
	return nil
}
