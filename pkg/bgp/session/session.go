package session

import (
	"fmt"
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
	now    time.Time
	// actions collects the actions of the current Step.
	actions []Action
	status  status
	retry   retry
	conn    connection
	table   table
	// counters are shown in View.
	counters Counters
}

// status is the state and the reason for it.
type status struct {
	state   State
	since   time.Time
	reason  Reason
	message string
}

// New returns a session in Idle. random returns numbers in [0, 1), for jitter.
func New(c Config, random func() float64) *Session {
	return &Session{config: c, random: random, retry: retry{restarted: c.Restarted}}
}

// View is a session at one moment.
type View struct {
	State State
	// Since is the time of the last change to or from Established; before any change, the time of the first Start.
	Since time.Time
	// Reason and Message say why the session is not established. They keep the last loss while it is established again.
	Reason  Reason
	Message string
	// RemoteASN and RemoteID come from the last OPEN of the router; zero before.
	RemoteASN uint32
	RemoteID  netip.Addr
	// HoldTime is the negotiated hold time; 0 for none, and while no session is established.
	HoldTime time.Duration
	// Announced counts the prefixes that the router was told, Wanted the prefixes of SetRoutes. TooLarge counts the
	// prefixes whose attributes do not fit into a message, and which are not announced for this reason.
	Announced, Wanted [wire.FamilyCount]int
	TooLarge          int
	// NotOffered are the families that the established session cannot carry: the router does not accept them, or this
	// node has no next hop. NotOfferedWhy says in a clause which of both.
	NotOffered    [wire.FamilyCount]bool
	NotOfferedWhy [wire.FamilyCount]string
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

// View returns the session as it is now.
func (s *Session) View() View {
	v := View{
		State: s.status.state, Since: s.status.since, Reason: s.status.reason, Message: s.status.message,
		RemoteASN: s.retry.remoteASN, RemoteID: s.retry.remoteID,
		Announced: s.table.announced, Wanted: s.table.wanted, TooLarge: s.table.tooLarge, Counters: s.counters,
	}
	if s.status.state == Established {
		v.HoldTime = s.conn.hold
		for f, why := range s.conn.notOffered {
			v.NotOffered[f], v.NotOfferedWhy[f] = why != "", why
		}
	}
	return v
}

// Next returns when Step is to be called with Timer; the zero time for never.
func (s *Session) Next() time.Time {
	var next time.Time
	for _, at := range [...]time.Time{s.retry.at, s.conn.holdAt, s.conn.keepaliveAt, s.conn.sendHoldAt} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// jitter shortens a duration by up to a quarter (RFC 4271, section 10).
func (s *Session) jitter(d time.Duration) time.Duration {
	return d - time.Duration(s.random()*float64(d)/4)
}

// enter changes the state.
func (s *Session) enter(state State) {
	if (state == Established) != (s.status.state == Established) || s.status.since.IsZero() {
		s.status.since = s.now
	}
	s.status.state = state
}

// blame records why the session is not established.
func (s *Session) blame(reason Reason, format string, args ...any) {
	s.status.reason, s.status.message = reason, fmt.Sprintf(format, args...)
	s.counters.Lost[reason]++
}
