package peers

import (
	"context"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// probeInterval is how often each neighbour is probed.
	probeInterval = 100 * time.Millisecond
	// goneTicks is how many of these intervals lie between two probes of a neighbour that gossip has lost.
	goneTicks = 3
	// repeatInterval is how often the suspicion of a neighbour that stays unreachable is reported again.
	repeatInterval = time.Second
)

// watcher probes one neighbour. It belongs to one goroutine, except for wake and stop.
type watcher struct {
	o        *DetectorOptions
	contacts *contacts
	contact  *contact
	// wake starts the next probe, stop ends the watcher.
	wake chan struct{}
	stop context.CancelFunc
	// member is what the neighbour said of itself last.
	member membership.Member
	// lastHeard is when the neighbour was heard last, or since when it is watched. reported is when it was reported as unreachable
	// last, zero while it is reachable.
	lastHeard, reported time.Time
	// unreachable is true after a failed probe, whether it was reported or not, until enough probes are answered: answers counts them.
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

// next starts a probe, or the one after it when one is under way. All watchers probe at the same tick, because an idle process costs
// what its wake-ups cost.
func (w *watcher) next() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run probes the neighbour at each wake-up until ctx is done. It continues after gossip has lost the neighbour: a node can be
// cut off with all the addresses that it has, and come back.
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

// wait waits for so many wake-ups, and returns false when ctx is done first.
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

// note takes over the result of a probe.
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

// noteAnswer takes over that the neighbour has answered. One answer of an unreachable neighbour is not enough: it may have been an
// announcement, and the neighbour may not hear.
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

// noteFailure reports that the neighbour is unreachable, unless gossip has lost it too, it was just reported, or it may be this node
// that is cut off. A neighbour without a probe address is heard over gossip, and then a node that is cut off may report the wrong one:
// it releases what it took when it hears that neighbour again.
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
