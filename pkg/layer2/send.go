package layer2

import (
	"net/netip"
	"time"
)

// send announces all due addresses that the rate allows. send stops early if the table has changed or the port has
// stopped. send returns the time to wait until the next announcement; ok is false when nothing is planned.
func (p *port) send() (wait time.Duration, ok bool) {
	p.direct.waiting.Store(false)
	for {
		now := time.Now()
		j := p.schedule.next(now)
		withheld := j != nil && !p.a.pulse.steady(now)
		if len(p.questions) > 0 && (j == nil || withheld || j.round() != firstRound) {
			if wait := p.sendQuestion(now); wait > 0 {
				return wait, true
			}
			continue
		}
		if j == nil {
			return p.idle(now)
		}
		if p.table.Load() != p.current || p.ctx.Err() != nil {
			return 0, true // the address may be gone: read the table before sending
		}
		if withheld {
			return pulseInterval, true
		}
		frames, err := p.announcement(j.addr)
		if err != nil {
			p.log.Error("address cannot be announced", "ip", j.addr, "err", err)
			p.schedule.stop(j.addr)
			continue
		}
		if wait := p.reserve(now, len(frames)); wait > 0 {
			p.hold(j)
			return wait, true
		}
		p.write(j, frames)
		p.schedule.sent(now, j)
	}
}

// idle returns the time until the next task.
func (p *port) idle(now time.Time) (time.Duration, bool) {
	at, ok := p.schedule.wakeAt()
	for _, other := range []time.Time{p.members.again, p.lacking} {
		if !other.IsZero() && (!ok || other.Before(at)) {
			at, ok = other, true
		}
	}
	return at.Sub(now), ok
}

// reserve takes n tokens, or takes none and returns the time until n tokens are available.
func (p *port) reserve(now time.Time, n int) time.Duration {
	r := p.tokens.ReserveN(now, n)
	wait := r.DelayFrom(now)
	if wait > 0 {
		p.direct.waiting.Store(true)
		r.CancelAt(now)
	}
	return wait
}

// hold counts an announcement delayed by the rate.
func (p *port) hold(j *job) {
	if !j.held {
		j.held = true
		p.a.metrics.heldBack[protocolOf(j.addr)][j.round()].Inc()
	}
}

func (p *port) announcement(addr netip.Addr) ([][]byte, error) {
	if addr.Is4() {
		return arpAnnouncement(p.current.MAC, addr)
	}
	frame, err := ndpAnnouncement(p.current.MAC, addr)
	return [][]byte{frame}, err
}

// write sends the frames of one announcement. A frame with a send error counts as lost, like a frame dropped by a
// switch, and the next round covers the loss. The reader of a broken socket fails too and opens another socket.
func (p *port) write(j *job, frames [][]byte) {
	protocol, round := protocolOf(j.addr), j.round()
	for _, frame := range frames {
		if _, err := p.conns[protocol].Write(frame); err != nil {
			p.a.metrics.socketErrors[protocol].Inc()
			p.log.Debug("announcement not sent", "ip", j.addr, "err", err)
			continue
		}
		p.a.metrics.announcements[protocol][round].Inc()
	}
	p.log.Debug("announced", "ip", j.addr, "round", round)
}
