package peers

import (
	"context"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// probeInterval is the time from one probe of a neighbour to the next.
	probeInterval = 100 * time.Millisecond
	// goneTicks is the number of intervals from one probe to the next after gossip has lost the neighbour.
	goneTicks = 3
	// repeatInterval is the time from one report to the next about a neighbour that stays unreachable.
	repeatInterval = time.Second
)

// watcher probes one neighbour. One goroutine owns a watcher, except for wake and stop.
type watcher struct {
	o        *DetectorOptions
	contacts *contacts
	contact  *contact
	// wake starts the next probe, stop ends the watcher.
	wake chan struct{}
	stop context.CancelFunc
	// member holds the last state of the neighbour in gossip.
	member membership.Member
	// lastHeard is the time of the last answer, or the start of the watcher. reported is the time of the last report of
	// the unreachable neighbour, and zero while the neighbour is reachable.
	lastHeard, reported time.Time
	// unreachable is true from a failed probe, reported or not, to the last of probeCount answered probes in a row.
	// answers counts the answered probes.
	unreachable bool
	answers     int
}

// newWatcher returns a watcher of the named neighbour, which stop ends.
func newWatcher(name string, o *DetectorOptions, c *contacts, stop context.CancelFunc) *watcher {
	return &watcher{
		o: o, contacts: c, contact: c.add(name), wake: make(chan struct{}, 1), stop: stop,
		member: membership.Member{Name: name}, lastHeard: time.Now(),
	}
}

// next starts a probe, at once or when the current probe has ended. All watchers probe at the same tick, because
// wake-ups are the main cost of an idle process.
func (w *watcher) next() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run probes the neighbour at each wake-up until ctx is done, also after gossip has lost the neighbour: a node can be
// cut off with all its addresses, and come back.
func (w *watcher) run(ctx context.Context) {
	for ticks := 1; w.wait(ctx, ticks); {
		began := time.Now()
		member, present := current(w.o.Gossip, w.member.Name)
		if present {
			w.member = member
		}
		r := probe(ctx, w.o.Gossip, w.o.Prober, w.member, present)
		if ctx.Err() != nil {
			return
		}
		w.note(r, present, began, time.Now())
		w.contacts.setUnreachable(w.contact, w.unreachable)
		ticks = 1
		if !present && r != answered {
			ticks = goneTicks
		}
	}
}

// wait waits for a number of wake-ups, and returns false when ctx is done before.
func (w *watcher) wait(ctx context.Context, ticks int) bool {
	for range ticks {
		select {
		case <-ctx.Done():
			return false
		case <-w.wake:
		}
	}
	return true
}

// note handles the result of a probe.
func (w *watcher) note(r result, present bool, began, now time.Time) {
	if r == answered {
		w.noteAnswer(now)
		return
	}
	w.answers = 0
	switch {
	case r == inconclusive:
	case present && now.Sub(began) > probeCount*probePause+probeLateness:
		w.o.Hooks.lateProbe()
	default:
		w.unreachable = true
		w.noteFailure(r, present, began, now)
	}
}

// noteAnswer handles an answered probe. One answer is not enough for an unreachable neighbour: the frame can be an
// announcement of a neighbour that does not hear.
func (w *watcher) noteAnswer(now time.Time) {
	w.contacts.heard(w.contact, now)
	w.answers++
	if w.unreachable && w.answers < probeCount {
		return
	}
	if w.unreachable {
		w.o.Report(NewSuspicion(w.member.Name, 0, false, now))
	}
	w.lastHeard, w.reported, w.unreachable = now, time.Time{}, false
}

// noteFailure reports the neighbour as unreachable, at most once in repeatInterval. noteFailure skips a neighbour lost
// in gossip. noteFailure reports a neighbour that answers over gossip only when this node hears another neighbour,
// because this node may be cut off from the wire. When the other neighbour is heard over gossip, for lack of a probe
// address, a node that is cut off reports the wrong neighbour. The node then releases the taken addresses as soon as it
// hears that neighbour again.
func (w *watcher) noteFailure(r result, present bool, began, now time.Time) {
	switch {
	case !present, now.Sub(w.reported) < repeatInterval:
		return
	case r == unreachable && !w.contacts.hearsAnother(w.contact, began, now.Add(-probeInterval-probePause)):
		return
	}
	silent := now.Sub(w.lastHeard)
	if w.reported.IsZero() {
		w.o.Log.Warn("neighbour is unreachable", "node", w.member.Name, "since", silent)
	}
	w.reported = now
	w.o.Report(NewSuspicion(w.member.Name, silent, false, now))
}
