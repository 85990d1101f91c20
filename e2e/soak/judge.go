package soak

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	// silence is how long a station may say nothing about an address that is asked for and still be its owner before and after.
	silence = 350 * time.Millisecond
	// blink is how long one question without an answer takes: no darkness that is worth telling.
	blink = 250 * time.Millisecond
	// patience is how long a span waits for news of the judge's own lateness before it is judged.
	patience = 3 * time.Second
)

// Trait is what is seen of an address for a time.
type Trait string

// What is judged.
const (
	// Dark: it has an owner, and nobody answers. New: it has none yet. Two: two nodes answer. Ghost: it is no Service's, and
	// somebody answers. Stray: it is of a Service with externalTrafficPolicy Local, and a node without an endpoint answers. Unserved:
	// clients' requests fail.
	Dark  Trait = "dark"
	New   Trait = "new"
	Two   Trait = "two owners"
	Ghost Trait = "ghost"
	Stray Trait = "stray"

	Unserved Trait = "unserved"
)

// Span is a time for which an address had a trait.
type Span struct {
	Trait    Trait
	Addr     netip.Addr
	From, To time.Time
	// Cause is the kind of the fault that began or ended last before it, if any was happening, and Bound how long it might last.
	Cause fault.Kind
	Bound time.Duration
	// Sought is when what is unserved was requested first: another Service may have had the address before.
	Sought time.Time
	// Forsaken is for how much of it no node could have the address.
	Forsaken time.Duration
	// Excused says that some node had not to hear of the change that it began with, so that the bound is longer.
	Excused bool
	// Late says that the judge or what it watches got no CPU meanwhile, so that it is no verdict.
	Late bool
	// Who are the stations that answered.
	Who []wire.MAC
}

// Length is how long it lasted.
func (s Span) Length() time.Duration { return s.To.Sub(s.From) }

// Broken tells whether it lasted too long.
func (s Span) Broken() bool { return s.Length() > s.Bound && !s.Late }

// String describes it.
func (s Span) String() string {
	return fmt.Sprintf("%s: %s for %v from %s, at most %v (%s) %v", s.Addr, s.Trait, s.Length().Round(time.Millisecond),
		s.From.Format("15:04:05.000"), s.Bound, s.Cause, s.Who)
}

// interval is a time; an interval that goes on has no end yet.
type interval struct{ from, to time.Time }

func (i interval) overlaps(from, to time.Time) bool {
	return !i.from.After(to) && (i.to.IsZero() || !i.to.Before(from))
}

// window is the time of a fault, who the node that it happens to, if it is one's.
type window struct {
	interval
	kind fault.Kind
	who  wire.MAC
}

// placing says which nodes may have an address from a time on: all if it is not confined.
type placing struct {
	from     time.Time
	confined bool
	nodes    []wire.MAC
}

func (p placing) allows(m wire.MAC) bool { return !p.confined || slices.Contains(p.nodes, m) }

// state is what is known of one address.
type state struct {
	// wanted is since when it is a Service's, and some node may have it if it is confined, zero if it is none's; freed since when
	// it is none's any more.
	wanted, freed time.Time
	// placings are in the order of time, strayed says that a node that may not have it was told of since the last one.
	placings []placing
	strayed  bool
	// lit says that it was answered for since then, asked since when it is asked for in vain, zero if it is not.
	lit   bool
	asked time.Time
	// told says that the darkness that lasts is already reported.
	told     bool
	stations map[wire.MAC]*interval
}

// Judge finds out who owned which address when, from questions and claims, and holds it to the faults' bounds. Its methods are
// called by one goroutine, with times that do not go back by much.
type Judge struct {
	rules   Rules
	addrs   map[netip.Addr]*state
	windows []*window
	late    []interval
	pending []Span
	// failing is since when all requests to an address and port have failed; zero if that is told.
	failing map[netip.AddrPort]time.Time
	// sought is when each was requested from first.
	sought map[netip.AddrPort]time.Time
	done   func(Span)
}

// NewJudge returns a Judge by these rules that calls done with each span that it has judged, of whatever length.
func NewJudge(rules Rules, done func(Span)) *Judge {
	return &Judge{rules: rules, addrs: make(map[netip.Addr]*state), failing: make(map[netip.AddrPort]time.Time),
		sought: make(map[netip.AddrPort]time.Time), done: done}
}

// Begin notes that a fault begins, and to which node, the zero value for none in particular. The returned function notes its end.
func (j *Judge) Begin(k fault.Kind, who wire.MAC, at time.Time) (end func(time.Time)) {
	w := &window{interval{from: at}, k, who}
	j.windows = append(j.windows, w)
	return func(at time.Time) { w.to = at }
}

// Late notes a time for which nothing is to be judged.
func (j *Judge) Late(from, to time.Time) { j.late = append(j.late, interval{from, to}) }

// Want says which addresses are Services' from now on.
func (j *Judge) Want(addrs map[netip.Addr]bool, at time.Time) {
	for a := range addrs {
		if s := j.of(a); s.wanted.IsZero() {
			*s = state{wanted: at, stations: s.stations}
		}
	}
	for a, s := range j.addrs {
		if addrs[a] || s.wanted.IsZero() {
			continue
		}
		if !s.nowhere() {
			j.lightUp(a, s, at)
		}
		s.wanted, s.freed, s.lit, s.asked, s.told = time.Time{}, at, false, time.Time{}, false
		s.placings, s.strayed = nil, false
	}
}

// Confine says which nodes may have an address that is a Service's: those with its endpoints.
func (j *Judge) Confine(a netip.Addr, nodes []wire.MAC, at time.Time) {
	s := j.of(a)
	before := s.placing()
	if before.confined && slices.Equal(before.nodes, nodes) {
		return
	}
	if len(nodes) == 0 && !s.wanted.IsZero() {
		j.lightUp(a, s, at)
		s.lit, s.asked = false, time.Time{}
	}
	if before.confined && len(before.nodes) == 0 {
		s.wanted = at
	}
	s.placings, s.strayed = append(s.placings, placing{at, true, nodes}), false
}

// placing is the one of now.
func (s *state) placing() (p placing) {
	if n := len(s.placings); n > 0 {
		p = s.placings[n-1]
	}
	return p
}

// placed is the one of a time.
func (s *state) placed(at time.Time) (p placing) {
	for _, next := range s.placings {
		if next.from.After(at) {
			break
		}
		p = next
	}
	return p
}

// nowhere tells whether it is confined to no node at all.
func (s *state) nowhere() bool { p := s.placing(); return p.confined && len(p.nodes) == 0 }

func (j *Judge) of(a netip.Addr) *state {
	s := j.addrs[a]
	if s == nil {
		s = &state{stations: make(map[wire.MAC]*interval)}
		j.addrs[a] = s
	}
	return s
}

// Asked notes a question for an address.
func (j *Judge) Asked(a netip.Addr, at time.Time) {
	if s := j.of(a); !s.wanted.IsZero() && s.asked.IsZero() && !s.nowhere() {
		s.asked = at
	}
}

// Claimed notes a claim. Claims of one address come in the order of time.
func (j *Judge) Claimed(c wire.Claim) {
	s := j.of(c.Addr)
	if s.wanted.IsZero() {
		j.ghost(s, c)
		return
	}
	j.stray(s, c)
	if !s.nowhere() {
		j.lightUp(c.Addr, s, c.At)
	}
	t := s.stations[c.MAC]
	if t == nil || c.At.Sub(t.to) > silence {
		if t != nil {
			j.leave(c.Addr, s, c.MAC)
		}
		t = &interval{from: c.At}
		s.stations[c.MAC] = t
	}
	t.to = c.At
}

// lightUp ends the darkness of an address, if there is one.
func (j *Judge) lightUp(a netip.Addr, s *state, at time.Time) {
	trait := Dark
	if !s.lit {
		trait, s.asked = New, s.wanted
		if at.Before(s.asked) {
			at = s.asked // the claim came before we knew of the Service
		}
	}
	if !s.asked.IsZero() && !s.told && (trait == New || at.Sub(s.asked) > blink) {
		j.add(Span{Trait: trait, Addr: a, From: s.asked, To: at})
	}
	s.lit, s.asked, s.told = true, time.Time{}, false
}

// ghost judges a claim for what is nobody's.
func (j *Judge) ghost(s *state, c wire.Claim) {
	if s.freed.IsZero() || s.told {
		return // it may be about to be told of; or was reported
	}
	if from := j.heardOf(s.freed, c.At, c.MAC); c.At.Sub(from) > j.rules.Leftover {
		s.told = true
		j.add(Span{Trait: Ghost, Addr: c.Addr, From: from, To: c.At, Who: []wire.MAC{c.MAC}})
	}
}

// stray judges a claim by a node that may not have the address.
func (j *Judge) stray(s *state, c wire.Claim) {
	p := s.placing()
	if p.allows(c.MAC) || s.strayed {
		return
	}
	from := p.from
	if s.wanted.After(from) {
		from = s.wanted
	}
	if from = j.heardOf(from, c.At, c.MAC); c.At.Sub(from) > j.rules.Straying {
		s.strayed = true
		j.add(Span{Trait: Stray, Addr: c.Addr, From: from, To: c.At, Who: []wire.MAC{c.MAC}})
	}
}

// leave ends a station's tenure of an address, and tells of the time in which it was not alone.
func (j *Judge) leave(a netip.Addr, s *state, m wire.MAC) {
	mine := *s.stations[m]
	delete(s.stations, m)
	for other, t := range s.stations {
		from, to := mine.from, mine.to
		if t.from.After(from) {
			from = t.from
		}
		if t.to.Before(to) {
			to = t.to
		}
		if to.After(from) {
			j.add(Span{Trait: Two, Addr: a, From: from, To: to, Who: []wire.MAC{m, other}})
		}
	}
}

// add takes a span for judgement.
func (j *Judge) add(s Span) {
	s.Forsaken = j.forsaken(s)
	s.Bound, s.Cause = j.bound(s)
	s.Excused = s.Trait == New && j.heardOf(s.From, s.To).After(s.From)
	j.pending = append(j.pending, s)
}

// Questions returns the addresses to ask for: those that are Services', and those that were so in the last minute.
func (j *Judge) Questions(now time.Time) (addrs []netip.Addr) {
	for a, s := range j.addrs {
		if !s.wanted.IsZero() || now.Sub(s.freed) < time.Minute {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// Restless tells of each Service's address that is not answered for by exactly one station.
func (j *Judge) Restless(now time.Time) (why []string) {
	for a, s := range j.addrs {
		owners := 0
		for _, t := range s.stations {
			if now.Sub(t.to) <= silence {
				owners++
			}
		}
		wants := 1
		if s.nowhere() {
			wants = 0
		}
		if !s.wanted.IsZero() && owners != wants {
			why = append(why, fmt.Sprintf("%s has %d owners", a, owners))
		}
	}
	slices.Sort(why)
	return why
}

// Tick judges what can be judged at a time.
func (j *Judge) Tick(now time.Time) {
	for a, s := range j.addrs {
		for m, t := range s.stations {
			if now.Sub(t.to) > silence+patience {
				j.leave(a, s, m)
			}
		}
		if s.wanted.IsZero() && now.Sub(s.freed) > time.Hour {
			delete(j.addrs, a)
			continue
		}
		// What lasts too long is told while it lasts.
		since, trait := s.asked, Dark
		if !s.wanted.IsZero() && !s.lit && !s.nowhere() {
			since, trait = s.wanted, New
		}
		if since.IsZero() || s.told {
			continue
		}
		span := Span{Trait: trait, Addr: a, From: since, To: now}
		span.Forsaken = j.forsaken(span)
		if span.Bound, _ = j.bound(span); span.Length() > span.Bound+2*patience {
			s.told = true
			j.add(span)
		}
	}
	j.tickRequests(now)
	j.pending = slices.DeleteFunc(j.pending, func(s Span) bool {
		if now.Sub(s.To) < patience {
			return false
		}
		for _, l := range j.late {
			s.Late = s.Late || l.overlaps(s.From, s.To)
		}
		j.done(s)
		return true
	})
	old := func(i interval) bool { return !i.to.IsZero() && now.Sub(i.to) > 10*time.Minute }
	j.late = slices.DeleteFunc(j.late, old)
	j.windows = slices.DeleteFunc(j.windows, func(w *window) bool { return old(w.interval) })
}
