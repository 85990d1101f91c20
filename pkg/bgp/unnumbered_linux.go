package bgp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// solicitInterval is the time between two router solicitations (RTR_SOLICITATION_INTERVAL, RFC 4861, section 10).
const solicitInterval = 4 * time.Second

// routerSocket speaks neighbour discovery with the router of an unnumbered session.
type routerSocket struct {
	conn *ndp.Conn
	link *net.Interface
}

// openRouterSocket opens the socket on an interface. The caller closes it.
func openRouterSocket(name string) (*routerSocket, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, &DialError{Reason: NoRoute, Err: err,
			Message: fmt.Sprintf("this node has no interface %s: correct peer-interface, or select other nodes "+
				"with node-selectors", name)}
	}
	conn, _, err := ndp.Listen(link, ndp.LinkLocal)
	if errors.Is(err, fs.ErrPermission) {
		return nil, &DialError{Reason: NoRouterAdvertisement, Err: err,
			Message: "the container needs the capability NET_RAW to hear router advertisements"}
	}
	if err != nil {
		return nil, &DialError{Reason: NoRoute, Err: err,
			Message: fmt.Sprintf("the interface %s has no link-local address that works: check that it is up and "+
				"has IPv6", name)}
	}
	s := &routerSocket{conn: conn, link: link}
	if err := s.prepare(); err != nil {
		conn.Close()
		return nil, &DialError{Reason: NoRouterAdvertisement, Err: err,
			Message: fmt.Sprintf("the kernel does not let this node hear router advertisements on %s", name)}
	}
	return s, nil
}

// prepare has the kernel pass on router advertisements, and no other message.
func (s *routerSocket) prepare() error {
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := s.conn.SetICMPFilter(&filter); err != nil {
		return fmt.Errorf("filter ICMPv6 messages: %w", err)
	}
	if err := s.conn.SetControlMessage(ipv6.FlagHopLimit, true); err != nil {
		return fmt.Errorf("ask for the hop limit: %w", err)
	}
	// A socket that is bound to an address receives multicast only as a member of the group.
	if err := s.conn.JoinGroup(netip.IPv6LinkLocalAllNodes()); err != nil {
		return fmt.Errorf("join the group of all nodes: %w", err)
	}
	return nil
}

// find solicits until a router advertisement arrives, and returns the router's link-local address with the zone.
func (s *routerSocket) find(ctx context.Context) (netip.Addr, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for ctx.Err() == nil {
		if err := s.solicit(); err != nil {
			return netip.Addr{}, err
		}
		if err := s.conn.SetReadDeadline(time.Now().Add(solicitInterval)); err != nil {
			return netip.Addr{}, err
		}
		if ctx.Err() != nil {
			break // the deadline of the end may have been replaced
		}
		router, err := s.hear()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return router, err
		}
	}
	return netip.Addr{}, &DialError{Reason: NoRouterAdvertisement, Err: ctx.Err(),
		Message: fmt.Sprintf("no router advertisement arrived on %s: enable them on the router's interface (in "+
			"FRR: no ipv6 nd suppress-ra)", s.link.Name)}
}

// hear returns the sender of the next router advertisement. A packet that a router forwarded is none (RFC 4861, section
// 6.1.2).
func (s *routerSocket) hear() (netip.Addr, error) {
	for {
		m, control, from, err := s.conn.ReadFrom()
		if err != nil {
			return netip.Addr{}, err
		}
		_, is := m.(*ndp.RouterAdvertisement)
		if is && control != nil && control.HopLimit == ndp.HopLimit && from.IsLinkLocalUnicast() {
			return from, nil
		}
	}
}

func (s *routerSocket) solicit() error {
	m := &ndp.RouterSolicitation{Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source,
		Addr: s.link.HardwareAddr}}}
	if len(s.link.HardwareAddr) != 6 {
		m.Options = nil // the option holds an Ethernet address only
	}
	if err := s.conn.WriteTo(m, nil, netip.IPv6LinkLocalAllRouters()); err != nil {
		return fmt.Errorf("send a router solicitation on %s: %w", s.link.Name, err)
	}
	return nil
}

// advertise tells the router this node's link-local address, since FRR accepts an unnumbered session only from a
// neighbour that it has heard a router advertisement from. The lifetime 0 says that this node is no default router (RFC
// 4861, section 4.2), and the other hosts of the link do not receive the message.
func (s *routerSocket) advertise(router netip.Addr) error {
	if err := s.conn.WriteTo(&ndp.RouterAdvertisement{}, nil, router); err != nil {
		return fmt.Errorf("send a router advertisement on %s: %w", s.link.Name, err)
	}
	return nil
}

func (s *routerSocket) close() { _ = s.conn.Close() }
