package speaker

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// What a node knows of the API server may be old without its saying so, and then it does not take what only the others know to be its own.
// So the next in rank stands in: after a while in which nobody was heard for an address it asks the wire, and takes what nobody answers for.
const (
	// standInDelay is how long nobody must be heard for an address until the node that comes second asks for it; the third waits twice as
	// long, and so on, so that one node at a time does.
	standInDelay = 2 * time.Second
	// standInConfirm is how long after a silence the wire is asked again where somebody answered before, or a node that is ready may have the
	// address: whoever is to have it, and has word of it, asks for it every second, and goes first.
	standInConfirm = 3 * lastLook / 2
	// standInJitter keeps nodes from asking at the same time again and again: two that solicit an IPv6 address do not hear each other.
	standInJitter = 500 * time.Millisecond
	// standInQuestions is how often all are asked then: a frame or two may be lost, and whoever is to have it has not said that it does not.
	standInQuestions = 4
	// mostBystanders is how many others are asked whether this node hears anybody at all.
	mostBystanders = 3
	// standInRate is how many addresses a second this node asks for in this way, and how many at once.
	standInRate = 100
	// standInPause is how long one waits that is over this rate.
	standInPause = 250 * time.Millisecond
)

// errDeaf says that silence proves nothing.
var errDeaf = errors.New("nobody else is heard either")

// standIn returns the pursuit of an address that another node is to have, when nobody is known to have it and this node might; else nil.
func (s *Speaker) standIn(d *Decision, now time.Time) *pursuit {
	p := s.pursued[d.Addr]
	if p != nil && !p.standsIn {
		p = nil // this node was to have it itself
	}
	last := s.sightings.of(d.Addr)
	from, vacant := s.vacant(d, p, last)
	if !vacant || !d.allows(s.Self) {
		return nil
	}
	if p == nil {
		p = &pursuit{addr: d.Addr, since: now, standsIn: true}
	}
	switch {
	case p.elected != d.Owner || p.from != from:
		p.elected, p.from, p.answered, p.confirmed = d.Owner, from, false, false // another one has to have its turn
		p.restart(now, s.standInDelay(d))
	case last.at.After(p.since) && !p.asking && p.finding == nil:
		p.answered, p.confirmed = true, false
		p.restart(now, s.standInDelay(d)+rand.N(standInJitter))
	case s.Informed != nil && !s.Informed():
		p.restart(now, s.standInDelay(d)) // the address may be gone meanwhile
	}
	switch {
	case p.asking || p.finding != nil:
	case p.due.After(now):
		p.next = p.due
	case !s.standIns.AllowN(now, 1):
		p.next = now.Add(standInPause)
	default:
		p.next = now
	}
	return p
}

// standInDelay is how long this node waits until it asks for an address that another one is to have.
func (s *Speaker) standInDelay(d *Decision) time.Duration {
	return time.Duration(d.rank(s.Self)) * standInDelay
}

// vacant reports whether nobody is known to have an address that another node is to have: it came after this node was ready, and nobody
// was heard for it; or whoever was heard last may not have it any more, or has lost it with its process. from is that node, empty for none.
// p is what came of that before, nil for nothing; last is who was heard last for the address.
func (s *Speaker) vacant(d *Decision, p *pursuit, last sighting) (from string, vacant bool) {
	since, known := s.since[d.Addr]
	if name := s.members.stations[membership.MAC(last.mac)]; known && name != "" && !last.at.Before(since) {
		return name, !s.mayKeep(d, name) || last.at.Before(s.members.readied[name])
	}
	switch {
	case !since.IsZero():
		return "", true
	case p != nil:
		return p.from, !s.mayKeep(d, p.from)
	}
	// Whom the election named before has most likely had it.
	from = s.owners[d.Addr]
	return from, from != "" && from != d.Owner && !s.mayKeep(d, from)
}

// restart has this node ask after the delay, whatever is being asked now.
func (p *pursuit) restart(now time.Time, delay time.Duration) {
	p.since, p.due, p.next, p.claimed, p.finding = now, now.Add(delay), now.Add(delay), now, nil
}

// bystanders returns links of members that this node should hear on the networks on which addr is asked for, a few of them, those last that
// are suspected; none if there are none. Whoever hears neither the address nor a bystander may be cut off itself.
func (s *Speaker) bystanders(addr netip.Addr) []membership.Link {
	var heard, suspects []membership.Link
	interfaces := s.Announcer.Interfaces()
	inside := slices.ContainsFunc(interfaces, func(i layer2.Interface) bool { return i.Up && i.Holds(addr) })
	for name, m := range s.members.present {
		if name == s.Self || m.State != membership.Ready {
			continue
		}
		list := &heard
		if _, suspected := s.members.suspected[name]; suspected {
			list = &suspects
		}
		for _, l := range m.Links {
			if l.Beacon.IsValid() && len(*list) < mostBystanders && slices.ContainsFunc(interfaces, func(i layer2.Interface) bool {
				return i.Up && i.Holds(l.Beacon) && (i.Holds(addr) || !inside)
			}) {
				*list = append(*list, l)
			}
		}
	}
	return append(heard, suspects...)
}

// hearsAny asks the wire whether one of these answers for its beacon, or there are none.
func (s *Speaker) hearsAny(links []membership.Link) bool {
	for _, l := range links {
		f, _ := s.Announcer.Probe(s.ctx, l.Beacon, layer2.ProbeOptions{To: layer2.MAC(l.MAC)})
		if slices.ContainsFunc(f.Heard, func(x layer2.Sighting) bool { return x.MAC == layer2.MAC(l.MAC) && x.Form != layer2.Probing }) {
			return true
		}
	}
	return len(links) == 0
}

// judgeStandIn reports whether what was found lets this node take an address in another one's place: nobody has it, nobody has claimed it
// since, and nobody else asks for it, who may have more right. Whoever answers, were it a stranger, is left alone: the address is not dark.
func (s *Speaker) judgeStandIn(d *Decision, p *pursuit, f *found, now time.Time) (take bool) {
	silent := f.Outcome == layer2.Silent && !p.claimed.After(p.asked)
	switch {
	case silent && !p.confirmed && (p.answered || p.from != "" && s.mayKeep(d, p.from)):
		p.confirmed = true
		p.restart(now, standInConfirm)
		return false
	case silent && p.outlived(f):
		p.restart(now, 0)
		return false
	case silent:
		p.silent = true
		delete(s.strangers, d.Addr)
		return true
	}
	p.confirmed = false
	delay := s.standInDelay(d)
	if f.Outcome == layer2.Unasked {
		delay = standInDelay // nothing is known yet
	}
	p.restart(now, delay+rand.N(standInJitter))
	name, mac, is := s.best(f.Heard, layer2.MAC{})
	if f.Outcome != layer2.Taken || mac == (layer2.MAC{}) {
		return false
	}
	p.answered = true
	s.sightings.note(layer2.Claim{Addr: d.Addr, MAC: mac}, now)
	if _, suspected := s.members.suspected[name]; suspected && is == isMember {
		s.refute(name, d.Addr)
		p.next = now
	}
	return false
}
