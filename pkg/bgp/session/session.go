package session

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// Config holds the parameters of a session.
type Config struct {
	// LocalASN is 1 to 4294967295. RemoteASN is the AS number that the router must say; 0 stands for any number but
	// LocalASN when AnyExternal is true.
	LocalASN, RemoteASN uint32
	AnyExternal         bool
	// RouterID is the BGP identifier, an IPv4 address that is not 0.0.0.0.
	RouterID netip.Addr
	// HoldTime is 0, or 3 s to 65535 s. KeepaliveTime is at most HoldTime; 0 stands for a third of the negotiated time.
	HoldTime, KeepaliveTime time.Duration
	// GracefulRestart is the restart time of RFC 4724, at most 4095 s; 0 turns graceful restart off.
	GracefulRestart time.Duration
	// ForwardingKept is the F bit of RFC 4724.
	ForwardingKept bool
	// Restarted sets the R bit of RFC 4724 until the first session is established.
	Restarted bool
}

// Session is the session with one router. Its methods must not run at the same time.
type Session struct {
	config Config
	random func() float64
}

// View is a session at one moment.
type View struct {
	State State
	// Since is the time of the last change to or from Established; before, that of the first Start.
	Since time.Time
	// Reason and Message say why the session is not established. They keep the last loss while it is established again.
	Reason  Reason
	Message string
	// RemoteASN and RemoteID are those of the last OPEN of the router; zero before.
	RemoteASN uint32
	RemoteID  netip.Addr
	// HoldTime is the negotiated hold time; 0 for none, and while no session is established.
	HoldTime time.Duration
	// Announced counts the prefixes that the router was told, Wanted those of SetRoutes.
	Announced, Wanted [wire.FamilyCount]int
	// NotOffered are the families that the router does not accept on this session, or that have no next hop.
	NotOffered [wire.FamilyCount]bool
	// Counters count since New or Restore.
	Counters Counters
}

// Counters counts what has happened.
type Counters struct {
	// Sent and Received are messages by type.
	Sent, Received [wire.TypeCount]uint64
	// Resets counts how often the session left Established.
	Resets int
	// Lost counts losses and failed attempts by reason.
	Lost [ReasonCount]uint64
	// Notification is the newest NOTIFICATION, NotificationReceived its direction.
	Notification         wire.Notification
	NotificationReceived bool
}

// New returns a session in Idle. random returns numbers in [0, 1), for jitter.
func New(c Config, random func() float64) *Session { return &Session{config: c, random: random} }

// Restore continues an established session of the previous process from the state that its Save returned. random is nil
// safe; set it with the Config. The first Step sends a KEEPALIVE.
func Restore(c Config, state []byte, now time.Time, random func() float64) (*Session, error) {
	return New(c, random), nil
}

// Save returns the state of an established session for Restore. It fails in every other state, and while a Send is
// unanswered.
func (s *Session) Save() ([]byte, error) { return nil, nil }

// Step applies an event at a time, which never goes back.
func (s *Session) Step(now time.Time, e Event) []Action { return nil }

// Next returns when Step is to be called with Timer; the zero time for never.
func (s *Session) Next() time.Time { return time.Time{} }

// View returns the session as it is now.
func (s *Session) View() View { return View{} }
