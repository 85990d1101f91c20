package speaker

import (
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// contestedLooks is how often an address in doubt is asked for while another node asks for it too, until this node goes on answering.
const contestedLooks = 3

// doubtAfterStandstill makes every address that this node answers for one to make sure of when this process has stood still: others may
// have taken it over. The announcer answers for none since it found out. It returns the number to resume with.
func (s *Speaker) doubtAfterStandstill(now time.Time) uint64 {
	standstills := s.Announcer.Standstills()
	if standstills == s.standstills {
		return standstills
	}
	s.standstills = standstills
	if len(s.held) > 0 {
		s.Log.Warn("this process has stood still: asking the wire whether its addresses are still its own", "addresses", len(s.held))
	}
	var targets []layer2.Target
	for a, h := range s.held {
		h.doubt = &pursuit{addr: a, since: now, next: now}
		targets = append(targets, layer2.Target{Addr: a, Mode: layer2.Watch})
	}
	for a, p := range s.pursued {
		p.claimed = now // what was asked before is not known by now
		if p.standsIn {
			p.elected = "" // nor is how long nobody was heard
		}
		targets = append(targets, layer2.Target{Addr: a, Mode: layer2.Watch})
	}
	s.Announcer.Set(targets) // what is answered for cannot be asked for
	return standstills
}

// certainty is what is known of an address in doubt.
type certainty uint8

const (
	unsure certainty = iota
	// ours: no other node answers for it.
	ours
	// lost: another node answers for it.
	lost
)

// makeSure asks the wire for an address in doubt, and tells what is known. When another node has it and this one is to have it, a pursuit
// begins with what was found.
func (s *Speaker) makeSure(d *Decision, h *holding, now time.Time) certainty {
	p := h.doubt
	if p.asking {
		return unsure
	}
	if f := p.finding; f != nil {
		p.finding = nil
		switch {
		case f.Outcome == layer2.Taken && s.answeredByNode(f):
			s.lose(d, p, f, now)
			return lost
		case f.Outcome == layer2.Unasked:
			p.again(now)
		case p.claimed.After(p.asked), f.Outcome != layer2.Taken && p.outlived(f):
			p.next = now // somebody took it meanwhile, or may have
		case f.Outcome == layer2.Contested && p.looks < contestedLooks:
			p.again(now) // whoever asks hears no answer, and may be about to take it
		default:
			// Announced as if it were taken now: a node that is just asking for it hears that it is not free.
			h.doubt, h.took, h.why, h.inherited = nil, now, causeStandstill, false
			return ours
		}
	}
	if !p.next.After(now) {
		s.ask(p, d.Interfaces)
	}
	return unsure
}

// answeredByNode reports whether one of those that answered is, or was, a node. Against strangers an address is defended.
func (s *Speaker) answeredByNode(f *found) bool {
	_, _, is := s.best(f.Heard, layer2.MAC{})
	return is != isStranger
}

// lose gives up an address that another node answers for.
func (s *Speaker) lose(d *Decision, p *pursuit, f *found, now time.Time) {
	name, _, _ := s.best(f.Heard, layer2.MAC{})
	s.changed(Change{At: now, Addr: d.Addr, what: yielded, why: causeStandstill, Peer: name})
	delete(s.held, d.Addr)
	if d.Owner == s.Self {
		next := s.newPursuit(d.Addr, p.since)
		next.asked, next.finding = p.asked, f
		s.pursued[d.Addr] = next
	}
}
