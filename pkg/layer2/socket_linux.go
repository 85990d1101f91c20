package layer2

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// ListenARP implements Network.
func (h *host) ListenARP(i Interface) (Conn, error) {
	conn, err := listenPacket(i, unix.ETH_P_ARP, arpProgram)
	if err != nil {
		return nil, socketError{operation: "open", protocol: ARP, name: i.Name, err: err}
	}
	return conn, nil
}

// ListenNDP implements Network. ListenNDP reads frames from a packet socket, because the kernel passes no solicitation
// sent to the address itself to a raw ICMPv6 socket: the kernel does not have the address.
func (h *host) ListenNDP(i Interface) (GroupConn, error) {
	frames, err := listenPacket(i, unix.ETH_P_IPV6, ndpProgram)
	if err != nil {
		return nil, socketError{operation: "open", protocol: NDP, name: i.Name, err: err}
	}
	conn := &ndpConn{frameConn: frames, iface: i, joined: map[netip.Addr]*ndp.Conn{}}
	if err := conn.grow(); err != nil {
		frames.Close()
		return nil, socketError{operation: "open", protocol: NDP, name: i.Name, err: err}
	}
	return conn, nil
}

// ListenPing implements Network.
func (h *host) ListenPing(i Interface, p Protocol) (Conn, error) {
	kind, program := unix.ETH_P_IP, echo4Program
	if p == ICMPv6 {
		kind, program = unix.ETH_P_IPV6, echo6Program
	}
	conn, err := listenPacket(i, kind, program)
	if err != nil {
		return nil, socketError{operation: "open", protocol: p, name: i.Name, err: err}
	}
	return conn, nil
}

// frameConn is a packet socket. One goroutine reads; several goroutines may write.
type frameConn struct {
	conn   *packet.Conn
	raw    syscall.RawConn
	filter func(s *scope, most int) []bpf.Instruction
	read   reading
	send   sending
	// writes holds transfers for reuse, so that a write allocates nothing, and writers do not wait for each other.
	writes sync.Pool
}

// listenPacket opens a packet socket. filter returns the kernel filter for a scope. The socket starts with the filter
// for all addresses, until narrow sets a scope.
func listenPacket(i Interface, protocol int, filter func(s *scope, most int) []bpf.Instruction) (*frameConn, error) {
	program, err := bpf.Assemble(filter(allAddresses(), maxInstructions))
	if err != nil {
		return nil, err
	}
	ifi := &net.Interface{Index: i.Index, Name: i.Name, HardwareAddr: i.MAC[:]}
	conn, err := packet.Listen(ifi, packet.Raw, protocol, &packet.Config{Filter: program})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	var set, stamp error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		stamp = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1))
	})
	if stamp != nil {
		conn.Close()
		return nil, fmt.Errorf("ask for times of arrival, and for what is lost: %w", stamp)
	}
	// Kernels before 4.20 lack the option; the handlers then receive and drop the frames that this host sends.
	if err = errors.Join(err, set); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		conn.Close()
		return nil, err
	}
	c := &frameConn{conn: conn, raw: raw, filter: filter}
	c.prepare()
	return c, nil
}

// prepare makes c ready for use. c must not be moved afterwards.
func (c *frameConn) prepare() {
	c.read.prepare()
	c.send.prepare()
	c.writes.New = func() any {
		t := &transfer{}
		t.prepare(writeAtOnce)
		return t
	}
}

// narrow implements narrower. The kernel exchanges the programs while frames arrive: the kernel judges each frame by
// one whole program, old or new, and the frames waiting in the socket stay.
//
// A program counts against the memory for options of the socket (net.core.optmem_max), and during the exchange the old
// program counts too. In older kernels, the memory has no room for the longest program, so narrow then tries shorter
// programs. If no program fits, the socket accepts every frame, and only the handler decides.
func (c *frameConn) narrow(s *scope) error {
	var err error
	for most := maxInstructions; most >= minInstructions; most /= 2 {
		var code []bpf.RawInstruction
		if code, err = bpf.Assemble(c.filter(s, most)); err != nil {
			break
		}
		if err = c.conn.SetBPF(code); !errors.Is(err, unix.ENOMEM) {
			break
		}
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		detach := c.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
		return errors.Join(err, detach)
	}
	return err
}

// Close implements io.Closer.
func (c *frameConn) Close() error { return c.conn.Close() }

// ndpConn is a packet socket for NDP with additional ICMPv6 sockets. The ICMPv6 sockets join the multicast groups and
// receive nothing. The state belongs to the goroutine that joins and leaves; only Close may run on another goroutine.
type ndpConn struct {
	*frameConn
	iface  Interface
	joined map[netip.Addr]*ndp.Conn

	mu      sync.Mutex // guards the fields below, because Close and Join run on different goroutines
	members []*ndp.Conn
	closed  bool
}

// grow opens one more socket for memberships, because the kernel limits the memberships of one socket
// (net.core.optmem_max). The zone of the socket's address is the index of the interface and not the name: package net
// remembers the indexes of names for a minute, and a card that was put in again has another index by the same name.
func (c *ndpConn) grow() error {
	ifi := &net.Interface{Index: c.iface.Index, Name: strconv.Itoa(c.iface.Index), HardwareAddr: c.iface.MAC[:]}
	conn, _, err := ndp.Listen(ifi, ndp.Addr(c.iface.LinkLocal.String()))
	if err != nil {
		return err
	}
	var nothing ipv6.ICMPFilter
	nothing.SetAll(true)
	if err := conn.SetICMPFilter(&nothing); err != nil {
		conn.Close()
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return net.ErrClosed
	}
	c.members = append(c.members, conn)
	return nil
}

// join joins a group on the newest socket, which may have room for one more group.
func (c *ndpConn) join(group netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	member := c.members[len(c.members)-1]
	if err := member.JoinGroup(group); err != nil {
		return err
	}
	c.joined[group] = member
	return nil
}

// Join implements GroupConn.
func (c *ndpConn) Join(group netip.Addr) error {
	err := c.join(group)
	if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENOMEM) {
		return err
	}
	if err := c.grow(); err != nil {
		return err
	}
	return c.join(group)
}

// Leave implements GroupConn.
func (c *ndpConn) Leave(group netip.Addr) error {
	member := c.joined[group]
	if member == nil {
		return nil
	}
	delete(c.joined, group)
	return member.LeaveGroup(group)
}

// Close implements io.Closer. Closing leaves all groups.
func (c *ndpConn) Close() error {
	c.mu.Lock()
	c.closed = true
	errs := []error{c.frameConn.Close()}
	for _, m := range c.members {
		errs = append(errs, m.Close())
	}
	c.members = nil
	c.mu.Unlock()
	return errors.Join(errs...)
}
