package bfd

import (
	"net/netip"
	"os"
	"time"
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

// Profile holds the timers of a session.
type Profile struct {
	// ReceiveInterval and TransmitInterval are 10 ms to 60 s.
	ReceiveInterval, TransmitInterval time.Duration
	// DetectMultiplier is 2 to 255.
	DetectMultiplier uint8
	// Passive means to send nothing before the peer does.
	Passive bool
	// MinimumTTL is for multihop sessions.
	MinimumTTL uint8
}

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
	// Diagnostic is the reason of the last Down (RFC 5880, section 4.1), from this end or the peer's.
	Diagnostic Diagnostic
	// TransmitInterval is the interval in use; larger than the profile's while this process is late.
	TransmitInterval time.Duration
	// DetectionTime is the time without packets after which the session goes down.
	DetectionTime time.Duration
}

// State is the state of a session (RFC 5880, section 6.2). The numbers are those of the packets.
type State uint8

// The states.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String returns the state's name in RFC 5880.
func (s State) String() string { return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3] }

// Diagnostic is the reason of a Down (RFC 5880, section 4.1).
type Diagnostic uint8

// Detached is a session for the next process of the node: its sockets, and what is not in them.
type Detached struct {
	Target Target
	// Files are the receiving and the sending socket, in this order.
	Files []*os.File `json:"-"`
	// State is the encoded state of the session machine: discriminators, states, timers.
	State []byte
}
