package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/wire"
)

// Station is a foreign host in a bridge: it asks who has an address, and notes every claim that reaches it, with the
// VLAN tags of the frame. No kernel answers or learns for a Station.
type Station struct {
	// Name is the name of the bridge.
	Name string
	mac  wire.MAC
	tap  *os.File

	// mu guards the rest. changed is closed and made anew after each claim.
	mu      sync.Mutex
	claims  []Claim
	changed chan struct{}
}

// Claim is a frame in which a host claims an address.
type Claim struct {
	wire.Claim
	// VLANs are the tags, the outer one first.
	VLANs []uint16
	// To is the address of the asker that an answer is for.
	To netip.Addr
}

// String returns the claim for the message of a failed test.
func (c Claim) String() string {
	kind := "answer to " + c.To.String()
	if c.Announced {
		kind = "announcement"
	}
	return fmt.Sprintf("%s of %s by %s, VLANs %v", kind, c.Addr, c.MAC, c.VLANs)
}

// NewStation makes a host in a bridge of this network namespace.
func NewStation(bridge string, number byte) (*Station, error) {
	name := fmt.Sprintf("host%d", number)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	s := &Station{Name: bridge, mac: wire.MAC{0x02, 0x4c, 0x4c, 0xff, 0, number}, changed: make(chan struct{})}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the host %s: %w", name, err)
	}
	s.tap = os.NewFile(uintptr(fd), name)
	tap, err := netlink.LinkByName(name)
	if err == nil {
		var master netlink.Link
		if master, err = netlink.LinkByName(bridge); err == nil {
			err = errors.Join(netlink.LinkSetMTU(tap, master.Attrs().MTU), netlink.LinkSetMaster(tap, master), netlink.LinkSetUp(tap))
		}
	}
	if err != nil {
		_ = s.tap.Close()
		return nil, fmt.Errorf("put the host %s into the bridge %s: %w", name, bridge, err)
	}
	go s.read()
	return s, nil
}

// Close removes the host.
func (s *Station) Close() { _ = s.tap.Close() }

// read notes claims until the host is closed.
func (s *Station) read() {
	frame := make([]byte, 1<<16)
	for {
		n, err := s.tap.Read(frame)
		if err != nil {
			return
		}
		at := time.Now()
		vlans, bare := untag(frame[:n])
		claim, ok := wire.ParseClaim(bare)
		if !ok {
			continue
		}
		claim.At = at
		s.mu.Lock()
		s.claims = append(s.claims, Claim{claim, vlans, asker(bare)})
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// untag returns the VLAN tags of a frame (IEEE 802.1Q and 802.1ad), the outer one first, and the frame without tags.
func untag(frame []byte) (vlans []uint16, bare []byte) {
	for len(frame) >= 18 {
		if kind := binary.BigEndian.Uint16(frame[12:]); kind != unix.ETH_P_8021Q && kind != unix.ETH_P_8021AD {
			break
		}
		vlans = append(vlans, binary.BigEndian.Uint16(frame[14:])&0xfff)
		frame = slices.Concat(frame[:12], frame[16:])
	}
	return vlans, frame
}

// tag adds VLAN tags to a frame. The outer one of two is of IEEE 802.1ad.
func tag(frame []byte, vlans []uint16) []byte {
	out := slices.Clone(frame[:12])
	for i, vlan := range vlans {
		kind := uint16(unix.ETH_P_8021Q)
		if i+1 < len(vlans) {
			kind = unix.ETH_P_8021AD
		}
		out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, kind), vlan)
	}
	return append(out, frame[12:]...)
}

// asker returns the target of an ARP packet, or the receiver of an IPv6 packet: the address of who asked.
func asker(frame []byte) netip.Addr {
	if binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_ARP {
		return netip.AddrFrom4([4]byte(frame[38:42]))
	}
	return netip.AddrFrom16([16]byte(frame[38:54]))
}

// Ask asks who has an address, as the host with the address sender, with VLAN tags.
func (s *Station) Ask(addr, sender netip.Addr, vlans []uint16) error {
	_, err := s.tap.Write(tag(wire.Question(addr, sender, s.mac), vlans))
	return err
}

// Since returns the claims since a time, and a channel that is closed after the next claim.
func (s *Station) Since(t time.Time) ([]Claim, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var since []Claim
	for _, c := range s.claims {
		if !c.At.Before(t) {
			since = append(since, c)
		}
	}
	return since, s.changed
}
