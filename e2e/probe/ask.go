package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

// Ask asks all hosts of an interface who has an address, by ARP requests (RFC 826) for IPv4, or by neighbour solicitations to
// the solicited-node group for IPv6 (RFC 4861, section 7.2.2). Ask needs CAP_NET_RAW and CAP_NET_ADMIN.
func Ask(ctx context.Context, ifname string, target netip.Addr, s Schedule) (Neighbours, error) {
	report := Neighbours{Target: target, Interface: ifname}
	if err := s.validate(); err != nil {
		return report, err
	}
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return report, err
	}
	q, err := newAsker(ifi, target)
	if err != nil {
		return report, err
	}
	err = survey(ctx, q, s, &report)
	return report, err
}

// asker asks for one address on a packet socket.
type asker struct {
	socket         *os.File
	question       []byte
	target, source netip.Addr
	frame          [2048]byte
}

func newAsker(ifi *net.Interface, target netip.Addr) (*asker, error) {
	if len(ifi.HardwareAddr) != len(ether.MAC{}) {
		return nil, fmt.Errorf("%s is no Ethernet interface", ifi.Name)
	}
	source, err := sourceOn(ifi, target)
	if err != nil {
		return nil, err
	}
	kind := uint16(ether.TypeARP)
	if target.Is6() {
		kind = ether.TypeIPv6
	}
	fd, err := ether.Listen(ifi.Index, kind)
	if err == nil {
		err = unix.SetNonblock(fd, true) // so that Close ends a Read
	}
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", ifi.Name, err)
	}
	return &asker{
		socket: os.NewFile(uintptr(fd), ifi.Name), target: target, source: source,
		question: ether.Question(target, source, ether.MAC(ifi.HardwareAddr)),
	}, nil
}

// sourceOn returns the address from which the interface asks for a target: an IPv4 address, or the link-local IPv6 address.
func sourceOn(ifi *net.Interface, target netip.Addr) (netip.Addr, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, addr := range addrs {
		prefix, err := netip.ParsePrefix(addr.String())
		if err != nil {
			continue
		}
		if a := prefix.Addr(); a.Is4() && target.Is4() || a.Is6() && target.Is6() && a.IsLinkLocalUnicast() {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address to ask for %s from", ifi.Name, target)
}

func (a *asker) ask() error {
	_, err := a.socket.Write(a.question)
	return err
}

// read ignores announcements: an answer names the asker. An answer to a multicast solicitation must contain the
// target's link-layer address (RFC 4861, section 7.2.4).
func (a *asker) read() (ether.MAC, error) {
	for {
		n, err := a.socket.Read(a.frame[:])
		if err != nil {
			return ether.MAC{}, err
		}
		c, ok := ether.ParseClaim(a.frame[:n])
		switch {
		case !ok || c.Addr != a.target || c.To != a.source || c.Announced || c.Request:
		case a.target.Is4():
			return c.MAC, nil
		case c.Option != ether.MAC{}:
			return c.Option, nil
		}
	}
}

func (a *asker) close() error { return a.socket.Close() }
