package wire

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

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
	// claims are the claims to the wanted addresses. Nobody waits for a claim.
	claims ether.Log
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
	for _, protocol := range []uint16{ether.TypeARP, ether.TypeIPv6} {
		var fd int
		if err = n.do(func() (err error) { fd, err = ether.Listen(link.Attrs().Index, protocol); return }); err != nil {
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

// read notes claims until the sniffer is closed.
func (s *sniffer) read(fd int) {
	frame, control := make([]byte, 2048), make([]byte, 128)
	for !s.closed.Load() {
		n, rest, _, _, err := unix.Recvmsg(fd, frame, control, 0)
		if err != nil {
			continue // nothing came within the timeout, or a signal did
		}
		if tap := s.tap.Load(); tap != nil {
			(*tap)(ether.Arrival(control[:rest]), frame[:n])
		}
		c, ok := ether.ParseClaim(frame[:n])
		if !ok || len(c.VLANs) > 0 || !s.wanted(c.Addr) {
			continue
		}
		c.At, c.ToOther = ether.Arrival(control[:rest]), !c.Announced && MAC(frame[:6]) != s.mac
		s.claims.Add(c)
	}
}

// ask sends a question for each of the addresses.
func (s *sniffer) ask(addrs []netip.Addr) error {
	for _, a := range addrs {
		i := 0
		if a.Is6() {
			i = 1
		}
		if _, err := unix.Write(s.fds[i], ether.Question(a, s.sender[i], s.mac)); err != nil {
			return fmt.Errorf("ask for %s: %w", a, err)
		}
	}
	return nil
}

func (s *sniffer) close() {
	s.closed.Store(true)
	s.ended.Wait()
	for _, fd := range s.fds {
		_ = unix.Close(fd)
	}
}
