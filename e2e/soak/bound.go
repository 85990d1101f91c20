package soak

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

// rulesDelay is for how long nobody answers for a new address, whose rules kube-proxy has yet to write.
const rulesDelay = 1200 * time.Millisecond

// heardOf returns when some nodes should have heard of a change and acted on it, as is known at a later time. If none is named
// these are all but those that are gone, whose place others are to take.
func (j *Judge) heardOf(change, at time.Time, nodes ...wire.MAC) time.Time {
	heard := change
	for _, w := range j.windows {
		concerns := w.who == (wire.MAC{}) || slices.Contains(nodes, w.who) || len(nodes) == 0 && !j.rules.Of(w.kind).Has(fault.Gone)
		if !concerns || !j.rules.Of(w.kind).Has(fault.Blind) || w.from.After(at) {
			continue
		}
		if w.to.IsZero() {
			return at
		}
		if until := j.relearnt(w); until.After(heard) {
			heard = until
		}
	}
	if heard.After(at) {
		return at
	}
	return heard
}

// relearnt returns until when a blinding fault that has ended is an excuse.
func (j *Judge) relearnt(w *window) time.Time {
	return w.to.Add(max(j.rules.Relearn, w.to.Sub(w.from)))
}

// Overdue tells whether a Service that has waited for an address since a time has done so for too long.
func (j *Judge) Overdue(since, now time.Time) bool {
	limit := since.Add(j.rules.Quickly)
	for _, w := range j.windows {
		switch {
		case !j.rules.Of(w.kind).Has(fault.Idle):
		case w.to.IsZero():
			return false
		case limit.Before(w.to.Add(j.rules.Successor)):
			limit = w.to.Add(j.rules.Successor)
		}
	}
	return now.After(limit)
}

// bound returns how long a span may last, and the kind of the fault that explains it best.
func (j *Judge) bound(s Span) (longest time.Duration, cause fault.Kind) {
	longest, cause = limit(s.Trait, j.rules.Of("")), "none"
	var last time.Time
	for _, w := range j.windows {
		until := w.interval
		if !until.to.IsZero() {
			until.to = until.to.Add(j.rules.Settling)
		}
		if !until.overlaps(s.From, s.To) {
			continue
		}
		longest = max(longest, limit(s.Trait, j.rules.Of(w.kind)))
		for _, moment := range []time.Time{w.from, w.to} {
			if !moment.IsZero() && !moment.After(s.To) && moment.After(last) {
				last, cause = moment, w.kind
			}
		}
	}
	switch s.Trait {
	case New:
		longest += rulesDelay + j.heardOf(s.From, s.To).Sub(s.From) + s.Forsaken
	case Dark:
		longest += s.Forsaken
	case Unserved:
		longest += j.unforwarded(s) + s.Forsaken + j.rules.Serving
	case Two:
		// A node that does not hear where the endpoints are now goes on beside the one that does.
		if j.moved(s) {
			longest += j.heardOf(s.From, s.To, s.Who...).Sub(s.From)
		}
	case Ghost:
		longest = j.rules.Leftover
	case Stray:
		longest = j.rules.Straying
	}
	return longest, cause
}

func limit(t Trait, r fault.Rule) time.Duration {
	if t == Two {
		return r.Overlap
	}
	return r.Dark
}

// forsaken returns for how much of a span all nodes that might have the address were gone, or had no way to hear that they might.
func (j *Judge) forsaken(s Span) (long time.Duration) {
	const step = 50 * time.Millisecond
	of := j.of(s.Addr)
	if len(of.placings) == 0 || s.Trait != Dark && s.Trait != New && s.Trait != Unserved {
		return 0
	}
	for at := s.From; at.Before(s.To); at = at.Add(step) {
		p := of.placed(at)
		lost := func(m wire.MAC) bool {
			return slices.ContainsFunc(j.windows, func(w *window) bool { return j.loses(w, m, p.from, at) })
		}
		if p.confined && !slices.ContainsFunc(p.nodes, func(m wire.MAC) bool { return !lost(m) }) {
			long += step
		}
	}
	return long
}

// loses tells whether a node is no use at a time because of a fault for an address that it may have since another time.
func (j *Judge) loses(w *window, m wire.MAC, since, at time.Time) bool {
	r := j.rules.Of(w.kind)
	if r.Has(fault.Gone) && w.who == m && w.overlaps(at, at) {
		return true
	}
	if !r.Has(fault.Blind) || w.who != m && w.who != (wire.MAC{}) {
		return false
	}
	unaware := w.interval
	if !unaware.to.IsZero() {
		unaware.to = j.relearnt(w)
	}
	return unaware.overlaps(since, since) && unaware.overlaps(at, at)
}

// moved tells whether a span is of an address that one of its stations may not have.
func (j *Judge) moved(s Span) bool {
	of := j.of(s.Addr)
	return slices.ContainsFunc(s.Who, func(m wire.MAC) bool { return !of.placed(s.To).allows(m) })
}
