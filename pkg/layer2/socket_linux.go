package layer2

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// wholeFrame is what a filter returns for a frame that it lets through: as many bytes as there are.
const wholeFrame = 0x40000

// arpFilter drops frames with a VLAN tag that no interface has taken: they belong to another network than the one that we
// would answer into.
func arpFilter() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 1},
		bpf.RetConstant{Val: wholeFrame},
		bpf.RetConstant{Val: 0},
	}
}

// ndpFilter lets through untagged IPv6 packets that are neighbour solicitations or advertisements, and nothing else, so that
// the traffic of the node does not wake us.
func ndpFilter() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 6},
		bpf.LoadAbsolute{Off: ip6NextHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolICMPv6, SkipFalse: 4},
		bpf.LoadAbsolute{Off: icmp6Start, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeSolicitation, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeAdvertisement, SkipFalse: 1},
		bpf.RetConstant{Val: wholeFrame},
		bpf.RetConstant{Val: 0},
	}
}

// ListenARP implements Network.
func (h *host) ListenARP(i Interface) (Conn, error) {
	conn, err := listenPacket(i, unix.ETH_P_ARP, arpFilter())
	if err != nil {
		return nil, socketError{operation: "open", protocol: ARP, name: i.Name, err: err}
	}
	return conn, nil
}

// ListenNDP implements Network. Frames are read from a packet socket, since the kernel hands no raw ICMPv6 socket a
// solicitation that was sent to the address itself: the address is none of its own.
func (h *host) ListenNDP(i Interface) (GroupConn, error) {
	frames, err := listenPacket(i, unix.ETH_P_IPV6, ndpFilter())
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

// frameConn is a packet socket. Reads belong to one goroutine; writes may come from several.
type frameConn struct {
	conn *packet.Conn
	raw  syscall.RawConn
	read transfer
	// writes holds transfers for reuse: nothing is allocated for a frame, and writers do not wait for each other.
	writes sync.Pool
}

// transfer is one read or write, with its function made beforehand so that it can be used again without allocating.
type transfer struct {
	b   []byte
	n   int
	err error
	do  func(fd uintptr) bool
}

func (t *transfer) prepare(call func(fd int, b []byte) (int, error)) {
	t.do = func(fd uintptr) bool {
		for {
			t.n, t.err = call(int(fd), t.b)
			if !errors.Is(t.err, unix.EINTR) {
				break
			}
		}
		return !errors.Is(t.err, unix.EAGAIN)
	}
}

func listenPacket(i Interface, protocol int, filter []bpf.Instruction) (*frameConn, error) {
	program, err := bpf.Assemble(filter)
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
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	})
	// Kernels before 4.20 lack the option: there the handlers see, and drop, what this host sends.
	if err = errors.Join(err, set); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		conn.Close()
		return nil, err
	}
	c := &frameConn{conn: conn, raw: raw}
	c.read.prepare(unix.Read)
	c.writes.New = func() any {
		t := &transfer{}
		t.prepare(unix.Write)
		return t
	}
	return c, nil
}

// Read implements io.Reader.
func (c *frameConn) Read(b []byte) (int, error) {
	c.read.b = b
	if err := c.raw.Read(c.read.do); err != nil {
		return 0, err
	}
	return max(0, c.read.n), c.read.err
}

// Write implements io.Writer.
func (c *frameConn) Write(b []byte) (int, error) {
	t := c.writes.Get().(*transfer)
	defer c.writes.Put(t)
	t.b = b
	err := c.raw.Write(t.do)
	t.b = nil
	if err != nil {
		return 0, err
	}
	return max(0, t.n), t.err
}

// Close implements io.Closer.
func (c *frameConn) Close() error { return c.conn.Close() }

// ndpConn is a packet socket for NDP, with ICMPv6 sockets beside it that are in the multicast groups and receive nothing.
// What they hold belongs to the goroutine that joins and leaves; only closing may come from another.
type ndpConn struct {
	*frameConn
	iface  Interface
	joined map[netip.Addr]*ndp.Conn

	mu      sync.Mutex // guards what follows, since Close comes from another goroutine than Join
	members []*ndp.Conn
	closed  bool
}

// grow opens one more socket for memberships: the kernel limits how many one socket may have (net.core.optmem_max).
func (c *ndpConn) grow() error {
	ifi := &net.Interface{Index: c.iface.Index, Name: c.iface.Name, HardwareAddr: c.iface.MAC[:]}
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

// join joins a group on the socket that may have room for one more.
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
