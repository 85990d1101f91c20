package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// defaultFailback is how long this node waits, without a configuration, before it takes an address from a node that may go on answering for it.
	defaultFailback = time.Minute
	// settleDelay is how long a planned move waits, so that the other nodes have seen the same change of the cluster.
	settleDelay = 100 * time.Millisecond
	// The pause before an address is looked at again grows from the first to the second.
	firstLook = 50 * time.Millisecond
	lastLook  = time.Second
	// reassurance is how often a node is asked again that may keep an address for good: whatever made it give the address up, as a stranger
	// that used the MAC address of another node, it need not have told of that.
	reassurance = time.Minute
	// confirmDelay is how long after a peer has answered for the first time it is asked again: it may just be giving up.
	confirmDelay = 200 * time.Millisecond
	// answerTime is how long a second answer is waited for.
	answerTime = 40 * time.Millisecond
	// staleness is how long after the last question a silence still says that nobody has the address, on a machine that gave this process
	// its turns: an owner that stood still may go on meanwhile. staleFindings is how often it is asked again, until one is believed all the same.
	staleness     = 100 * time.Millisecond
	staleFindings = 3
	// strangerBound is how long a stranger that answers is waited for, until an address that Services had before is taken from it.
	strangerBound = 10 * time.Second
	// rulesDelay is how long after it came to a Service an address is first asked for and answered for. kube-proxy writes its rules once a
	// second at most, and has just done so for the new Service. A packet that a node gets before passes as it is, and so does for two minutes,
	// by the node's connection tracking, whatever the client sends again: its first connection fails. A client that asks for the address
	// in vain meanwhile waits, and is told by the first announcement.
	rulesDelay = 1200 * time.Millisecond
	// freshness is how long after it was first to be announced an address counts as new.
	freshness = 5 * time.Second
)

// never is a time that does not come.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// pursuit is an address that this node is to have, or may have to stand in for, and does not hold yet. It asks the wire before it takes it.
type pursuit struct {
	addr netip.Addr
	// since is when it began.
	since time.Time
	// from is whom the election named before, or who had it last when this node stands in; empty for nobody.
	from string
	// standsIn is true when another node, elected, is to have it: see standIn.
	standsIn bool
	elected  string
	// answered is true when somebody answered the last time.
	answered bool
	// next is when to ask, asked when that was done last; asking is true while a probe runs; finding is what it has found and nobody
	// has looked at. claimed is when another host claimed the address.
	next, asked, claimed time.Time
	asking               bool
	finding              *found
	// to is whom to ask, zero for everybody. mute is a station that did not answer when it alone was asked: what is heard from it
	// otherwise is a switch that answers from its memory.
	to, mute layer2.MAC
	looks    int
	// stale is how many silences came too late since one was believed.
	stale int
	// holder is the node that answered last; rightful is true when it might keep the address then. waiting is true when it is left
	// alone until due, which may be never, unless it loses that right, or more members than these losses are lost: another node may have the address by now.
	holder    string
	rightful  bool
	waiting   bool
	due       time.Time
	confirmed bool
	losses    int
	// disallowed is when the holder was first seen to have no right to the address any more.
	disallowed time.Time
	// strange is when a stranger answered first.
	strange time.Time
	// ceded is when this node, which is to have the address, gave it up to a peer that claimed it, or when such a claim came last.
	ceded time.Time
	// silent is true when it is taken since nobody answered in the end.
	silent bool
	// gaveWay is true when this node has once let another go first that asked too.
	gaveWay bool
	warned  bool
}

// found is the result of a probe.
type found struct {
	pursuit *pursuit
	layer2.Finding
	err error
}

// arrive hands the result to its pursuit.
func (f found) arrive() (news bool) {
	f.pursuit.asking, f.pursuit.finding = false, &f
	return true
}

func (s *Speaker) newPursuit(a netip.Addr, now time.Time) *pursuit {
	p := &pursuit{addr: a, since: now, next: later(now, s.came(a).Add(rulesDelay)), ceded: s.ceded[a]}
	if owner, ok := s.owners[a]; ok && owner != s.Self {
		p.from = owner
	}
	return p
}

// came returns when an address came to Services while this node was ready, zero for one that they had before.
func (s *Speaker) came(a netip.Addr) time.Time {
	since := s.since[a]
	was, dark := s.dark[a]
	switch {
	case !dark || since.IsZero():
		return since
	case was.owner != "": // it waited for endpoints again
		return time.Time{}
	}
	return was.since
}

// pursue reports whether to take the address now, and sees to it that the wire is asked before.
func (s *Speaker) pursue(d *Decision, p *pursuit, now time.Time) (take bool) {
	if p.asking {
		return false
	}
	if f := p.finding; f != nil {
		p.finding = nil
		if p.standsIn {
			return s.judgeStandIn(d, p, f, now)
		}
		if s.judge(d, p, f, now) {
			return true
		}
		if p.finding != nil {
			return false // it is judged again, by new decisions
		}
	}
	if p.waiting {
		if due := s.due(d, p, now); due.Before(p.next) {
			p.next = due // a Service or a new configuration asks for it
		}
	}
	if p.waiting && (p.rightful && !s.mayKeep(d, p.holder) || p.losses != s.members.losses) {
		p.waiting, p.next = false, now
	}
	if !p.next.After(now) {
		s.ask(p, d.Interfaces)
	}
	return false
}

// mayKeep reports whether node is to be heard and may answer for the address, or knows better than this one whether it may.
func (s *Speaker) mayKeep(d *Decision, node string) bool {
	_, lost := s.members.lost(node)
	return !lost && (d.allows(node) || s.knowsMore(node))
}

// ask probes the address. The result comes to the loop by way of found.
func (s *Speaker) ask(p *pursuit, interfaces []string) {
	p.asking, p.asked = true, time.Now()
	options := layer2.ProbeOptions{Interfaces: interfaces, To: p.to}
	var bystanders []membership.Link
	if p.standsIn {
		options.Count, bystanders = standInQuestions, s.bystanders(p.addr)
	}
	if p.mute != (layer2.MAC{}) || !p.strange.IsZero() {
		options.Linger = answerTime // for a station that answers beside the switch, or beside a stranger that is faster
	}
	s.tasks.Go(func() {
		finding, err := s.Announcer.Probe(s.ctx, p.addr, options)
		if p.standsIn && finding.Outcome == layer2.Silent && !s.hearsAny(bystanders) {
			finding.Outcome, err = layer2.Unasked, errDeaf
		}
		select {
		case s.found <- found{p, finding, err}:
		case <-s.ctx.Done():
		}
	})
}

// judge is the one rule for taking over: it reports whether what was found lets this node take the address, and otherwise sets when to ask again.
func (s *Speaker) judge(d *Decision, p *pursuit, f *found, now time.Time) (take bool) {
	switch f.Outcome {
	case layer2.Unasked:
		if !p.warned {
			p.warned = true
			s.Log.Warn("address cannot be probed, and is not taken over before it can", "ip", d.Addr, "err", f.err)
		}
		p.again(now)
		return false
	case layer2.Silent, layer2.Contested:
		if p.claimed.After(p.asked) {
			p.next = now // somebody took it meanwhile
			return false
		}
		if p.to != (layer2.MAC{}) {
			p.mute, p.to, p.next = p.to, layer2.MAC{}, now
			return false
		}
		if p.outlived(f) {
			p.next = now
			return false
		}
		if f.Outcome == layer2.Contested && !p.gaveWay && s.givesWay(d, f) {
			p.gaveWay = true
			p.again(now)
			return false
		}
		p.silent = true
		delete(s.strangers, d.Addr)
		return true
	}
	name, mac, is := s.best(f.Heard, p.mute)
	if mac == (layer2.MAC{}) {
		return true
	}
	switch is {
	case isMember:
		p.holder, p.to, p.mute = name, layer2.MAC{}, layer2.MAC{}
		if _, suspected := s.members.suspected[name]; suspected {
			s.refute(name, d.Addr)
			p.finding, p.next = f, now // the decision is one without it
			return false
		}
		if !d.allows(name) && s.members.present[name].State == membership.Ready {
			s.tellKnown(name, now) // it may not have heard
		}
		due := s.due(d, p, now)
		p.due, p.waiting, p.rightful, p.losses = due, due.After(now), s.mayKeep(d, name), s.members.losses
		p.next = earliest(due, now.Add(reassurance))
		if again := now.Add(lastLook); now.Sub(p.ceded) < 2*lastLook {
			p.next = earliest(p.next, again) // it may not have been that node that was heard, but a stranger in its name
		}
		if again := now.Add(confirmDelay); !p.confirmed && again.Before(due) {
			p.next, p.confirmed = again, true // right after a dispute another node may have it
		}
		return !p.waiting
	case isFormer:
		// It may be cut off from gossip alone. A switch that answers from its memory for the dead does so when everybody is asked.
		p.holder, p.to, p.mute = name, mac, layer2.MAC{}
		p.again(now)
		return false
	}
	return s.facesStranger(d, p, mac, now)
}

// refute ends the suspicion of a member that answers.
func (s *Speaker) refute(name string, a netip.Addr) {
	s.Log.Info("suspected member answers", "node", name, "ip", a)
	s.metrics.refuted.Inc()
	delete(s.members.suspected, name)
}

// givesWay reports whether a node that goes before this one asks for the address as well. Where gossip is parted each side has one that
// does when an owner is silent, and both would take it in the same moment.
func (s *Speaker) givesWay(d *Decision, f *found) bool {
	return slices.ContainsFunc(f.Heard, func(x layer2.Sighting) bool {
		name, is := s.members.whose(x.MAC)
		return x.Form == layer2.Probing && is != isStranger && s.goesBefore(d, name, is)
	})
}

// outlived reports whether a silence is so old that the wire is to be asked again.
func (p *pursuit) outlived(f *found) bool {
	if time.Since(f.Last) <= staleness || p.stale >= staleFindings {
		p.stale = 0
		return false
	}
	p.stale++
	return true
}

// again plans the next look.
func (p *pursuit) again(now time.Time) {
	p.next = now.Add(min(firstLook<<min(p.looks, 8), lastLook))
	p.looks++
}

// best returns who of those that were heard is closest to this node: a member before a former one before a stranger. It
// returns a zero MAC address for nobody but the mute one.
func (s *Speaker) best(heard []layer2.Sighting, mute layer2.MAC) (name string, mac layer2.MAC, is standing) {
	for _, x := range heard {
		if x.Form == layer2.Probing || x.MAC == mute {
			continue
		}
		if n, st := s.members.whose(x.MAC); mac == (layer2.MAC{}) || st > is {
			name, mac, is = n, x.MAC, st
		}
	}
	return name, mac, is
}

// due returns when this node may take the address from the member that answers for it.
func (s *Speaker) due(d *Decision, p *pursuit, now time.Time) time.Time {
	failback, ever := s.failback()
	switch {
	case s.members.present[p.holder].State == membership.Leaving:
		return now
	case s.knowsMore(p.holder):
		return never
	case !d.allows(p.holder):
		if p.disallowed.IsZero() {
			p.disallowed = now
		}
		return p.disallowed.Add(settleDelay)
	}
	p.disallowed = time.Time{}
	switch {
	case d.Wished && !ever:
		return p.since.Add(settleDelay)
	case d.Wished: // but not on each return of a node that comes and goes
		return later(p.since.Add(settleDelay), s.ready.Add(failback))
	case !ever:
		return never
	}
	return p.since.Add(max(failback, settleDelay))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// took counts and logs that this node takes the address, and returns it as one that it holds.
func (s *Speaker) took(d *Decision, p *pursuit, now time.Time) *holding {
	why, from := s.why(d, p)
	c := Change{At: now, Addr: d.Addr, what: gained, why: why, Peer: from}
	if sign, lost := s.members.lost(from); lost && (why == causeCrash || why == causeStandIn) {
		c.After = now.Sub(sign)
		s.metrics.failover.Observe(c.After.Seconds())
	}
	s.gains[d.Addr] = gain{from, why}
	s.changed(c, "service", d.Services)
	return &holding{took: now, why: why, from: from}
}

// why returns the reason for which this node takes the address, and from whom, if from anybody.
func (s *Speaker) why(d *Decision, p *pursuit) (cause, string) {
	from := p.holder
	if from == "" {
		from = p.from
	}
	if p.standsIn {
		return causeStandIn, from
	}
	if from == "" {
		return causeNew, ""
	}
	if _, lost := s.members.lost(from); lost {
		return causeCrash, from
	}
	switch m, present := s.members.present[from]; {
	case !present || m.State == membership.Leaving:
		return causeLeft, from
	case !d.allows(from):
		return causeIneligible, from
	case p.holder == "" || p.silent:
		return causeSilent, from
	case d.Wished:
		return causeWish, from
	}
	return causeFailback, from
}
