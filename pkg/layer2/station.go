package layer2

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Station is another station that this host asks for one of its addresses again and again. A question and its answer
// cost no wake-up of another goroutine: the caller of Ask sends the question, and the packet reader notes the time of
// the answer. One goroutine at a time may call Ask and Close, and any goroutine Answered.
type Station struct {
	a       *Announcer
	inquiry *inquiry
	// answered is the time of the last answer, in nanoseconds since the start of the pulse; 0 means never.
	answered atomic.Int64
	// passed is the time of the last answer that was not routine, in the same form.
	passed atomic.Int64
	// asked is the time of the last question, in the same form; 0 before the first question and after Close.
	asked int64
	// ports and layout are the state of the announcer for which asks was made.
	ports  *[]*port
	layout *layout
	asks   []asking
}

// asking is a port with the question to send there.
type asking struct {
	port  *port
	table *table // the table that the question was made from
	frame []byte // empty when the port cannot ask
}

// direct lets goroutines other than that of the port send questions.
type direct struct {
	// open holds the sockets.
	open [protocols]atomic.Pointer[Conn]
	// waiting is true while frames wait until the rate allows them. A question must then wait behind these frames.
	waiting atomic.Bool
}

// Station returns the station with the given hardware address, to be asked for addr. Close ends the use of the Station.
func (a *Announcer) Station(addr netip.Addr, mac MAC) *Station {
	s := &Station{a: a}
	s.inquiry = &inquiry{addr: addr.Unmap().WithZone(""), to: mac, station: s}
	return s
}

// Is reports whether s is the station with this address and this hardware address.
func (s *Station) Is(addr netip.Addr, mac MAC) bool {
	return s.inquiry.addr == addr && s.inquiry.to == mac
}

// Ask sends a question as Probe does, at once or not at all, and reports whether each interface that should ask has
// sent the question. Without an interface, Ask returns false. After false, Probe can find the reason, or wait until the
// rate allows the question.
func (s *Station) Ask(now time.Time) bool {
	switch {
	case s.asked == 0:
		s.a.inquiries.add(s.inquiry)
	case s.answered.Load() >= s.asked:
		s.a.metrics.probes[protocolOf(s.inquiry.addr)][Taken].Inc()
	}
	s.asked = max(1, int64(now.Sub(s.a.pulse.began)))
	if ports, layout := s.a.ports.Load(), s.a.layout.Load(); ports != s.ports || layout != s.layout {
		s.ports, s.layout, s.asks = ports, layout, nil
		for _, p := range s.a.portsFor(s.inquiry.addr, nil) {
			s.asks = append(s.asks, asking{port: p})
		}
	}
	for i := range s.asks {
		if !s.asks[i].ask(now, s.inquiry) {
			return false
		}
	}
	return len(s.asks) > 0
}

// ask sends the question if the port has a socket, can hear the answer, and may send now.
func (p *asking) ask(now time.Time, q *inquiry) bool {
	if t := p.port.table.Load(); t != p.table {
		p.table, p.frame = t, nil
		if frame, err := t.question(q.addr, q.to); err == nil && t.scope.contains(q.addr) {
			p.frame = frame
		}
	}
	protocol := protocolOf(q.addr)
	conn := p.port.direct.open[protocol].Load()
	if conn == nil || len(p.frame) == 0 || p.port.direct.waiting.Load() || !p.port.tokens.AllowN(now, 1) {
		return false
	}
	var err error
	if c, ok := (*conn).(prompt); ok {
		err = c.writeNow(p.frame)
	} else {
		_, err = (*conn).Write(p.frame)
	}
	if err != nil {
		p.port.a.metrics.socketErrors[protocol].Inc()
	}
	return err == nil
}

// prompt is a Conn whose Write may wait for room in the socket.
type prompt interface {
	// writeNow sends a frame at once, or returns an error.
	writeNow(frame []byte) error
}

// Answered returns the time of the last answer, or of another frame in which the station used the address; zero for
// none.
func (s *Station) Answered() time.Time { return s.a.pulse.at(s.answered.Load()) }

// Close forgets the station. A later call of Ask starts anew.
func (s *Station) Close() {
	if s.asked != 0 {
		s.asked = 0
		s.a.inquiries.remove(s.inquiry)
	}
}

// hear notes a claim of the station. hear allocates nothing and does not wait. hear reports whether the claim is
// routine: an answer for an address of another node, after another answer in the same claimWindow. Options.Heard is not
// called for such a claim anyway, and the goroutine that counts claims need not wake for the claim.
func (s *Station) hear(c Claim) (routine bool) {
	if c.MAC != s.inquiry.to || c.Form == Probing {
		return false
	}
	now := max(1, int64(time.Since(s.a.pulse.began)))
	s.answered.Store(now)
	if !c.Answer || c.Mode != Watch {
		return false
	}
	last := s.passed.Load()
	if routine = last != 0 && now-last < int64(claimWindow); !routine {
		s.passed.Store(now)
	}
	return routine
}
