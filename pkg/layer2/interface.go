package layer2

import (
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

// Interface is a network interface that addresses may be announced on.
type Interface struct {
	// Index is the kernel's number of the interface, positive and unique at any one time.
	Index int
	// Name is what the kernel calls it, as "eth0".
	Name string
	// MAC is what answers and announcements carry.
	MAC MAC
	// Up is true when the interface is switched on and has a carrier. Nothing is sent or answered on one that is not up.
	Up bool
	// Prefixes are its addresses with the length of their subnet, IPv6 link-local ones left out, sorted.
	Prefixes []netip.Prefix
	// Local are all addresses of the host, on whichever interface, link-local ones left out, sorted: its kernel answers pings
	// to them.
	Local []netip.Addr
	// Gateways are the next hops of the host's default routes over the interface, of both families, sorted. Those of IPv6 may
	// be link-local ones, without a zone.
	Gateways []netip.Addr
	// LinkLocal is the IPv6 link-local address that multicast groups are joined from, without a zone. It is invalid while
	// duplicate address detection is still running (RFC 4862, section 5.4) and where there is no IPv6.
	LinkLocal netip.Addr
	// Flaps counts how often a link that is up was seen to have lost its neighbours' knowledge meanwhile: it was down
	// for a moment, or a bond moved to another slave. A changed count makes the announcer announce again.
	Flaps uint64
}

// Holds reports whether one of the interface's subnets holds addr.
func (i Interface) Holds(addr netip.Addr) bool {
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (i Interface) equal(o Interface) bool {
	return i.Index == o.Index && i.Name == o.Name && i.MAC == o.MAC && i.Up == o.Up && i.LinkLocal == o.LinkLocal &&
		i.Flaps == o.Flaps && slices.Equal(i.Prefixes, o.Prefixes) && slices.Equal(i.Local, o.Local) &&
		slices.Equal(i.Gateways, o.Gateways)
}

// Network is what the announcer stands on: the host's own interfaces (when Options.Network is nil) or those of a test.
type Network interface {
	// Watch calls tell with all interfaces that may be used, and again after every change, until ctx is done (it then
	// returns nil) or it cannot see changes any more. The announcer keeps what it was told last and calls Watch again.
	// What tell was given is not changed afterwards.
	Watch(ctx context.Context, tell func([]Interface)) error
	// ListenARP opens a socket for the ARP frames of an interface.
	ListenARP(Interface) (Conn, error)
	// ListenNDP opens a socket for the neighbour solicitations and advertisements of an interface that has a
	// link-local address.
	ListenNDP(Interface) (GroupConn, error)
	// ListenPing opens a socket for the echo requests to the interface, of protocol ICMP or ICMPv6.
	ListenPing(Interface, Protocol) (Conn, error)
}

// Conn reads and writes whole Ethernet frames without their check sequence, one with each call. Close ends a Read that
// waits. Reading, writing and closing may happen at the same time.
type Conn = io.ReadWriteCloser

// Dated is a Conn that knows when frames have come.
type Dated interface {
	// Waited returns how long the frame that Read has returned last had been waiting for that. It is called by the goroutine
	// that reads.
	Waited(now time.Time) time.Duration
}

// Awaiting is a Conn that knows when it has nothing more to read.
type Awaiting interface {
	// Awaited reports whether Read had to wait for the frame that it has returned last. It is called by the goroutine that reads.
	Awaited() bool
}

// Lossy is a Conn that knows how many frames came when it had no room for them.
type Lossy interface {
	// Lost returns how many there were, modulo 2^32, before the frame that Read has returned last; 0 while it does not know. It is
	// called by the goroutine that reads.
	Lost() uint32
}

// GroupConn is a Conn that joins IPv6 multicast groups, with a report to the network's routers and switches (MLD).
type GroupConn interface {
	Conn
	Join(group netip.Addr) error
	Leave(group netip.Addr) error
}
