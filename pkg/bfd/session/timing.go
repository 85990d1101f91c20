package session

import (
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// timing holds the intervals of this end (RFC 5880, section 6.8.3).
type timing struct {
	// saidTx and saidRx are DesiredMinTx and RequiredMinRx of the packets. usedTx and usedRx are in force: they differ
	// from saidTx and saidRx while a Poll sequence runs.
	saidTx, saidRx, usedTx, usedRx time.Duration
	// polling is true during a Poll sequence. polls counts its packets.
	polling bool
	polls   int
	// quiet is the time before which no new Poll sequence starts, so that a late F packet does not end the wrong
	// sequence.
	quiet time.Duration
}

// wanted returns the intervals that the profile, the state and Stretch ask for.
func (s *Session) wanted() (tx, rx time.Duration) {
	tx = stretched(s.profile.TransmitInterval, s.stretch)
	if s.local.state != wire.Up {
		tx = max(tx, slow)
	}
	return tx, stretched(s.profile.ReceiveInterval, s.stretch)
}

// negotiate takes up changed intervals: at once while the session is not Up, else by a Poll sequence. The parts of a
// change that make this end send sooner, or wait longer for the peer, are in force at once (RFC 5880, section 6.8.3).
func (s *Session) negotiate(now time.Duration) {
	t := &s.timing
	tx, rx := s.wanted()
	if s.local.state != wire.Up {
		*t = timing{saidTx: tx, saidRx: rx, usedTx: tx, usedRx: rx}
		return
	}
	if t.polling || (t.saidTx == tx && t.saidRx == rx) || now < t.quiet {
		return
	}
	t.saidTx, t.saidRx, t.polling, t.polls = tx, rx, true, 0
	t.usedTx, t.usedRx = min(t.usedTx, tx), max(t.usedRx, rx)
	s.hurry(now)
}

// final ends a Poll sequence. When more than one packet of the sequence was sent, more F packets may be on their way.
func (s *Session) final(now time.Duration) {
	t := &s.timing
	if !t.polling {
		return
	}
	if t.polls > 1 {
		t.quiet = now + time.Duration(s.profile.DetectMultiplier)*s.interval()
	}
	t.polling = false
	t.usedTx, t.usedRx = t.saidTx, t.saidRx
}

// pollDeadline returns the time at which a Poll sequence that waits can start, or never.
func (s *Session) pollDeadline() time.Duration {
	tx, rx := s.wanted()
	if s.local.state != wire.Up || s.timing.polling || (s.timing.saidTx == tx && s.timing.saidRx == rx) {
		return never
	}
	return s.timing.quiet
}

// waiting is true for a passive session that has not heard the peer.
func (s *Session) waiting() bool { return s.profile.Passive && s.remote.discriminator == 0 }

// interval returns the transmit interval in force before jitter, 0 when nothing is to be sent (RFC 5880, section
// 6.8.7).
func (s *Session) interval() time.Duration {
	demand := s.remote.demand && s.local.state == wire.Up && s.remote.state == wire.Up && !s.timing.polling
	if s.waiting() || s.remote.minRx == 0 || demand {
		return 0
	}
	return max(s.timing.usedTx, s.remote.minRx)
}

// pace moves the next transmission after a change of the interval. A shorter interval counts from the last
// transmission: otherwise the peer would expire while this end waits for the end of the longer interval.
func (s *Session) pace(now time.Duration) {
	c, interval := &s.clock, s.interval()
	switch {
	case interval == 0:
		c.due = never
	case c.due == never:
		c.due = now
	case interval < c.paced:
		c.due = min(c.due, max(now, c.sent+s.jitter(interval)))
	}
	c.paced = interval
}

// hurry has the next packet sent at once, if packets are sent at all.
func (s *Session) hurry(now time.Duration) {
	if s.clock.due != never {
		s.clock.due = now
	}
}

// jitter takes 0 to 25 % off interval (RFC 5880, section 6.8.7). The limit of 90 % for multiplier 1 does not occur.
func (s *Session) jitter(interval time.Duration) time.Duration {
	return interval - time.Duration(s.random.Int64N(int64(interval/4)+1))
}

// receiveInterval returns the interval between the peer's packets before jitter.
func (s *Session) receiveInterval() time.Duration { return max(s.timing.usedRx, s.remote.minTx) }

// detection returns the detection time (RFC 5880, section 6.8.4), 0 while the peer is silent.
func (s *Session) detection() time.Duration {
	if s.remote.discriminator == 0 {
		return 0
	}
	return time.Duration(s.remote.multiplier) * s.receiveInterval()
}

// expiry returns the time at which the peer is expired, or never while the peer is silent.
func (s *Session) expiry() time.Duration {
	if s.remote.discriminator == 0 {
		return never
	}
	return max(s.clock.heard+s.detection(), s.clock.grace)
}
