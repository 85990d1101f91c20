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
	// MACs are other hardware addresses that frames of this interface may carry: a bond in mode balance-alb or balance-tlb
	// sends with the addresses of its slaves. Sorted.
	MACs []MAC
	// Up is true when the interface is switched on and has a carrier. The announcer uses no other.
	Up bool
	// VRF is the index of the routing domain that the interface belongs to, 0 for the main one. Equal subnets in two routing
	// domains are two networks.
	VRF int
	// Prefixes are the addresses of the interface with the length of their subnet, without IPv6 link-local addresses, sorted.
	Prefixes []netip.Prefix
	// Local are all addresses of the host, on every interface, without link-local addresses, sorted. The kernel answers pings
	// to them.
	Local []netip.Addr
	// Gateways are the next hops of the host's default routes over the interface, of both families, sorted. IPv6 next hops may
	// be link-local addresses, without a zone.
	Gateways []netip.Addr
	// LinkLocal is the IPv6 link-local address from which the announcer joins multicast groups, without a zone. It is invalid
	// during duplicate address detection (RFC 4862, section 5.4) and without IPv6.
	LinkLocal netip.Addr
	// Flaps counts the events after which neighbours may have lost what they knew of the interface although it is up now: it
	// was down for a moment, or a bond moved to another slave. When the count changes, the announcer announces again.
	Flaps uint64
}

// Holds reports whether one of the interface's subnets holds addr.
func (i Interface) Holds(addr netip.Addr) bool {
	return holds(i.Prefixes, addr)
}

func holds(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (i Interface) equal(o Interface) bool {
	return i.Index == o.Index && i.Name == o.Name && i.MAC == o.MAC && i.Up == o.Up && i.VRF == o.VRF &&
		i.LinkLocal == o.LinkLocal && i.Flaps == o.Flaps && slices.Equal(i.MACs, o.MACs) &&
		slices.Equal(i.Prefixes, o.Prefixes) && slices.Equal(i.Local, o.Local) && slices.Equal(i.Gateways, o.Gateways)
}

// HostState describes the links and addresses of a host at one moment. It is never changed after it was published.
type HostState struct {
	// Interfaces are the interfaces that the announcer may use, sorted by index.
	Interfaces []Interface
	// Addrs are the addresses that other stations may reach the kernel at, on every interface, sorted. Loopback and link-local
	// addresses are left out, and so are those that a service proxy gives to the kernel, as kube-proxy does in IPVS mode.
	Addrs []netip.Addr
	// MACs are the hardware addresses that frames of this host may carry, of excluded interfaces too, sorted.
	MACs []MAC
}

// normalized returns the state with sorted lists. It leaves out interfaces without a hardware address, which cannot answer,
// and adds the hardware addresses of the interfaces to MACs.
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

// proxied reports whether only a service proxy has given addr to the kernel: addr is an address of the host, and no other
// station may reach the kernel at addr.
func (s HostState) proxied(addr netip.Addr) bool {
	if len(s.Interfaces) == 0 {
		return false
	}
	_, local := slices.BinarySearchFunc(s.Interfaces[0].Local, addr, netip.Addr.Compare)
	_, own := slices.BinarySearchFunc(s.Addrs, addr, netip.Addr.Compare)
	return local && !own
}

// stationMACs returns the hardware addresses of single stations among macs, each once, sorted. It reorders its argument.
func stationMACs(macs []MAC) []MAC {
	macs = slices.DeleteFunc(macs, func(m MAC) bool { return m == MAC{} || m.multicast() })
	slices.SortFunc(macs, func(a, b MAC) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(macs)
}

// Network is the network stack that the announcer works on: that of this host (when Options.Network is nil), or a test's.
type Network interface {
	// Watch calls tell with the state of the host, and again after every change, until ctx is done (Watch then returns nil) or
	// Watch can no longer see changes. The announcer keeps the last state and calls Watch again. A state is not changed after
	// it was told.
	Watch(ctx context.Context, tell func(HostState)) error
	// ListenARP opens a socket for the ARP frames of an interface.
	ListenARP(Interface) (Conn, error)
	// ListenNDP opens a socket for the neighbour solicitations and advertisements of an interface that has a
	// link-local address.
	ListenNDP(Interface) (GroupConn, error)
	// ListenPing opens a socket for the echo requests to the interface, of protocol ICMP or ICMPv6.
	ListenPing(Interface, Protocol) (Conn, error)
}

// Conn reads and writes whole Ethernet frames without their check sequence, one with each call. Close ends a waiting Read.
// Read, Write and Close may be called at the same time.
type Conn = io.ReadWriteCloser

// Dated is a Conn that knows when frames arrived.
type Dated interface {
	// Waited returns how long the frame that Read returned last had waited in the socket. Only the goroutine that reads calls
	// Waited.
	Waited(now time.Time) time.Duration
}

// Awaiting is a Conn that knows when its socket is empty.
type Awaiting interface {
	// Awaited reports whether Read had to wait for the frame that it returned last. Only the goroutine that reads calls Awaited.
	Awaited() bool
}

// Lossy is a Conn that counts the frames that it had no room for.
type Lossy interface {
	// Lost returns the number of frames lost before the frame that Read returned last, modulo 2^32, or 0 while the number is
	// unknown. Only the goroutine that reads calls Lost.
	Lost() uint32
}

// arpNetwork is a Network that knows for which of the host's addresses the kernel answers ARP requests.
type arpNetwork interface {
	// AnswersForeign reports whether the kernel answers ARP requests that arrive on the named interface for an address
	// of another interface.
	AnswersForeign(name string) bool
}

// nodeNetwork is a Network whose interfaces depend on the addresses of the Node.
type nodeNetwork interface {
	setNodeAddrs([]netip.Addr)
}

// GroupConn is a Conn that joins IPv6 multicast groups, with a report to the network's routers and switches (MLD).
type GroupConn interface {
	Conn
	Join(group netip.Addr) error
	Leave(group netip.Addr) error
}
