package layer2

import (
	"net/netip"
	"time"
)

// send announces all that is due and that the rate allows, or until the port has something to attend to. It returns how
// long to wait until there is more; ok is false when nothing is planned.
func (p *port) send() (wait time.Duration, ok bool) {
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
			return 0, true // the address may be gone: look before anything else is sent
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

// idle tells how long nothing is to be done.
func (p *port) idle(now time.Time) (time.Duration, bool) {
	at, ok := p.schedule.wakeAt()
	for _, other := range []time.Time{p.members.again, p.lacking} {
		if !other.IsZero() && (!ok || other.Before(at)) {
			at, ok = other, true
		}
	}
	return at.Sub(now), ok
}

// reserve takes n tokens, or none and tells how long it is until there are as many.
func (p *port) reserve(now time.Time, n int) time.Duration {
	r := p.tokens.ReserveN(now, n)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// hold counts an announcement that has to wait for the rate.
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

// write sends the frames of one announcement. A frame that cannot be sent is lost like one that a switch drops: the next
// round makes up for it, and a socket that is broken ends in its reader, which opens another.
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
