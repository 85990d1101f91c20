package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveTimeout is how long a read of the sniffer may block, so that it ends soon after it was told to.
const receiveTimeout = 100 * time.Millisecond

// sniffer sees all that passes an interface, as the LAN's bridge, and notes the claims to the addresses that it was told of.
type sniffer struct {
	wanted func(netip.Addr) bool
	sender [2]netip.Addr
	mac    MAC
	fds    []int
	closed atomic.Bool
	// tap is called with each frame; nil if there is none.
	tap   atomic.Pointer[func(time.Time, []byte)]
	ended sync.WaitGroup

	// mu guards claims, which the sockets' goroutines append to.
	mu     sync.Mutex
	claims []Claim
}

// newSniffer starts one on an interface of a namespace. sender are addresses of either family to ask from.
func newSniffer(n *namespace, name string, sender [2]netip.Addr, wanted func(netip.Addr) bool) (*sniffer, error) {
	link, err := n.link.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	mac := link.Attrs().HardwareAddr
	if len(mac) != len(MAC{}) {
		return nil, fmt.Errorf("%s is no Ethernet interface", name)
	}
	s := &sniffer{wanted: wanted, sender: sender, mac: MAC(mac)}
	for _, protocol := range []uint16{etherARP, etherIPv6} {
		var fd int
		if err = n.do(func() (err error) { fd, err = listen(link.Attrs().Index, protocol); return }); err != nil {
			break
		}
		s.fds = append(s.fds, fd)
		s.ended.Go(func() { s.read(fd) })
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("listen on %s: %w", name, err)
	}
	return s, nil
}

// listen opens a packet socket that also sees what is not for the bridge, with the kernel's times of arrival.
func listen(index int, protocol uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	timeout := unix.NsecToTimeval(receiveTimeout.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: index}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// read notes claims until the sniffer is closed.
func (s *sniffer) read(fd int) {
	frame, control := make([]byte, 2048), make([]byte, 128)
	for !s.closed.Load() {
		n, rest, _, _, err := unix.Recvmsg(fd, frame, control, 0)
		if err != nil {
			continue // nothing came within the timeout, or a signal did
		}
		if tap := s.tap.Load(); tap != nil {
			(*tap)(arrival(control[:rest]), frame[:n])
		}
		c, ok := parseClaim(frame[:n])
		if !ok || !s.wanted(c.Addr) {
			continue
		}
		c.At, c.ToOther = arrival(control[:rest]), !c.Announced && MAC(frame[:6]) != s.mac
		s.mu.Lock()
		s.claims = append(s.claims, c)
		s.mu.Unlock()
	}
}

// arrival reads the time that the kernel noted, on the wall clock.
func arrival(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if err == nil && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

// ask sends a question for each of the addresses.
func (s *sniffer) ask(addrs []netip.Addr) error {
	for _, a := range addrs {
		i := 0
		if a.Is6() {
			i = 1
		}
		if _, err := unix.Write(s.fds[i], question(a, s.sender[i], s.mac)); err != nil {
			return fmt.Errorf("ask for %s: %w", a, err)
		}
	}
	return nil
}

// since returns the claims that came at or after a time, in the order of their coming.
func (s *sniffer) since(t time.Time) []Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []Claim
	for _, c := range s.claims {
		if !c.At.Before(t) {
			claims = append(claims, c)
		}
	}
	return sorted(claims)
}

// take returns the claims that came since the last call, in the order of their coming.
func (s *sniffer) take() []Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := s.claims
	s.claims = nil
	return sorted(claims)
}

// forget drops what came so far.
func (s *sniffer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = nil
}

func (s *sniffer) close() {
	s.closed.Store(true)
	s.ended.Wait()
	for _, fd := range s.fds {
		_ = unix.Close(fd)
	}
}
