package vm

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

// Station is a foreign host in a bridge: it asks who has an address, and notes every claim that reaches it, with the
// VLAN tags of the frame. No kernel answers or learns for a Station.
type Station struct {
	// Name is the name of the bridge.
	Name   string
	mac    ether.MAC
	tap    *os.File
	claims ether.Log
}

// Claim is a frame in which a host claims an address.
type Claim = ether.Claim

// NewStation makes a host in a bridge of this network namespace.
func NewStation(bridge string, number byte) (*Station, error) {
	name := fmt.Sprintf("host%d", number)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	s := &Station{Name: bridge, mac: ether.MAC{0x02, 0x4c, 0x4c, 0xff, 0, number}}
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
		if c, ok := ether.ParseClaim(frame[:n]); ok {
			c.At = time.Now()
			s.claims.Add(c)
		}
	}
}

// Ask asks who has an address, as the host with the address sender, with VLAN tags.
func (s *Station) Ask(addr, sender netip.Addr, vlans []uint16) error {
	_, err := s.tap.Write(ether.Tagged(ether.Question(addr, sender, s.mac), vlans...))
	return err
}

// Since returns the claims since a time, and a channel that is closed after the next claim.
func (s *Station) Since(t time.Time) ([]Claim, <-chan struct{}) { return s.claims.Watch(t) }
