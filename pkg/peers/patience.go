package peers

import (
	"slices"
	"time"
)

// The patience of a watcher grows with the lateness of the watcher and of the neighbour, between two bounds. A suspicion
// that comes too soon costs questions and moves nothing, but questions that wait too short a time for their answers make
// a busy neighbour look dead.
const (
	// heartbeatInterval is the interval of heartbeats, one at each beat.
	heartbeatInterval = 50 * time.Millisecond
	// heartbeatTolerance is the lateness of a heartbeat that is always expected.
	heartbeatTolerance = 10 * time.Millisecond
	// leastSilence and mostSilence bound the silence after the last heartbeat that starts questions.
	leastSilence = heartbeatInterval + heartbeatTolerance
	mostSilence  = 80 * time.Millisecond
	// leastPause and mostPause bound the time for the answer to each of these questions. The questions last longer than
	// a beat, so that the heartbeats of the other neighbours are known at the end.
	leastPause = 27 * time.Millisecond
	mostPause  = 120 * time.Millisecond
	// heartbeatQuestions is the number of questions after missing heartbeats.
	heartbeatQuestions = probeCount - 1
)

// patience holds the times for which a watcher waits for a neighbour that sends heartbeats.
type patience struct {
	// silence is the time without a heartbeat after which the watcher asks, and pause the time for each answer.
	silence, pause time.Duration
}

// patienceFor returns the patience between two nodes that are late by up to the given times.
func patienceFor(self, neighbour time.Duration) patience {
	late := max(0, self, neighbour)
	return patience{silence: min(leastSilence+late, mostSilence), pause: min(leastPause+2*late, mostPause)}
}

// total returns the least time from the last heartbeat to a suspicion.
func (p patience) total() time.Duration { return p.silence + heartbeatQuestions*p.pause }

// The time from the suspicion of a node until another node has its addresses is at least takeoverTime, the duration of
// the probe before a takeover. A node stalls when it was still for longer than all of this less stallMargin. mostStall
// holds for neighbours that ask instead of hearing heartbeats: three questions with probePause each.
const (
	takeoverTime = 80 * time.Millisecond
	stallMargin  = 20 * time.Millisecond
	mostStall    = probeCount*probePause + takeoverTime - stallMargin
)

// stallAfter returns the length of a stall after which other nodes may have taken over the addresses of a node that has
// told its neighbours this lateness.
func stallAfter(told time.Duration) time.Duration {
	return min(patienceFor(told, 0).total()+takeoverTime-stallMargin, mostStall)
}

const (
	// latenessWindow times latenessWindows is the time for which a late beat counts.
	latenessWindow  = 10 * time.Second
	latenessWindows = 12
	// startTime is the time in which the start of the process makes the beats late, so that they do not count.
	startTime = 3 * time.Second
	// historyTime is the time after the start in which a node does not know yet whether its machine is busy. Until then
	// a node tells unknownLateness at least, with which questions wait for probePause.
	historyTime     = 10 * time.Second
	unknownLateness = (probePause - leastPause + 1) / 2
	// toldTime is the time after which the neighbours surely know a lateness.
	toldTime = time.Second
)

// punctuality tracks how late the beats of this node come. The zero value knows nothing yet.
type punctuality struct {
	// windows holds the greatest lateness in each of the last windows; the one at index now has begun at began.
	windows [latenessWindows]time.Duration
	now     int
	began   time.Time
	// first and last are the times of the first and of the last beat.
	first, last time.Time
	// least is the lateness that all neighbours know at least: a lower value at once, and a higher value after toldTime,
	// since raised.
	least  time.Duration
	raised time.Time
}

// beat notes a beat.
func (p *punctuality) beat(now time.Time) {
	if p.last.IsZero() {
		p.began, p.first, p.last = now, now, now
		return
	}
	late := max(0, now.Sub(p.last)-heartbeatInterval)
	p.last = now
	if now.Sub(p.began) >= latenessWindow {
		p.began = now
		p.now = (p.now + 1) % latenessWindows
		p.windows[p.now] = 0
	}
	if now.Sub(p.first) > startTime {
		p.windows[p.now] = max(p.windows[p.now], late)
	}
}

// lateness returns the greatest lateness of the last two minutes, in whole milliseconds, rounded up; before historyTime
// at least unknownLateness.
func (p *punctuality) lateness() time.Duration {
	most := slices.Max(p.windows[:])
	most = (most + time.Millisecond - 1) / time.Millisecond * time.Millisecond
	if p.last.Sub(p.first) < historyTime {
		return max(unknownLateness, most)
	}
	return most
}

// known returns the lateness that all neighbours know at least. now is the time of the last beat.
func (p *punctuality) known(now time.Time) time.Duration {
	switch late := p.lateness(); {
	case late <= p.least:
		p.least, p.raised = late, time.Time{}
	case p.raised.IsZero():
		p.raised = now
	case now.Sub(p.raised) >= toldTime:
		p.least, p.raised = late, time.Time{}
	}
	return p.least
}
