package membership

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

const (
	// maxStreams is the maximum number of open connections, and maxHostStreams the maximum from one address. A member
	// needs one connection at a time, and rarely two.
	maxStreams     = 64
	maxHostStreams = 4
	// maxStrangeStreams is the maximum number of open connections from addresses of neither members nor peers, so that
	// such hosts leave room for the members.
	maxStrangeStreams = 8
	// streamBase and streamPerNode limit the bytes from one connection: a message is shorter than streamBase, and the
	// exchange of the complete state takes less than streamPerNode for each node. memberlist keeps up to 20 MiB of a
	// connection in memory before memberlist decrypts the first byte.
	streamBase    = 64 << 10
	streamPerNode = 2 << 10
)

// errStreamTooLong is the error of a connection that sends more than the state of the whole cluster.
var errStreamTooLong = errors.New("the connection sends more than all members together have to say")

// streams counts the open accepted connections. Any goroutine may call the methods, because memberlist closes
// connections in its own goroutines.
type streams struct {
	mu      sync.Mutex
	open    int
	strange int
	hosts   map[netip.Addr]int
}

// admit counts a connection from an address, and returns the function that ends the count of the connection, or nil if
// there are too many connections.
func (s *streams) admit(from netip.Addr, expected bool) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxStreams || s.hosts[from] >= maxHostStreams || !expected && s.strange >= maxStrangeStreams {
		return nil
	}
	if s.hosts == nil {
		s.hosts = map[netip.Addr]int{}
	}
	s.count(from, expected, 1)
	var once sync.Once
	return func() {
		once.Do(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.count(from, expected, -1)
		})
	}
}

func (s *streams) count(from netip.Addr, expected bool, n int) {
	s.open += n
	if !expected {
		s.strange += n
	}
	if s.hosts[from] += n; s.hosts[from] == 0 {
		delete(s.hosts, from)
	}
}

// stream is an accepted connection with a limit on the number of bytes to read. Only one goroutine reads.
type stream struct {
	net.Conn
	left    int
	tooLong func()
	done    func()
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if s.left == 0 {
		s.tooLong()
		return 0, errStreamTooLong
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.done()
	return s.Conn.Close()
}
