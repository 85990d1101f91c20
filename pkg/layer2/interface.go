package layer2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// MAC is an IEEE 802 hardware address of 48 bits.
type MAC [6]byte

// String returns the address as six pairs of lower-case hexadecimal digits with colons.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// multicast reports whether the address names a group, the broadcast address included.
func (m MAC) multicast() bool { return m[0]&1 != 0 }

// broadcast is the hardware address that every station listens to.
var broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Interface is a network interface that the announcer may use.
type Interface struct {
	// Index is the kernel's number of the interface. It is positive, and unique at any one time.
	Index int
	// Name is the kernel's name of the interface, such as "eth0".
	Name string
	// MAC is the hardware address that answers and announcements carry.
	MAC MAC
	// MACs lists other hardware addresses that frames of this interface may carry: a bond in mode balance-alb or
	// balance-tlb sends with the addresses of its slaves. Sorted.
	MACs []MAC
	// BondMode is the kernel's name for the mode of the bond that the interface is, or that is below the interface, such
	// as "active-backup". Empty without a bond.
	BondMode string
	// Up is true when the interface is switched on and has a carrier. The announcer uses only such interfaces.
	Up bool
	// VRF is the index of the interface's routing domain, 0 for the main domain. Equal subnets in two routing domains
	// are two networks.
	VRF int
	// Prefixes lists the addresses of the interface with the length of their subnet, without IPv6 link-local addresses,
	// sorted.
	Prefixes []netip.Prefix
	// OnLink lists the destinations of the routes over the interface that need no router, sorted. They count for an
	// address that no subnet contains: a node has an address of a single host and a route for its LAN.
	OnLink []netip.Prefix
	// Local lists all addresses of the host, on every interface, without link-local addresses, sorted. The kernel
	// answers pings to these addresses.
	Local []netip.Addr
	// Gateways lists the next hops of the host's default routes over the interface, of both families, sorted. IPv6 next
	// hops may be link-local addresses, without a zone.
	Gateways []netip.Addr
	// LinkLocal is the IPv6 link-local address from which the announcer joins multicast groups, without a zone.
	// LinkLocal is invalid during duplicate address detection (RFC 4862, section 5.4) and without IPv6.
	LinkLocal netip.Addr
	// Flaps counts the events after which neighbours may have lost their entries for the interface although the
	// interface is up now: the interface was down for a moment, a bond below moved to another slave, or a port of the
	// bridge has a carrier again. When the count changes, the announcer announces again.
	Flaps uint64
}

// Holds reports whether a subnet of the interface, or a destination on the link, contains addr.
func (i Interface) Holds(addr netip.Addr) bool {
	return holds(i.Prefixes, addr) || holds(i.OnLink, addr)
}

func (i Interface) subnets() []netip.Prefix { return i.Prefixes }

func (i Interface) onLink() []netip.Prefix { return i.OnLink }

func holds(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (i Interface) equal(o Interface) bool {
	return i.Index == o.Index && i.Name == o.Name && i.MAC == o.MAC && i.BondMode == o.BondMode && i.Up == o.Up &&
		i.VRF == o.VRF &&
		i.LinkLocal == o.LinkLocal && i.Flaps == o.Flaps && slices.Equal(i.MACs, o.MACs) &&
		slices.Equal(i.Prefixes, o.Prefixes) && slices.Equal(i.OnLink, o.OnLink) && slices.Equal(i.Local, o.Local) && slices.Equal(i.Gateways, o.Gateways)
}

// HostState describes the links and addresses of a host at one moment. A HostState never changes after publication.
type HostState struct {
	// Interfaces lists the interfaces that the announcer may use, sorted by index.
	Interfaces []Interface
	// Addrs lists the addresses at which other stations may reach the kernel, on every interface, sorted. The list
	// leaves out loopback addresses, link-local addresses, and addresses that a service proxy gives to the kernel, as
	// kube-proxy does in IPVS mode.
	Addrs []netip.Addr
	// MACs lists the hardware addresses that frames of this host may carry, sorted, including addresses of excluded
	// interfaces.
	MACs []MAC
}

// normalized returns the state with sorted lists. normalized leaves out interfaces without a hardware address, which
// cannot answer, and adds the hardware addresses of the interfaces to MACs.
func (s HostState) normalized() HostState {
	links := slices.DeleteFunc(slices.Clone(s.Interfaces), func(i Interface) bool { return i.MAC == MAC{} })
	slices.SortStableFunc(links, func(a, b Interface) int { return a.Index - b.Index })
	macs := slices.Clone(s.MACs)
	for _, i := range links {
		macs = append(append(macs, i.MAC), i.MACs...)
	}
	addrs := slices.Clone(s.Addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	return HostState{Interfaces: links, Addrs: slices.Compact(addrs), MACs: stationMACs(macs)}
}

func (s HostState) equal(o HostState) bool {
	return slices.EqualFunc(s.Interfaces, o.Interfaces, Interface.equal) && slices.Equal(s.Addrs, o.Addrs) && slices.Equal(s.MACs, o.MACs)
}

// proxied reports whether the kernel has addr only through a service proxy: addr is an address of the host, and no
// other station may reach the kernel at addr.
func (s HostState) proxied(addr netip.Addr) bool {
	if len(s.Interfaces) == 0 {
		return false
	}
	_, local := slices.BinarySearchFunc(s.Interfaces[0].Local, addr, netip.Addr.Compare)
	_, own := slices.BinarySearchFunc(s.Addrs, addr, netip.Addr.Compare)
	return local && !own
}

// stationMACs returns the hardware addresses of single stations among macs, sorted and without duplicates. stationMACs
// reorders its argument.
func stationMACs(macs []MAC) []MAC {
	macs = slices.DeleteFunc(macs, func(m MAC) bool { return m == MAC{} || m.multicast() })
	slices.SortFunc(macs, func(a, b MAC) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(macs)
}

// Network is the network stack under the announcer: the stack of this host (if Options.Network is nil), or of a test.
type Network interface {
	// Watch calls tell with the state of the host, and again after every change, until ctx is done or Watch can no
	// longer see changes. Watch returns nil once ctx is done. The announcer keeps the last state and calls Watch again.
	// Watch must not change a state after passing the state to tell.
	Watch(ctx context.Context, tell func(HostState)) error
	// ListenARP opens a socket for the ARP frames of an interface.
	ListenARP(Interface) (Conn, error)
	// ListenNDP opens a socket for the neighbour solicitations and advertisements of an interface that has a
	// link-local address.
	ListenNDP(Interface) (GroupConn, error)
	// ListenPing opens a socket for the echo requests to the interface, of protocol ICMP or ICMPv6.
	ListenPing(Interface, Protocol) (Conn, error)
}

// Conn reads and writes whole Ethernet frames without the check sequence, one frame with each call. Close ends a
// waiting Read. Read, Write and Close may be called at the same time.
type Conn = io.ReadWriteCloser

// Dated is a Conn that knows the arrival times of frames.
type Dated interface {
	// Waited returns the time that the last frame from Read had waited in the socket. Only the goroutine that reads
	// calls Waited.
	Waited(now time.Time) time.Duration
}

// Awaiting is a Conn that knows when its socket is empty.
type Awaiting interface {
	// Awaited reports whether Read had to wait for the last frame. Only the goroutine that reads calls Awaited.
	Awaited() bool
}

// Gathering is a Conn that takes several frames from its socket at once, and sends several frames at once. Only the
// goroutine that reads calls the methods.
type Gathering interface {
	// Gathered reports whether the next Read returns a frame that came from the socket together with the last frame.
	Gathered() bool
	// WriteAll writes the frames in order. A refused frame does not keep the frames after it from being sent. WriteAll
	// returns the number of frames that were not sent, and the reason for the last of them.
	WriteAll(frames [][]byte) (unsent int, err error)
}

// Lossy is a Conn that counts the frames lost for lack of room.
type Lossy interface {
	// Lost returns the number of frames lost before the last frame from Read, modulo 2^32, or 0 while the number is
	// unknown. Only the goroutine that reads calls Lost.
	Lost() uint32
}

// arpNetwork is a Network that knows for which addresses of the host the kernel answers ARP requests.
type arpNetwork interface {
	// AnswersForeign reports whether the kernel answers ARP requests on the named interface for an address of another
	// interface.
	AnswersForeign(name string) bool
}

// nodeNetwork is a Network whose choice of interfaces depends on the addresses of the Node.
type nodeNetwork interface {
	setNodeAddrs([]netip.Addr)
}

// GroupConn is a Conn that joins IPv6 multicast groups and reports the membership to the routers and switches of the
// network (MLD).
type GroupConn interface {
	Conn
	Join(group netip.Addr) error
	Leave(group netip.Addr) error
}
