package session

import (
	"net/netip"
	"time"
)

// Bounds of the backoff between attempts to dial.
const (
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
	// The bounds after BFD found the router unreachable: the link may come back at any moment.
	firstBFDBackoff = 100 * time.Millisecond
	lastBFDBackoff  = 5 * time.Second
)

// retry holds the state that outlives a connection.
type retry struct {
	// at is the time of the next dial; zero while a connection is up or being made, and in Idle.
	at time.Time
	// backoff is the last wait without jitter; 0 after an established session.
	backoff time.Duration
	// quick is true after BFD found the router unreachable, until a session is established.
	quick bool
	// plain makes the next OPEN one without optional parameters, since the router refused them (RFC 5492, section 3).
	plain bool
	// restarted is the R bit of the next OPEN.
	restarted bool
	remoteASN uint32
	remoteID  netip.Addr
}

// dial asks for a connection.
func (s *Session) dial() {
	s.retry.at = time.Time{}
	s.enter(Connect)
	s.actions = append(s.actions, Dial{})
}

// wait plans the next attempt.
func (s *Session) wait() {
	first, last := firstBackoff, lastBackoff
	if s.retry.quick {
		first, last = firstBFDBackoff, lastBFDBackoff
	}
	s.retry.backoff = min(max(first, 2*s.retry.backoff), last)
	s.retry.at = s.now.Add(s.jitter(s.retry.backoff))
	s.enter(Active)
}

// lose forgets the connection after a reason was recorded, and plans the next attempt.
func (s *Session) lose() {
	s.forget()
	s.wait()
}

// forget drops the connection and what the router was told.
func (s *Session) forget() {
	if s.status.state == Established {
		s.counters.Resets++
		s.retry.backoff = 0
	}
	s.conn = connection{}
	s.table.forget()
}

// settle is called when a session is established.
func (s *Session) settle() { s.retry.backoff, s.retry.restarted, s.retry.quick = 0, false, false }

// hurry makes the waits short until a session is established.
func (s *Session) hurry() { s.retry.quick = true }

// reset makes the next wait the first one again.
func (s *Session) reset() { s.retry.backoff, s.retry.plain = 0, false }

// cancel plans no attempt.
func (s *Session) cancel() { s.retry.at = time.Time{} }

// met keeps what the router says of itself.
func (s *Session) met(asn uint32, id netip.Addr) { s.retry.remoteASN, s.retry.remoteID = asn, id }

// adapt chooses the form of the next OPEN.
func (s *Session) adapt(plain bool) { s.retry.plain = plain }
