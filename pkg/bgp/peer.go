package bgp

import (
	"net/netip"
	"os"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/session"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// Peer is a router to keep a session with, and the routes to announce there.
type Peer struct {
	// Name identifies the session in status and metrics, unique in a set.
	Name string
	// LocalASN and RemoteASN are 1 to 4294967295. RemoteASN 0 stands for any number but LocalASN (eBGP) when
	// AnyExternal is true.
	LocalASN, RemoteASN uint32
	AnyExternal         bool
	// Address is the router's address; with a zone for a link-local address. Not valid for an unnumbered session: the
	// address is learned from router advertisements on Interface.
	Address netip.Addr
	// Interface is the interface of an unnumbered session; empty otherwise.
	Interface string
	Port      uint16
	// SourceAddress and SourceInterface choose the local address; both zero for the kernel's choice.
	SourceAddress   netip.Addr
	SourceInterface string
	// RouterID is the BGP identifier, an IPv4 address that is not 0.0.0.0.
	RouterID netip.Addr
	// HoldTime is 0, or 3 s and more. KeepaliveTime is at most HoldTime.
	HoldTime, KeepaliveTime time.Duration
	// Password is the TCP MD5 password; empty for none.
	Password string `json:"-"`
	// PasswordProblem says why the configured password cannot be read (the Secret is missing); empty when nothing is
	// wrong. A peer with a problem is not dialled, and its Status shows the problem.
	PasswordProblem string
	Multihop        bool
	// TTLSecurity is the greatest number of hops to the router, 0 for no check (RFC 5082).
	TTLSecurity int
	// GracefulRestart is the restart time (RFC 4724); 0 turns it off.
	GracefulRestart time.Duration
	// ForwardingKept is the F bit of graceful restart: false after a recent boot of the node.
	ForwardingKept bool
	// BFD is the profile of the BFD session, nil for none.
	BFD *bfd.Profile
	// Routes are all routes to announce, sorted by Prefix, each once. With Ready false the first End-of-RIB is held
	// back and nothing is withdrawn that the router may still keep from the previous process.
	Routes []Route
	Ready  bool
}

// Route is a prefix to announce. The next hop is the local address of the session.
type Route = wire.Route

// State is a state of the session machine.
type State = session.State

// Reason is why a session is not established.
type Reason = session.Reason

// Status is a session at one moment.
type Status struct {
	Name  string
	State State
	// Since is the time of the last change to or from Established, or the start.
	Since time.Time
	// Reason and Message say why the session is not established, in a word and in a sentence with the remedy. They keep
	// the reason of the last loss while the session is established again.
	Reason  Reason
	Message string
	// Local and Remote are the addresses of the connection; not valid without one.
	Local, Remote netip.AddrPort
	// RemoteASN and RemoteID are the values in the OPEN of the router; zero before.
	RemoteASN uint32
	RemoteID  netip.Addr
	// HoldTime is the negotiated hold time.
	HoldTime time.Duration
	// Announced4 and Announced6 count the prefixes that the router was told, Wanted4 and Wanted6 the prefixes to
	// announce.
	Announced4, Announced6, Wanted4, Wanted6 int
	// NotOffered4 and NotOffered6 are true when the router does not accept routes of the family on this session.
	NotOffered4, NotOffered6 bool
	// NotOfferedWhy4 and NotOfferedWhy6 say in a clause why, and whether the router or this node is the cause.
	NotOfferedWhy4, NotOfferedWhy6 string
	// TooLarge counts prefixes that are not announced because their attributes do not fit into a message.
	TooLarge int
	// BFD is the state of the BFD session; nil without one.
	BFD *bfd.Status
	// Resets counts how often the session was lost; Adopted is true for a session that the previous process began.
	Resets  int
	Adopted bool
}

// Detached is an established session for the next process of the node.
type Detached struct {
	Name string
	// File is the TCP connection.
	File *os.File `json:"-"`
	// State is the encoded state: parameters, negotiated values, unread bytes, routes sent.
	State []byte
	// BFD is the BFD session, nil without one.
	BFD *bfd.Detached
}
