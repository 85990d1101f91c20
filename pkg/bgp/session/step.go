package session

import (
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// Step applies an event at a time, which never goes back. Before a late Timer, pass the bytes in the socket as
// Received. Otherwise a process that was halted for a while ends the session because of its own delay.
func (s *Session) Step(now time.Time, e Event) []Action {
	s.now, s.actions = now, nil
	switch e := e.(type) {
	case Start:
		if s.status.state == Idle {
			s.reset()
			s.dial()
		}
	case Connected:
		s.connected(e)
	case DialFailed:
		if s.status.state == Connect {
			s.blame(e.Reason, "%s", e.Message)
			s.wait()
		}
	case Received:
		s.receive(e.Data)
	case Written:
		s.written()
	case Closed:
		if s.status.state >= OpenSent {
			s.blame(e.Reason, "%s", e.Message)
			s.lose()
		}
	case Timer:
		s.timer()
	case SetRoutes:
		if s.table.set(e.Routes, e.Ready) && s.status.state == Established {
			s.table.merge(&s.conn.encoding)
		}
	case BFDDown:
		if s.status.state >= OpenSent {
			s.hurry()
			s.fail(wire.Notification{Code: wire.CodeCease, Subcode: wire.CeaseBFDDown}, BFDLost,
				"BFD finds the router unreachable")
		}
	case Reconnect:
		s.reset()
		if s.status.state == Active {
			s.dial()
		}
	case Stop:
		s.stop(e.Reason)
	}
	s.flush()
	return s.actions
}

// connected begins the exchange of OPENs. A connection that nobody asked for is closed.
func (s *Session) connected(e Connected) {
	switch s.status.state {
	case Connect:
		s.greet(e)
	case Idle, Active:
		s.actions = append(s.actions, Close{})
	}
}

// fail ends a connection by a NOTIFICATION, as a Hard Reset where that is negotiated and the routes must go (RFC 8538,
// section 4), and plans the next attempt.
func (s *Session) fail(n wire.Notification, reason Reason, format string, args ...any) {
	if n.Code == wire.CodeCease && s.conn.hard {
		n = n.Hard()
	}
	s.close(n)
	s.blame(reason, format, args...)
	s.lose()
}

// timer does what is due.
func (s *Session) timer() {
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(s.now) }
	switch {
	case due(s.retry.at):
		s.dial()
	case due(s.conn.holdAt) && s.conn.hold == 0:
		s.fail(wire.Notification{Code: wire.CodeHoldTimer}, HoldTimeExpired,
			"the router took the connection and did not begin a session for %v", openHoldTime)
	case due(s.conn.holdAt):
		s.fail(wire.Notification{Code: wire.CodeHoldTimer}, HoldTimeExpired,
			"nothing came from the router for the hold time of %v", s.conn.hold)
	case due(s.conn.sendHoldAt):
		s.fail(wire.Notification{Code: wire.CodeSendHold}, SendHoldExpired, "the router read nothing for %v",
			max(sendHoldTime, 2*s.conn.hold))
	case due(s.conn.keepaliveAt):
		s.owe()
	}
}

// stop ends the session until the next Start.
func (s *Session) stop(reason StopReason) {
	n := wire.Notification{Code: wire.CodeCease, Subcode: wire.CeaseShutdown}
	if reason == Deconfigured {
		n.Subcode = wire.CeaseDeconfigured
	}
	if reason != Shutdown && s.conn.hard {
		n = n.Hard()
	}
	switch s.status.state {
	case Idle:
		return
	case Connect:
		s.actions = append(s.actions, Close{})
	case OpenSent, OpenConfirm, Established:
		s.close(n)
	}
	s.blame(Stopped, "this speaker ended the session")
	s.cancel()
	s.forget()
	s.enter(Idle)
}
