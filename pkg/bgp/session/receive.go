package session

import (
	"errors"
	"strings"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// receive handles the messages in the bytes received so far.
func (s *Session) receive(data []byte) {
	if s.status.state < OpenSent {
		return
	}
	s.conn.framer.Write(data)
	for s.status.state >= OpenSent {
		m, ok, err := s.conn.framer.Next()
		if err != nil {
			s.reject(err)
			return
		}
		if !ok {
			return
		}
		s.counters.Received[m.Type]++
		s.message(m)
	}
}

// reject ends the connection after a message that is not valid.
func (s *Session) reject(err error) {
	invalid, ok := errors.AsType[*wire.Error](err)
	if !ok {
		invalid = &wire.Error{Notification: wire.Notification{Code: wire.CodeCease}, Detail: err.Error()}
	}
	reason := BadMessage
	if invalid.Notification.Code == wire.CodeOpen && invalid.Notification.Subcode == wire.OpenBadASN {
		reason = WrongASN
	}
	s.fail(invalid.Notification, reason, "%s", invalid.Detail)
}

// message handles one message (RFC 4271, section 8.2.2).
func (s *Session) message(m wire.Message) {
	state := s.status.state
	switch {
	case m.Type == wire.TypeNotification:
		s.notified(wire.ParseNotification(m.Body))
	case state == OpenSent && m.Type == wire.TypeOpen:
		s.opened(m.Body)
	case state == OpenConfirm && m.Type == wire.TypeKeepalive:
		s.establish()
	case state == Established && m.Type == wire.TypeKeepalive:
		s.heard()
	case state == Established && m.Type == wire.TypeUpdate:
		s.heard()
		if err := wire.CheckUpdate(m.Body); err != nil {
			s.reject(err)
		}
	case state == Established && m.Type == wire.TypeRouteRefresh:
		s.heard()
		if f, ok := wire.ParseRouteRefresh(m.Body); ok && s.conn.notOffered[f] == "" {
			s.conn.outbox.refresh[f] = true
		}
	default:
		s.unexpected(m.Type)
	}
}

// unexpected ends the connection after a message that the state does not allow (RFC 6608).
func (s *Session) unexpected(t wire.Type) {
	subcode := [StateCount]uint8{
		OpenSent: wire.StateUnexpectedOpenSent, OpenConfirm: wire.StateUnexpectedOpenConfirm,
		Established: wire.StateUnexpectedEstablished,
	}[s.status.state]
	n := wire.Notification{Code: wire.CodeStateMachine, Subcode: subcode, Data: []byte{byte(t)}}
	s.fail(n, BadMessage, "the router sent %s in the state %v", strings.ToUpper(t.String()), s.status.state)
}

// opened answers the OPEN of the router.
func (s *Session) opened(body []byte) {
	o, err := wire.ParseOpen(body)
	s.met(o.ASN, o.RouterID)
	if err != nil {
		s.reject(err)
		return
	}
	bad := func(subcode uint8) wire.Notification { return wire.Notification{Code: wire.CodeOpen, Subcode: subcode} }
	switch local := s.config.LocalASN; {
	case s.config.RemoteASN != 0 && o.ASN != s.config.RemoteASN:
		s.fail(bad(wire.OpenBadASN), WrongASN, "the router says that its AS number is %d, and the configuration says %d",
			o.ASN, s.config.RemoteASN)
		return
	case s.config.RemoteASN == 0 && s.config.AnyExternal && o.ASN == local:
		s.fail(bad(wire.OpenBadASN), WrongASN,
			"the router has the AS number of this node, %d, and the configuration wants another one", o.ASN)
		return
	case o.ASN == local && o.RouterID == s.config.RouterID: // RFC 6286, section 2.2
		s.fail(bad(wire.OpenBadID), BadMessage, "the router has the BGP identifier of this node, %v", o.RouterID)
		return
	}
	s.negotiate(o)
	s.heard()
	s.enter(OpenConfirm)
	s.owe()
}

// establish begins to announce.
func (s *Session) establish() {
	s.enter(Established)
	s.heard()
	s.settle()
	s.table.merge(&s.conn.encoding)
}

// notified ends the connection after a NOTIFICATION of the router.
func (s *Session) notified(n wire.Notification) {
	s.counters.Notification, s.counters.NotificationReceived = n, true
	inner, _ := n.Reason()
	switch {
	case inner.Code == wire.CodeCease && inner.Subcode == wire.CeaseCollision:
		s.blame(OtherSpeaker, "another BGP speaker of this node, for example Calico, has the session: %v", n)
	case inner.Code == wire.CodeOpen && inner.Subcode == wire.OpenBadASN:
		s.blame(WrongASN, "the router expects another AS number than %d of this node: %v", s.config.LocalASN, n)
	default:
		s.blame(Notified, "the router ended the session: %v", n)
	}
	refused := inner.Code == wire.CodeOpen && inner.Subcode == wire.OpenUnsupportedParameter
	s.adapt(refused && !s.conn.plain)
	s.actions = append(s.actions, Close{})
	s.lose()
}
