package bfd

import (
	"net/netip"
	"os"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/session"
	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// Target is a session to keep, identified by Local, Remote and Interface.
type Target struct {
	// Local and Remote are of one family. A link-local address has a zone.
	Local, Remote netip.Addr
	// Interface binds a single-hop session to an interface; empty for any.
	Interface string
	// Multihop selects UDP port 4784 and the check of MinimumTTL (RFC 5883); else port 3784 and TTL 255 (RFC 5881).
	Multihop bool
	Profile  Profile
}

// Key returns the identity of t.
func (t Target) Key() Key {
	return Key{Local: t.Local, Remote: t.Remote, Interface: t.Interface, Multihop: t.Multihop}
}

// Profile holds the timers of a session.
type Profile = session.Profile

// Key identifies a session.
type Key struct {
	Local, Remote netip.Addr
	Interface     string
	Multihop      bool
}

// Status is a session at one moment.
type Status struct {
	Key
	// State is the state of RFC 5880, section 6.2.
	State State
	// Since is the time of the last change of State.
	Since time.Time
	// Diagnostic is the reason of the last Down (RFC 5880, section 4.1): NeighborSignaledDown when the peer signaled
	// Down.
	Diagnostic Diagnostic
	// RemoteState and RemoteDiagnostic come from the peer's last packet. A silent peer is Down. A peer in AdminDown
	// shut BFD down by configuration: the path may be good (RFC 5882, section 4.2).
	RemoteState      State
	RemoteDiagnostic Diagnostic
	// TransmitInterval is the interval in use; larger than the profile's while this process is late, 0 when nothing is
	// sent.
	TransmitInterval time.Duration
	// DetectionTime is the time without packets after which the session goes down, 0 while the peer is silent.
	DetectionTime time.Duration
	// Problem says why the session has no sockets; empty when nothing is wrong.
	Problem string
}

// State is the state of a session (RFC 5880, section 6.2). The numbers are the numbers in packets.
type State = wire.State

// The states.
const (
	AdminDown = wire.AdminDown
	Down      = wire.Down
	Init      = wire.Init
	Up        = wire.Up
)

// Diagnostic is the reason of a Down (RFC 5880, section 4.1).
type Diagnostic = wire.Diagnostic

// Detached is a session for the next process of the node: its sockets, and what is not in them.
type Detached struct {
	Target Target
	// Files are the receiving and the sending socket, in this order. Sessions with the same local address share the
	// receiving socket: each has a descriptor of it.
	Files []*os.File `json:"-"`
	// State is the encoded state of the session machine: discriminators, states, timers.
	State []byte
}
