package peers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// probeInterval is the time from one probe of a neighbour to the next.
	probeInterval = 100 * time.Millisecond
	// beatTolerance is the time by which a round may begin before its time, because beats come every 50 ms.
	beatTolerance = 25 * time.Millisecond
	// answerTime is the least time from a question to the look for its answer. With a beat every 50 ms, the look comes
	// before probePause is over, also after a late question, so that the second question is not late.
	answerTime = 30 * time.Millisecond
	// goneTicks is the number of intervals from one probe to the next after gossip has lost the neighbour.
	goneTicks = 3
	// repeatInterval is the time from one report to the next about a neighbour that stays unreachable.
	repeatInterval = time.Second
)

// watcher probes one neighbour. While the neighbour answers, beats ask one question in each round and look for the
// answer at the next beat. A goroutine takes over when the answer is missing, and for every other kind of probe.
//
// The beats own a watcher while turn.probing is false, and that goroutine while turn.probing is true.
type watcher struct {
	o        *DetectorOptions
	contacts *contacts
	contact  *contact
	tasks    *sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
	turn     turn
	// question is the last question to the neighbour.
	question question
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

// turn decides whether the beats or the goroutine of the watcher probe the neighbour.
type turn struct {
	// probing is true while the goroutine runs. missed is true when a round has begun meanwhile.
	probing, missed atomic.Bool
	// pause is the number of rounds to leave out.
	pause int
}

// question is a question of a beat.
type question struct {
	// station is the station to ask, nil before the first question.
	station *layer2.Station
	// asked is the time of the question, zero after the answer.
	asked time.Time
}

// newWatcher returns a watcher of the named neighbour. The watcher stops when ctx is done, or at end. tasks counts the
// goroutines of the watcher.
func newWatcher(ctx context.Context, name string, o *DetectorOptions, c *contacts, tasks *sync.WaitGroup) *watcher {
	ctx, stop := context.WithCancel(ctx)
	return &watcher{
		o: o, contacts: c, contact: c.add(name), tasks: tasks, ctx: ctx, stop: stop,
		member: membership.Member{Name: name}, lastHeard: time.Now(),
	}
}

// end stops the watcher. No beat may follow.
func (w *watcher) end() {
	w.stop()
	if s := w.question.station; s != nil {
		s.Close()
	}
}

// beat looks for the answer to the last question, and probes the neighbour in each round, also after gossip has lost
// the neighbour: a node can be cut off with all its addresses, and come back. beat does not wait.
func (w *watcher) beat(now time.Time, round bool) {
	if w.turn.probing.Load() {
		if round {
			w.turn.missed.Store(true)
		}
		return
	}
	if asked := w.question.asked; !asked.IsZero() {
		at := w.question.station.Answered()
		switch {
		case !at.Before(asked):
			w.question.asked = time.Time{}
			w.noteAnswer(at)
		case now.Sub(asked) >= answerTime:
			w.question.asked = time.Time{}
			w.start(asked)
			return
		default:
			return
		}
	}
	switch {
	case !round:
	case w.turn.pause > 0:
		w.turn.pause--
	case !w.ask(now):
		w.start(time.Time{})
	}
}

// ask asks a neighbour that has answered the last probe, and reports whether the question was sent.
func (w *watcher) ask(now time.Time) bool {
	member, present := current(w.o.Gossip, w.member.Name)
	if !present || w.unreachable || w.answers == 0 {
		return false
	}
	w.member = member
	mac, addr := probeAddress(member, w.o.Prober.Interfaces())
	if !addr.IsValid() {
		return false
	}
	if s := w.question.station; s == nil || !s.Is(addr, mac) {
		if s != nil {
			s.Close()
		}
		w.question.station = w.o.Prober.Station(addr, mac)
		w.contacts.meet(w.contact, w.question.station)
	}
	if !w.question.station.Ask(now) {
		return false
	}
	w.question.asked = now
	return true
}

// start probes the neighbour in a goroutine. asked is the time of a question without an answer, and zero without such a
// question. When a round has begun meanwhile, the goroutine makes up for the round at once.
func (w *watcher) start(asked time.Time) {
	w.turn.missed.Store(false)
	w.turn.probing.Store(true)
	w.tasks.Go(func() {
		defer w.turn.probing.Store(false)
		w.probe(asked)
		for w.turn.missed.Swap(false) && w.ctx.Err() == nil {
			if w.turn.pause > 0 {
				w.turn.pause--
				return
			}
			w.probe(time.Time{})
		}
	})
}

// probe probes the neighbour once. After an answer, the next round may ask. Without an answer, probe leaves out rounds
// when gossip has lost the neighbour.
func (w *watcher) probe(asked time.Time) {
	if !asked.IsZero() {
		wait(w.ctx, time.Until(asked.Add(probePause)))
		if at := w.question.station.Answered(); !at.Before(asked) {
			w.noteAnswer(at)
			return
		}
	}
	began := time.Now()
	member, present := current(w.o.Gossip, w.member.Name)
	if present {
		w.member = member
	}
	again := present && w.asks(asked)
	if again {
		began = asked
	}
	r := probe(w.ctx, w.o.Gossip, w.o.Prober, w.member, present, again)
	if w.ctx.Err() != nil {
		return
	}
	w.note(r, present, began, time.Now())
	w.contacts.setUnreachable(w.contact, w.unreachable)
	w.turn.pause = 0
	if !present && r != answered {
		w.turn.pause = goneTicks - 1
	}
}

// asks reports whether the question at the time asked went to the present probe address of the neighbour.
func (w *watcher) asks(asked time.Time) bool {
	if asked.IsZero() {
		return false
	}
	mac, addr := probeAddress(w.member, w.o.Prober.Interfaces())
	return w.question.station.Is(addr, mac)
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
