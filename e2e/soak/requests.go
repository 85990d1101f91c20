package soak

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// Requested notes what came of a request that began at a time.
func (j *Judge) Requested(target netip.AddrPort, began time.Time, answered bool) {
	s := j.of(target.Addr())
	if j.sought[target].IsZero() {
		j.sought[target] = began
	}
	since, fails := j.failing[target]
	switch {
	case s.wanted.IsZero() || !s.lit:
		delete(j.failing, target) // that is judged of its owner alone
	case !answered && !fails:
		j.failing[target] = began
	case answered && fails:
		delete(j.failing, target)
		if !since.IsZero() {
			j.add(j.unserved(target, since, began))
		}
	}
}

// Unrequested notes that nothing more is requested of somebody.
func (j *Judge) Unrequested(target netip.AddrPort) {
	delete(j.failing, target)
	delete(j.sought, target)
}

func (j *Judge) unserved(target netip.AddrPort, from, to time.Time) Span {
	return Span{Trait: Unserved, Addr: target.Addr(), From: from, To: to, Sought: j.sought[target]}
}

// tickRequests tells of what is unserved for too long while it is.
func (j *Judge) tickRequests(now time.Time) {
	for target, since := range j.failing {
		span := j.unserved(target, since, now)
		span.Forsaken = j.forsaken(span)
		if span.Bound, _ = j.bound(span); !since.IsZero() && span.Length() > span.Bound+2*patience {
			j.failing[target] = time.Time{}
			j.add(span)
		}
	}
}

// unforwarded is for how much of a span a node may have answered for the address and not have forwarded to its Service, of which what
// forwards there had not heard: it asks anew by a rhythm of its own.
func (j *Judge) unforwarded(s Span) time.Duration {
	of := j.of(s.Addr)
	known, until := later(of.wanted, s.Sought), s.From
	for _, w := range j.windows {
		r, learnt := j.rules.Of(w.kind), w.to.Add(j.rules.Reprogram)
		if w.to.IsZero() {
			learnt = s.To
		}
		if tenure := of.stations[w.who]; r.Has(fault.Unwired) && tenure != nil && tenure.overlaps(s.From, s.To) && !w.from.After(s.To) {
			until = later(until, learnt)
		}
		// Who heard of the Service before forgets nothing.
		if r.Has(fault.Blind) && !w.from.After(known.Add(j.rules.Quickly)) {
			known = later(known, learnt)
			until = later(until, learnt)
		}
	}
	if until.After(s.To) {
		until = s.To
	}
	return until.Sub(s.From)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
