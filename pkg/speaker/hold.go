package speaker

import (
	"maps"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	// yieldBound is how long this node goes on answering for an address that it may not have any more, without having heard
	// its successor announce it.
	yieldBound = time.Second
	// defendDelay is how long after another host's claim an address is announced again: the claim may be that of a peer, of
	// whom gossip will tell within this time.
	defendDelay = time.Second
	// defendInterval is DEFEND_INTERVAL of RFC 5227, section 1.1: the least time between two such announcements.
	defendInterval = 10 * time.Second
	// defendPause is the least time between two rounds of such announcements, of whichever addresses: each costs a step.
	defendPause = 250 * time.Millisecond
	// disputeWindow is how long two peers may both claim an address, each sure of its rank, before the names alone decide:
	// what they know of the cluster differs.
	disputeWindow = 5 * time.Second
	// disputeClaims is how many claims of a peer are answered meanwhile.
	disputeClaims = 2
)

// holding is an address that this node answers for.
type holding struct {
	// doubt asks whether the address is still this node's, nil if there is no doubt. Until it is known, nothing is answered.
	doubt *pursuit
	// until is when it is given up unless the successor was heard before; zero while this node keeps it.
	until time.Time
	// inherited is true for an address that another process of this node has announced.
	inherited bool
	// took is when this node took it, why for what reason, and from whom, if from anybody.
	took time.Time
	why  cause
	from string
	// rivals are the peers that claimed the address, and when; disputed is how many of their claims were answered, the first of
	// them at disputeBegan.
	rivals       map[string]time.Time
	disputed     int
	disputeBegan time.Time
	// strange is when a stranger claimed the address last, zero if none did or the claims were answered; unanswered is when the first of
	// these came, and stranger the hardware address of the last. defended is when such claims were answered last.
	strange, unanswered time.Time
	stranger            layer2.MAC
	defended            time.Time
}

// kept reports whether this node means to keep the address.
func (h *holding) kept() bool { return h.until.IsZero() }

// contend notes that a peer has claimed the address.
func (h *holding) contend(peer string, at time.Time) {
	if h.rivals == nil {
		h.rivals = map[string]time.Time{}
	}
	h.rivals[peer] = at
}

// defence returns when the claims of strangers are to be answered, zero if there are none. That is counted from the first of them:
// who claims without end is answered too.
func (h *holding) defence() time.Time {
	if !h.kept() || h.strange.IsZero() {
		return time.Time{}
	}
	at := h.unanswered.Add(defendDelay)
	if next := h.defended.Add(defendInterval); next.After(at) {
		at = next
	}
	return at
}

// hold brings held and pursued up to the decisions. It returns what to answer for and what to listen to, and which addresses
// this node has begun to hold.
func (s *Speaker) hold(now time.Time) (targets []layer2.Target, began []netip.Addr) {
	held, pursued := make(map[netip.Addr]*holding, len(s.held)), make(map[netip.Addr]*pursuit, len(s.pursued))
	settled := s.Peers.Settled()
	for i := range s.decisions {
		d := &s.decisions[i]
		if d.Reason != Announced {
			continue
		}
		h := s.held[d.Addr]
		if h != nil && h.doubt != nil {
			switch s.makeSure(d, h, now) {
			case unsure:
				held[d.Addr] = h
				targets = append(targets, layer2.Target{Addr: d.Addr, Interfaces: d.Interfaces, Mode: layer2.Watch})
				continue
			case lost:
				h = nil
			}
		}
		if p := s.pursuit(d, h, settled, now); p != nil {
			if !s.pursue(d, p, now) {
				pursued[d.Addr] = p
				targets = append(targets, layer2.Target{Addr: d.Addr, Interfaces: d.Interfaces, Mode: layer2.Watch})
				continue
			}
			h = s.took(d, p, now)
			began = append(began, d.Addr)
		} else if h == nil || settled && !s.keep(d, h, now) {
			// Until it is settled, this node knows too little to give up what it inherited.
			targets = append(targets, layer2.Target{Addr: d.Addr, Interfaces: d.Interfaces, Mode: layer2.Watch})
			continue
		}
		held[d.Addr] = h
		targets = append(targets, layer2.Target{Addr: d.Addr, Interfaces: d.Interfaces, Announced: h.inherited})
	}
	for a, h := range s.held {
		if held[a] != nil {
			continue
		}
		if h.kept() {
			s.changed(Change{At: now, Addr: a, what: withdrawn, why: causeGone})
		} else {
			s.Log.Info("stopped answering", "ip", a)
		}
	}
	s.held, s.pursued = held, pursued
	clear(s.ceded)
	return targets, began
}

// pursuit returns that of an address that this node does not hold, nil if it is not to take it.
func (s *Speaker) pursuit(d *Decision, h *holding, settled bool, now time.Time) *pursuit {
	switch p := s.pursued[d.Addr]; {
	case h != nil || !settled:
		return nil
	case d.Owner != s.Self:
		return s.standIn(d, now)
	case p == nil || p.standsIn:
		return s.newPursuit(d.Addr, now)
	default:
		return p
	}
}

// keep reports whether this node goes on answering for an address that it holds: as long as it may, whoever else the election
// names; after that, until its successor was heard or the bound has passed.
func (s *Speaker) keep(d *Decision, h *holding, now time.Time) bool {
	if name, is := s.members.whose(h.stranger); !h.strange.IsZero() && is == isMember {
		h.contend(name, h.strange) // gossip was slower than the claim
		h.strange = time.Time{}
	}
	// Who left has given up all that it claimed: when it is back, as another process, it has nothing.
	maps.DeleteFunc(h.rivals, func(rival string, _ time.Time) bool { return s.members.left(rival) })
	if d.allows(s.Self) {
		// A rival of which this node knew too little when it heard the claim may turn out to have more right.
		for rival, at := range h.rivals {
			if now.Sub(at) < yieldBound && s.mayKeep(d, rival) && s.goesBefore(d, rival, isMember) {
				h.until = now
				s.changed(Change{At: now, Addr: d.Addr, what: yielded, why: causeOutranked, Peer: rival})
				return false
			}
		}
		h.until = time.Time{}
		s.planDefence(h)
		return true
	}
	if h.kept() {
		cause := causeIneligible
		if s.leaving {
			cause = causeLeft
		}
		s.changed(Change{At: now, Addr: d.Addr, what: yielded, why: cause})
		h.until = now.Add(yieldBound)
		if s.leaving {
			h.until = now.Add(leaveBound)
		}
		for _, at := range h.rivals {
			if now.Sub(at) < yieldBound {
				h.until = now // the successor was faster than the news
			}
		}
	}
	return h.until.After(now)
}

// claimed judges another host's claim of an address that this node holds or pursues, and reports whether that changes anything.
func (s *Speaker) claimed(c layer2.Claim, now time.Time) (news bool) {
	h, p := s.held[c.Addr], s.pursued[c.Addr]
	if p != nil {
		p.claimed = now
		if !p.ceded.IsZero() && now.Sub(p.asked) > confirmDelay { // this is not what was asked for
			p.ceded = now
		}
		if p.waiting {
			p.next = now // it has changed hands
		}
		return p.waiting
	}
	if h == nil {
		return false
	}
	name, is := s.members.whose(c.MAC)
	if h.doubt != nil {
		if is != isStranger {
			h.doubt.claimed = now
		}
		return false
	}
	if is == isStranger {
		s.metrics.conflicts[conflictStranger].Inc()
		if h.strange.IsZero() {
			h.unanswered = now
		}
		h.strange, h.stranger = now, c.MAC
		return s.planDefence(h)
	}
	claims := h.dispute(now)
	if x, suspected := s.members.suspected[name]; suspected && (!x.shared || claims > disputeClaims) {
		// It was this node that did not hear it, or it contradicts what others say of it.
		delete(s.members.suspected, name)
		h.disputed = 0
		s.decide(s.Source.Snapshot(), now)
	}
	d := s.decision(c.Addr)
	if d == nil {
		return false
	}
	h.contend(name, now)
	// One that others suspect may be deaf and go on announcing what it had. It has its rank again when it answers: see keep.
	_, suspected := s.members.suspected[name]
	switch {
	case !h.kept():
		s.Log.Info("successor heard", "ip", c.Addr, "node", name)
		h.until = now
		return true
	case s.goesBefore(d, name, is), !suspected && s.loses(d, h, name):
		s.metrics.conflicts[conflictPeer].Inc()
		s.drop(c.Addr, name, now)
		return true
	}
	s.metrics.conflicts[conflictPeer].Inc()
	s.Log.Warn("announcing an address that a peer has claimed", "ip", c.Addr, "node", name)
	s.Announcer.Announce([]netip.Addr{c.Addr})
	s.tellKnown(name, now)
	return false
}

// dispute counts a peer's claim and returns how many there were in disputeWindow.
func (h *holding) dispute(now time.Time) int {
	if now.Sub(h.disputeBegan) > disputeWindow {
		h.disputed, h.disputeBegan = 0, now
	}
	h.disputed++
	return h.disputed
}

// loses reports whether this node gives in to a peer that it outranks. When the peer does not give in, it knows another cluster,
// and the one of the two that comes first by name alone keeps the address.
func (s *Speaker) loses(d *Decision, h *holding, peer string) bool {
	return h.disputed > disputeClaims && d.byNameAlone().outranks(peer, s.Self)
}

// goesBefore reports whether a peer that claims the address has more right to it than this node, as far as this one can know. Of a peer
// that gossip holds to be gone nothing is known but the name, and the same holds the other way round.
func (s *Speaker) goesBefore(d *Decision, peer string, is standing) bool {
	if is == isFormer {
		return d.byNameAlone().outranks(peer, s.Self)
	}
	return s.knowsMore(peer) || d.outranks(peer, s.Self)
}

// byNameAlone returns a decision that knows of no candidates, so that ranks are the same for all who ask.
func (d *Decision) byNameAlone() *Decision { return &Decision{Addr: d.Addr} }

// drop gives an address to a peer that has announced it.
func (s *Speaker) drop(a netip.Addr, peer string, now time.Time) {
	s.changed(Change{At: now, Addr: a, what: yielded, why: causeOutranked, Peer: peer})
	delete(s.held, a)
	s.ceded[a] = now
}

// planDefence plans the next round of defences, of which there are few however many claims there are, and reports whether it is to come
// sooner than was planned.
func (s *Speaker) planDefence(h *holding) (sooner bool) {
	at := h.defence()
	if at.IsZero() {
		return false
	}
	at = later(at, s.defended.Add(defendPause))
	if !s.defences.IsZero() && !at.Before(s.defences) {
		return false
	}
	s.defences = at
	return true
}

// defend announces again what this node keeps and strangers have claimed, and tells of them. One that gossip has told to be
// a peer since is none: see keep.
func (s *Speaker) defend(now time.Time) {
	if s.defences.IsZero() || s.defences.After(now) {
		return
	}
	s.defences, s.defended = time.Time{}, now
	var claimed []netip.Addr
	for a, h := range s.held {
		if at := h.defence(); at.IsZero() || at.After(now) {
			continue
		}
		claimed = append(claimed, a)
		h.strange, h.defended = time.Time{}, now
		s.Log.Warn("announcing an address that another host has claimed", "ip", a, "mac", h.stranger)
		s.noteStranger(a, h.stranger, now)
	}
	for _, h := range s.held {
		s.planDefence(h)
	}
	if len(claimed) > 0 {
		s.metrics.defences.Add(float64(len(claimed)))
		s.Announcer.Announce(claimed)
	}
}
