package layer2

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var _ HeartbeatNetwork = (*host)(nil)

// heartbeatConn is a packet socket that the poller of the runtime does not know, so that a frame wakes nothing.
type heartbeatConn struct {
	// mu guards the descriptor against Close.
	mu   sync.Mutex
	fd   int
	open bool
	read reading
	// drained is true when the last frames from the kernel were all that waited.
	drained bool
}

// ListenHeartbeats implements HeartbeatNetwork.
func (h *host) ListenHeartbeats(i Interface) (HeartbeatConn, error) {
	fail := func(err error) (HeartbeatConn, error) {
		return nil, fmt.Errorf("open heartbeats on %s: %w", i.Name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	c := &heartbeatConn{fd: fd, open: true}
	c.read.prepare()
	if err := c.bind(i); err != nil {
		unix.Close(fd)
		return fail(err)
	}
	return c, nil
}

// bind sets the filter before the socket receives the first frame.
func (c *heartbeatConn) bind(i Interface) error {
	code, err := bpf.Assemble(heartbeatProgram())
	if err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: (*unix.SockFilter)(unsafe.Pointer(&code[0]))}
	if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("set the filter: %w", err)
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for times of arrival: %w", err)
	}
	return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: i.Index})
}

// bigEndian returns v with the bytes in the order of the network.
func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// ReadNow implements HeartbeatConn. ReadNow takes several frames from the kernel at once, and does not look for more
// after the last frame.
func (c *heartbeatConn) ReadNow(b []byte, now time.Time) (n int, waited time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.read
	if r.next == r.taken {
		r.next, r.taken = 0, 0
		if !c.open || c.drained {
			c.drained = false
			return 0, 0
		}
		r.taken, _ = r.receive(c.fd, nil) // after an error, neighbours are asked
		if r.taken == 0 {
			return 0, 0
		}
		c.drained = r.taken < batch
	}
	i := r.next
	r.next++
	return copy(b, r.frames[i][:r.headers[i].length]), r.waited(now)
}

// WriteNow implements HeartbeatConn.
func (c *heartbeatConn) WriteNow(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return net.ErrClosed
	}
	_, err := writeAtOnce(c.fd, frame)
	return err
}

// Close implements io.Closer.
func (c *heartbeatConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return net.ErrClosed
	}
	c.open = false
	return unix.Close(c.fd)
}
