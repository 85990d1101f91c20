package ownership

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// wire simulates time, and the LAN and the gossip between the machines of a law. Frames and messages arrive after a
// random delay, or are lost.
type wire struct {
	now      time.Time
	events   schedule
	rng      *rand.Rand
	machines []*machine
	loss     float64 // of frames and messages
	mute     bool    // no message about versions ever arrives
	deafV6   bool    // nodes do not hear probes of other nodes, as with IPv6
	new      bool    // the address is new, and comes to each machine at another time
	judge    judge
}

// appointment is an event at a given time. Events at the same time happen in the order of their creation.
type appointment struct {
	at   time.Time
	made int
	do   func()
}

type schedule []appointment

func (s schedule) Len() int      { return len(s) }
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s schedule) Less(i, j int) bool {
	return s[i].at.Before(s[j].at) || s[i].at.Equal(s[j].at) && s[i].made < s[j].made
}
func (s *schedule) Push(x any) { *s = append(*s, x.(appointment)) }
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// in does something after a delay.
func (w *wire) in(delay time.Duration, do func()) {
	w.judge.appointments++
	heap.Push(&w.events, appointment{w.now.Add(delay), w.judge.appointments, do})
}

// run advances the time up to until. run gives up when the machines do not come to rest.
func (w *wire) run(until time.Time) {
	for len(w.events) > 0 && !w.events[0].at.After(until) && !w.judge.restless() {
		next := heap.Pop(&w.events).(appointment)
		w.now = next.at
		next.do()
	}
	w.now = until
}

// upTo returns a random duration.
func (w *wire) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d) + 1)) }

func (w *wire) chance(p float64) bool { return w.rng.Float64() < p }

// send delivers a frame to another machine.
func (w *wire) send(to *machine, hear func()) {
	if to.up && !w.chance(w.loss) {
		w.in(w.upTo(3*time.Millisecond), func() { to.soon(hear) })
	}
}

// others returns the machines besides m.
func (w *wire) others(m *machine) (list []*machine) {
	return slices.DeleteFunc(slices.Clone(w.machines), func(o *machine) bool { return o == m })
}

// announce delivers an announcement of m to the others.
func (w *wire) announce(m *machine) {
	for _, o := range w.others(m) {
		w.send(o, func() { o.claimed(m) })
	}
}

// query is a running probe.
type query struct {
	Probe
	by    *machine
	heard []layer2.Sighting
	last  time.Time
	over  bool
}

// probe asks all stations, or one station, twice or, as backup, four times.
func (w *wire) probe(by *machine, p Probe) {
	const apart = 40 * time.Millisecond
	q := &query{Probe: p, by: by}
	by.query = q
	questions := 2
	if p.Backup {
		questions = 4
	}
	for i := range questions {
		w.in(time.Duration(i)*apart, func() { w.ask(q) })
	}
	w.in(time.Duration(questions)*apart, func() { w.end(q) })
}

// ask sends one question. A machine that has the address answers; a machine that probes for the address hears the other
// probe.
func (w *wire) ask(q *query) {
	if q.over {
		return
	}
	q.last = w.now
	for _, o := range w.others(q.by) {
		if q.To != (layer2.MAC{}) && q.To != o.mac() {
			continue
		}
		w.send(o, func() {
			if o.query != nil && !o.query.over && !w.deafV6 {
				o.query.heard = append(o.query.heard, layer2.Sighting{MAC: q.by.mac(), Form: layer2.Probing})
			}
			if o.answers() {
				w.send(q.by, func() { w.answer(q, o) })
			}
		})
	}
}

func (w *wire) answer(q *query, from *machine) {
	if q.over {
		return
	}
	q.heard = append(q.heard, layer2.Sighting{MAC: from.mac(), Form: layer2.Reply})
	if q.Linger {
		w.in(40*time.Millisecond, func() { w.end(q) })
		return
	}
	w.end(q)
}

// end returns the result of a probe to the machine. For a backup, a silence proves nothing while no other machine is
// up.
func (w *wire) end(q *query) {
	if q.over {
		return
	}
	q.over = true
	f := layer2.Finding{Outcome: layer2.Silent, Heard: q.heard, Last: q.last}
	for _, x := range q.heard {
		if x.Form != layer2.Probing {
			f.Outcome = layer2.Taken
		} else if f.Outcome == layer2.Silent {
			f.Outcome = layer2.Contested
		}
	}
	alone := !slices.ContainsFunc(w.others(q.by), func(o *machine) bool { return o.up && !o.stalled })
	if q.Backup && f.Outcome == layer2.Silent && alone {
		f.Outcome = layer2.Unasked
	}
	q.by.soon(func() { q.by.step(Event{Kind: Probed, Number: q.Number, Finding: f}) })
}

// tell delivers the versions of another machine. The machine with the newer versions replies.
func (w *wire) tell(from, to *machine) {
	if w.mute || !to.up || w.chance(w.loss) {
		return
	}
	seen := from.seen
	w.in(w.upTo(50*time.Millisecond), func() {
		to.soon(func() {
			to.knows[from.name] = seen
			if seen.behind(to.seen) {
				w.tell(to, from)
			}
			to.step(Event{})
		})
	})
}
