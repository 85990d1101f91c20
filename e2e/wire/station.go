package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"

	"github.com/vishvananda/netlink"
)

// Station is a host beside the nodes: a router on the LAN, or a client behind a router. Several goroutines may call the
// methods.
type Station struct {
	*namespace
	lab *Lab
	// lan is the port in the LAN, nil for a host behind another one.
	lan *port
}

// StationAddresses returns the addresses of a station on the LAN by its number, 4 to 9. No other host has these
// numbers.
func StationAddresses(number int) [2]netip.Prefix {
	return [2]netip.Prefix{host(lan4, number), host(lan6, number)}
}

// NewStation adds a host with an eth0 on the LAN, which has the addresses of the number. Closing the laboratory removes
// the host.
func (l *Lab) NewStation(number int) (*Station, error) {
	s, err := l.station()
	if err != nil {
		return nil, err
	}
	addresses := StationAddresses(number)
	if s.lan, err = l.hub.plug(s.namespace, LAN, addresses[:]...); err != nil {
		return nil, err
	}
	return s, nil
}

func (l *Lab) station() (*Station, error) {
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	s := &Station{namespace: n, lab: l}
	l.stations = append(l.stations, s)
	return s, nil
}

// Behind adds a host that is connected to a new interface of this station by its eth0, and makes the station the router
// of the host. The station gets address 1 of each subnet, the host address 2.
func (s *Station) Behind(link string, subnets ...netip.Prefix) (*Station, error) {
	far, err := s.lab.station()
	if err != nil {
		return nil, err
	}
	if err := s.namespace.cable(link, far.namespace, interfaces[LAN]); err != nil {
		return nil, err
	}
	for _, subnet := range subnets {
		mine, theirs := host(subnet, 1), host(subnet, 2)
		err := errors.Join(
			s.addAddress(link, mine),
			far.addAddress(interfaces[LAN], theirs),
			far.RouteVia(anywhere(subnet.Addr()), mine.Addr()),
		)
		if err != nil {
			return nil, fmt.Errorf("connect a host behind %s: %w", link, err)
		}
	}
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := s.sysctl(name, "1"); err != nil {
			return nil, err
		}
	}
	return far, nil
}

// Connect adds a cable between a node and the host, beside the LAN. Both ends have link-local addresses only.
func (l *Lab) Connect(number int, link string, s *Station, far string) error {
	return l.nodes[number].cable(link, s.namespace, far)
}

// AddAddress gives the host another address on the LAN.
func (s *Station) AddAddress(a netip.Prefix) error { return s.addAddress(interfaces[LAN], a) }

// anywhere returns the prefix of the default route in the family of an address.
func anywhere(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// cable connects two namespaces by a pair of interfaces, which are up.
func (n *namespace) cable(name string, other *namespace, far string) error {
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name},
		PeerName:      far,
		PeerNamespace: netlink.NsFd(other.fd),
	}
	if err := n.link.LinkAdd(pair); err != nil {
		return fmt.Errorf("make a cable from %s to %s: %w", name, far, err)
	}
	end, err := other.link.LinkByName(far)
	if err == nil {
		err = other.link.LinkSetUp(end)
	}
	if err == nil {
		err = n.link.LinkSetUp(pair)
	}
	return err
}

// addAddress gives an interface an address.
func (n *namespace) addAddress(name string, a netip.Prefix) error {
	link, err := n.link.LinkByName(name)
	if err != nil {
		return err
	}
	return n.link.AddrAdd(link, address(a))
}

// RouteVia adds a route of the host.
func (s *Station) RouteVia(to netip.Prefix, router netip.Addr) error {
	return s.namespace.routeVia(to, router)
}

// RouteVia adds a route of a node.
func (l *Lab) RouteVia(number int, to netip.Prefix, router netip.Addr) error {
	return l.nodes[number].routeVia(to, router)
}

func (n *namespace) routeVia(to netip.Prefix, router netip.Addr) error {
	if err := n.link.RouteAdd(&netlink.Route{Dst: address(to).IPNet, Gw: router.AsSlice()}); err != nil {
		return fmt.Errorf("add a route to %s by %s: %w", to, router, err)
	}
	return nil
}

// Do calls f on a thread of the host. Sockets that f opens stay there; f is not to block.
func (s *Station) Do(f func() error) error { return s.do(f) }

// Do calls f on a thread of a node, as [Station.Do] does.
func (l *Lab) Do(number int, f func() error) error { return l.nodes[number].do(f) }

// Start starts a program on the host. The program and its children are killed when the laboratory is closed, when this
// process ends, and when the process of cmd is killed: a shell that runs the program.
func (s *Station) Start(cmd *exec.Cmd) error { return s.contain(cmd) }

// StartAt starts a program on a node, as [Station.Start] does.
func (l *Lab) StartAt(number int, cmd *exec.Cmd) error { return l.nodes[number].contain(cmd) }

// StartAtSwitch starts a program as [Station.Start] does, in the namespace of the bridge that all frames of the LAN
// pass.
func (l *Lab) StartAtSwitch(program func(bridge string) *exec.Cmd) error {
	return l.hub.contain(program(bridges[LAN]))
}

// Output runs a program on the host and returns what it prints.
func (s *Station) Output(ctx context.Context, program string, args ...string) ([]byte, error) {
	return s.output(ctx, program, args...)
}

// OutputAt runs a program on a node, as [Station.Output] does.
func (l *Lab) OutputAt(ctx context.Context, number int, program string, args ...string) ([]byte, error) {
	return l.nodes[number].output(ctx, program, args...)
}

func (n *namespace) output(ctx context.Context, program string, args ...string) ([]byte, error) {
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := n.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.Bytes(), fmt.Errorf("%s: %w: %s%.200s", program, err, problem.Bytes(), out.Bytes())
	}
	return out.Bytes(), nil
}

// Sysctl sets what is below /proc/sys/net on the host.
func (s *Station) Sysctl(name, value string) error { return s.sysctl(name, value) }

// Unplug cuts the station off the LAN. The carrier stays. Plug ends the cut.
func (s *Station) Unplug() error { return s.lan.cut() }

// Plug connects the station to the LAN again.
func (s *Station) Plug() error { return s.lan.join() }
