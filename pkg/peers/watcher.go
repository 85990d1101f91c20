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
	// questionInterval is the time from one question to the next while heartbeats arrive: a heartbeat shows that the
	// neighbour sends, and an answer also that the neighbour hears.
	questionInterval = time.Second
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

// watcher watches one neighbour. Each beat sends a heartbeat to the neighbour. While the neighbour answers, beats ask one
// question in each round, or in each questionInterval while heartbeats arrive, and look for the answer at the next beat.
// A goroutine takes over when the answer or heartbeats are missing, and for every other kind of probe.
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
	hearing  hearing
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
	// asked is the time of the question, zero after the answer, and last the time of the last question.
	asked, last time.Time
}

// hearing holds the heartbeats with the neighbour, and when the last heartbeat arrived.
type hearing struct {
	// heartbeats are exchanged with the neighbour, nil without a common network.
	heartbeats *layer2.Heartbeats
	// flowing is true while heartbeats arrive, and last is the time of the last heartbeat.
	flowing bool
	last    time.Time
}

// missing is an answer or a heartbeat that has not come.
type missing struct {
	// since is the time of the question, or of the expected heartbeat; zero when nothing is missing.
	since time.Time
	// pause is the time to wait after since, and after each further question.
	pause time.Duration
	// heartbeat is true for a heartbeat, and last is then the time of the last one.
	heartbeat bool
	last      time.Time
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
	if w.hearing.heartbeats != nil {
		w.hearing.heartbeats.Close()
	}
}

// address sets the route of the heartbeats, unless the goroutine of the watcher needs the present heartbeats.
func (w *watcher) address(to route) {
	switch h := w.hearing.heartbeats; {
	case w.turn.probing.Load():
	case h == nil && !to.network.IsValid() || h != nil && to.network.IsValid() && h.Is(to.network, to.macs[0], to.macs):
	default:
		if h != nil {
			h.Close()
		}
		w.hearing = hearing{}
		if to.network.IsValid() {
			w.hearing.heartbeats = w.o.Prober.Heartbeats(to.network, to.macs[0], to.macs)
		}
		w.contacts.listen(w.contact, w.hearing.heartbeats)
	}
}

// send sends a heartbeat to the neighbour. late is the lateness of this node.
func (w *watcher) send(now time.Time, late time.Duration) {
	if w.hearing.heartbeats != nil {
		w.hearing.heartbeats.Send(now, late)
	}
}

// beat looks for heartbeats and for the answer to the last question, and probes the neighbour in each round, also after
// gossip has lost the neighbour: a node can be cut off with all its addresses, and come back. beat does not wait. late
// is the lateness of this node. beat returns the patience with the neighbour, which is zero without heartbeats.
func (w *watcher) beat(now time.Time, round bool, late time.Duration) patience {
	if w.turn.probing.Load() {
		if round {
			w.turn.missed.Store(true)
		}
		return patience{}
	}
	p := w.listen(late)
	if p == (patience{}) || now.Sub(w.hearing.last) <= p.silence {
		w.follow(now, round)
		return p
	}
	w.hearing.flowing, w.question.asked = false, time.Time{}
	w.start(missing{since: now.Add(-p.pause), pause: p.pause, heartbeat: true, last: w.hearing.last})
	return p
}

// listen looks for heartbeats, and returns the patience with the neighbour while heartbeats arrive, or zero. The time of
// the last heartbeat is w.hearing.last.
func (w *watcher) listen(late time.Duration) patience {
	if w.hearing.heartbeats == nil || w.unreachable || w.answers == 0 {
		w.hearing.flowing = false
		return patience{}
	}
	at, theirs := w.hearing.heartbeats.Last()
	w.hearing.flowing = w.hearing.flowing || at.After(w.hearing.last)
	if !w.hearing.flowing {
		return patience{}
	}
	w.hearing.last = at
	w.lastHeard = latest(w.lastHeard, at)
	return patienceFor(late, theirs)
}

// follow looks for the answer to the last question, and asks the next question when it is due.
func (w *watcher) follow(now time.Time, round bool) {
	if asked := w.question.asked; !asked.IsZero() {
		at := w.question.station.Answered()
		switch {
		case !at.Before(asked):
			w.question.asked = time.Time{}
			w.noteAnswer(at)
		case w.hearing.flowing && !w.hearing.last.After(asked):
			return // the neighbour may have crashed, which missing heartbeats show sooner
		case now.Sub(asked) >= answerTime:
			w.question.asked = time.Time{}
			w.start(missing{since: asked, pause: probePause})
			return
		default:
			return
		}
	}
	switch {
	case !round:
	case w.turn.pause > 0:
		w.turn.pause--
	case w.hearing.flowing && now.Sub(w.question.last) < questionInterval-beatTolerance:
	default:
		w.question.last = now
		if !w.ask(now) {
			w.start(missing{})
		}
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

// start probes the neighbour in a goroutine. m is the reason, zero when nothing is missing. When a round has begun
// meanwhile, the goroutine makes up for the round at once.
func (w *watcher) start(m missing) {
	w.turn.missed.Store(false)
	w.turn.probing.Store(true)
	w.tasks.Go(func() {
		defer w.turn.probing.Store(false)
		w.probe(m)
		for w.turn.missed.Swap(false) && w.ctx.Err() == nil {
			if w.turn.pause > 0 {
				w.turn.pause--
				return
			}
			w.probe(missing{})
		}
	})
}

// probe probes the neighbour once. After an answer, the next round may ask. Without an answer, probe leaves out rounds
// when gossip has lost the neighbour.
func (w *watcher) probe(m missing) {
	if !m.since.IsZero() {
		wait(w.ctx, time.Until(m.since.Add(m.pause)))
		if at := w.came(m); !at.IsZero() {
			w.noteAnswer(at)
			return
		}
	}
	began := time.Now()
	member, present := current(w.o.Gossip, w.member.Name)
	if present {
		w.member = member
	}
	q := questions{count: probeCount, pause: probePause, run: w.tasks.Go}
	if present && !m.since.IsZero() && w.asks() {
		began, q.count, q.pause = m.since, probeCount-1, m.pause
	}
	q.hearsAnother = func() bool { return w.hearsAnother(began, time.Now()) }
	r := probe(w.ctx, w.o.Gossip, w.o.Prober, w.member, present, q)
	if w.ctx.Err() != nil {
		return
	}
	if m.heartbeat && r != answered && !w.came(m).IsZero() {
		r = answered
	}
	now := time.Now()
	if r != answered && r != inconclusive && present && now.Sub(began) > probeCount*q.pause+probeLateness {
		w.o.Hooks.lateProbe()
		r = inconclusive
	}
	w.note(r, present, began, now)
	w.contacts.setUnreachable(w.contact, w.unreachable)
	w.turn.pause = 0
	if !present && r != answered {
		w.turn.pause = goneTicks - 1
	}
}

// came returns the time at which the missing answer or heartbeat came after all, and zero when it did not.
func (w *watcher) came(m missing) time.Time {
	if m.heartbeat {
		if at, _ := w.hearing.heartbeats.Last(); at.After(m.last) {
			return at
		}
	} else if at := w.question.station.Answered(); !at.Before(m.since) {
		return at
	}
	return time.Time{}
}

// hearsAnother reports whether this node has heard another neighbour lately, since before a probe that began at began.
// Heartbeats of two neighbours end up to heartbeatInterval apart when this node is cut off, so another neighbour must be
// heard for longer than that.
func (w *watcher) hearsAnother(began, now time.Time) bool {
	lately := latest(now.Add(-probeInterval-probePause), w.lastHeard.Add(heartbeatInterval+heartbeatTolerance))
	return w.contacts.hearsAnother(w.contact, began, lately)
}

// asks reports whether the station of the questions is the present probe address of the neighbour.
func (w *watcher) asks() bool {
	mac, addr := probeAddress(w.member, w.o.Prober.Interfaces())
	return w.question.station != nil && w.question.station.Is(addr, mac)
}

// note handles the result of a probe.
func (w *watcher) note(r result, present bool, began, now time.Time) {
	if r == answered {
		w.noteAnswer(now)
		return
	}
	w.answers = 0
	if r != inconclusive {
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
	case r == unreachable && !w.hearsAnother(began, now):
		return
	}
	silent := now.Sub(w.lastHeard)
	if w.reported.IsZero() {
		w.o.Log.Warn("neighbour is unreachable", "node", w.member.Name, "since", silent)
	}
	w.reported = now
	w.o.Report(NewSuspicion(w.member.Name, silent, false, now))
}
