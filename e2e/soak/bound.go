package soak

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	// relearn is for how long after its end a blinding fault is an excuse, or for as long as it lasted if that is longer: who was refused
	// asks again after up to 12 s, and TCP after the time for which it was not answered.
	relearn = 15 * time.Second
	// quickly is how long a Service may wait for its address while there is a controller, and successor how long from the end of a
	// fault on by which there was none: one that was killed has a Lease for 15 s.
	quickly   = 10 * time.Second
	successor = 30 * time.Second
)

// heardOf returns when some nodes should have heard of a change and acted on it, as is known at a later time. If none is named
// these are all but those that are gone, whose place others are to take.
func (j *Judge) heardOf(change, at time.Time, nodes ...wire.MAC) time.Time {
	heard := change
	for _, w := range j.windows {
		concerns := w.who == (wire.MAC{}) || slices.Contains(nodes, w.who) || len(nodes) == 0 && !ruleOf(w.kind).has(gone)
		if !concerns || !ruleOf(w.kind).has(blind) || w.from.After(at) {
			continue
		}
		if w.to.IsZero() {
			return at
		}
		if until := w.relearnt(); until.After(heard) {
			heard = until
		}
	}
	if heard.After(at) {
		return at
	}
	return heard
}

// relearnt returns until when a blinding fault that has ended is an excuse.
func (w *window) relearnt() time.Time { return w.to.Add(max(relearn, w.to.Sub(w.from))) }

// Overdue tells whether a Service that has waited for an address since a time has done so for too long.
func (j *Judge) Overdue(since, now time.Time) bool {
	limit := since.Add(quickly)
	for _, w := range j.windows {
		switch {
		case !ruleOf(w.kind).has(idle):
		case w.to.IsZero():
			return false
		case limit.Before(w.to.Add(successor)):
			limit = w.to.Add(successor)
		}
	}
	return now.After(limit)
}

// bound returns how long a span may last, and the kind of the fault that explains it best.
func (j *Judge) bound(s Span) (longest time.Duration, cause Kind) {
	longest, cause = limit(s.Trait, ruleOf("")), "none"
	var last time.Time
	for _, w := range j.windows {
		until := w.interval
		if !until.to.IsZero() {
			until.to = until.to.Add(settling)
		}
		if !until.overlaps(s.From, s.To) {
			continue
		}
		longest = max(longest, limit(s.Trait, ruleOf(w.kind)))
		for _, moment := range []time.Time{w.from, w.to} {
			if !moment.IsZero() && !moment.After(s.To) && moment.After(last) {
				last, cause = moment, w.kind
			}
		}
	}
	switch s.Trait {
	case New:
		longest += j.heardOf(s.From, s.To).Sub(s.From) + s.Forsaken
	case Dark:
		longest += s.Forsaken
	case Two:
		// A node that does not hear where the endpoints are now goes on beside the one that does.
		if j.moved(s) {
			longest += j.heardOf(s.From, s.To, s.Who...).Sub(s.From)
		}
	case Ghost:
		longest = leftover
	case Stray:
		longest = straying
	}
	return longest, cause
}

func limit(t Trait, r rule) time.Duration {
	if t == Two {
		return r.overlap
	}
	return r.dark
}

// forsaken returns for how much of a span all nodes that might have the address were gone, or had no way to hear that they might.
func (j *Judge) forsaken(s Span) (long time.Duration) {
	const step = 50 * time.Millisecond
	of := j.of(s.Addr)
	if len(of.placings) == 0 || s.Trait != Dark && s.Trait != New {
		return 0
	}
	for at := s.From; at.Before(s.To); at = at.Add(step) {
		p := of.placed(at)
		lost := func(m wire.MAC) bool {
			return slices.ContainsFunc(j.windows, func(w *window) bool { return w.loses(m, p.from, at) })
		}
		if p.confined && !slices.ContainsFunc(p.nodes, func(m wire.MAC) bool { return !lost(m) }) {
			long += step
		}
	}
	return long
}

// loses tells whether a node is no use at a time because of a fault for an address that it may have since another time.
func (w *window) loses(m wire.MAC, since, at time.Time) bool {
	r := ruleOf(w.kind)
	if r.has(gone) && w.who == m && w.overlaps(at, at) {
		return true
	}
	if !r.has(blind) || w.who != m && w.who != (wire.MAC{}) {
		return false
	}
	unaware := w.interval
	if !unaware.to.IsZero() {
		unaware.to = w.relearnt()
	}
	return unaware.overlaps(since, since) && unaware.overlaps(at, at)
}

// moved tells whether a span is of an address that one of its stations may not have.
func (j *Judge) moved(s Span) bool {
	of := j.of(s.Addr)
	return slices.ContainsFunc(s.Who, func(m wire.MAC) bool { return !of.placed(s.To).allows(m) })
}
