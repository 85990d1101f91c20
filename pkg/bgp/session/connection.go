package session

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// openHoldTime bounds the time until the OPEN of the router (RFC 4271, section 8.2.2).
const openHoldTime = 4 * time.Minute

// sendHoldTime is the least time that a Send may be unanswered (RFC 9687).
const sendHoldTime = 8 * time.Minute

// connection holds the state of one connection. The zero value is no connection.
type connection struct {
	framer wire.Framer
	// local are the next hops and the family of the transport.
	local Connected
	// plain is true for an OPEN of this side without capabilities. open is the OPEN of the router.
	plain bool
	open  wire.Open
	// hold is the negotiated hold time, keepalive the time between messages of this side; both 0 for none.
	hold, keepalive time.Duration
	// holdAt, keepaliveAt and sendHoldAt are deadlines, zero for none.
	holdAt, keepaliveAt, sendHoldAt time.Time
	encoding                        wire.Encoding
	// notOffered says why a family is not sent; empty for a family that is.
	notOffered [wire.FamilyCount]string
	// hard is true when both sides have the N bit (RFC 8538).
	hard   bool
	outbox outbox
}

// outbox holds the messages that wait until the previous Send is written.
type outbox struct {
	// inFlight is true between a Send and its Written.
	inFlight  bool
	keepalive bool
	// refresh are the families to send again, endOfRIB those whose first End-of-RIB is not sent.
	refresh, endOfRIB [wire.FamilyCount]bool
}

// capabilities returns the capabilities of this side.
func (s *Session) capabilities(transport wire.Family) *wire.Capabilities {
	c := &wire.Capabilities{
		Multiprotocol: true, Families: [wire.FamilyCount]bool{true, true}, RouteRefresh: true, FourByteASN: true,
		ExtendedNextHop: transport == wire.IPv6,
	}
	if s.config.GracefulRestart > 0 {
		kept := s.config.ForwardingKept
		c.GracefulRestart = &wire.GracefulRestart{
			Restarting: s.retry.restarted, Notification: true, Time: s.config.GracefulRestart,
			Families: c.Families, Forwarding: [wire.FamilyCount]bool{kept, kept},
		}
	}
	return c
}

// greet sends the OPEN.
func (s *Session) greet(local Connected) {
	s.conn = connection{local: local, plain: s.retry.plain, holdAt: s.now.Add(openHoldTime)}
	s.enter(OpenSent)
	o := wire.Open{ASN: s.config.LocalASN, HoldTime: s.config.HoldTime, RouterID: s.config.RouterID}
	if !s.conn.plain {
		o.Capabilities = s.capabilities(local.Family)
	}
	s.counters.Sent[wire.TypeOpen]++
	s.send(o.Append(nil))
}

// send asks for bytes to be written.
func (s *Session) send(b []byte) {
	s.actions = append(s.actions, Send{b})
	s.conn.outbox.inFlight = true
	s.conn.sendHoldAt = s.now.Add(max(sendHoldTime, 2*s.conn.hold))
}

// written notes that the last Send is in the kernel.
func (s *Session) written() {
	s.conn.outbox.inFlight = false
	s.conn.sendHoldAt = time.Time{}
}

// heard starts the hold timer anew. Without a hold time only the exchange of OPENs has a bound.
func (s *Session) heard() {
	switch {
	case s.conn.hold > 0:
		s.conn.holdAt = s.now.Add(s.conn.hold)
	case s.status.state == Established:
		s.conn.holdAt = time.Time{}
	}
}

// spoke starts the keepalive timer anew.
func (s *Session) spoke() {
	s.conn.outbox.keepalive = false
	if s.conn.keepalive > 0 {
		s.conn.keepaliveAt = s.now.Add(s.jitter(s.conn.keepalive))
	}
}

// owe makes a KEEPALIVE due.
func (s *Session) owe() {
	s.conn.outbox.keepalive = true
	s.conn.keepaliveAt = time.Time{}
}

// close sends a NOTIFICATION, and closes the connection.
func (s *Session) close(n wire.Notification) {
	s.counters.Sent[wire.TypeNotification]++
	s.counters.Notification, s.counters.NotificationReceived = n, false
	s.actions = append(s.actions, Send{n.Append(nil)}, Close{})
}

// negotiate takes in the OPEN of the router.
func (s *Session) negotiate(o wire.Open) {
	c := &s.conn
	c.open = o
	c.hold = min(s.config.HoldTime, o.HoldTime)
	c.keepalive = s.config.KeepaliveTime
	shortened := c.hold < s.config.HoldTime && c.keepalive > c.hold/3
	if c.keepalive <= 0 || c.keepalive >= c.hold || shortened {
		c.keepalive = c.hold / 3
	}
	c.encoding = wire.Encoding{
		LocalASN: s.config.LocalASN, External: o.ASN != s.config.LocalASN, FourByteASN: s.shared().FourByteASN,
	}
	c.hard = s.config.GracefulRestart > 0 && s.shared().GracefulRestart != nil && s.shared().GracefulRestart.Notification
	s.chooseNextHops()
	for f := range c.outbox.endOfRIB {
		c.outbox.endOfRIB[f] = c.notOffered[f] == ""
	}
}

// shared returns the capabilities of the router that count: none where this side said none.
func (s *Session) shared() wire.Capabilities {
	if s.conn.plain || s.conn.open.Capabilities == nil {
		return wire.Capabilities{}
	}
	return *s.conn.open.Capabilities
}

// chooseNextHops decides which families the session carries.
func (s *Session) chooseNextHops() {
	c, shared := &s.conn, s.shared()
	hop4, hop6 := c.local.NextHop4.Unmap().WithZone(""), c.local.NextHop6.WithZone("")
	if !hop4.Is4() {
		hop4 = netip.Addr{}
	}
	if !hop6.Is6() {
		hop6 = netip.Addr{}
	}
	hops := [wire.FamilyCount]netip.Addr{hop4, hop6}
	extended := c.local.Family == wire.IPv6 && shared.ExtendedNextHop && hop6.IsValid()
	if extended {
		hops[wire.IPv4] = hop6
	}
	for f := range wire.Family(wire.FamilyCount) {
		offered := shared.Families[f] || !shared.Multiprotocol && f == wire.IPv4
		switch {
		case !offered:
			c.notOffered[f] = "the router does not accept " + f.String() + " routes on this session"
		case !hops[f].IsValid() && f == wire.IPv4 && c.local.Family == wire.IPv6:
			c.notOffered[f] = "this node has no IPv4 address on the interface, and the router does not offer IPv6 next hops " +
				"for IPv4 routes (RFC 8950)"
		case !hops[f].IsValid():
			c.notOffered[f] = "this node has no " + f.String() + " address on the interface for a next hop"
		default:
			c.notOffered[f] = ""
			c.encoding.NextHop[f] = hops[f]
		}
	}
}

// flush sends what is due, at most SendSize bytes, unless a Send is unanswered.
func (s *Session) flush() {
	c := &s.conn
	if c.outbox.inFlight || s.status.state < OpenConfirm {
		return
	}
	var b []byte
	if c.outbox.keepalive {
		b = wire.AppendKeepalive(b)
		s.counters.Sent[wire.TypeKeepalive]++
	}
	if s.status.state == Established {
		for f := range wire.Family(wire.FamilyCount) {
			if c.outbox.refresh[f] {
				c.outbox.refresh[f] = false
				s.table.refresh(f)
			}
		}
		var updates int
		b, updates = s.table.fill(b, &c.encoding)
		b, updates = s.endOfRIB(b, updates)
		s.counters.Sent[wire.TypeUpdate] += uint64(updates)
	}
	if len(b) > 0 {
		s.send(b)
		s.spoke()
	}
}

// endOfRIB appends the first End-of-RIB of each family, when all routes are told (RFC 4724, section 2).
func (s *Session) endOfRIB(b []byte, updates int) ([]byte, int) {
	for f := range wire.Family(wire.FamilyCount) {
		if s.conn.outbox.endOfRIB[f] && s.table.complete() {
			b = wire.AppendEndOfRIB(b, f)
			s.conn.outbox.endOfRIB[f] = false
			updates++
		}
	}
	return b, updates
}
