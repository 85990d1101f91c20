package ownership

import (
	"hash/fnv"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

const (
	// recheckRightful is the interval between questions to a node that may keep the address; recheckOther is the
	// interval for a node that may not.
	recheckRightful = time.Minute
	recheckOther    = time.Second
	// backupDelay is the wait of the second in rank before asking as backup. The third waits twice as long, and so on,
	// so that the backups ask in turn. backupConfirm is the wait before a silence is confirmed: the elected node asks
	// every second, and goes first.
	backupDelay   = 2 * time.Second
	backupConfirm = 3 * lastRetry / 2
	// backupJitter limits the random part of a delay: two nodes that solicit an IPv6 address do not hear each other.
	backupJitter = 500 * time.Millisecond
	// backupRetryDelay is the retry delay of a rate-limited backup takeover.
	backupRetryDelay = 250 * time.Millisecond
	// listenFor is the minimum age of a ready node at the arrival of an address: a younger node may have missed an
	// announcement of an earlier owner.
	listenFor = 10 * time.Second
	// announcedAfter is the time after the first answer for a new address in which an owner announces the address
	// several times.
	announcedAfter = 6 * time.Second
)

type effect func(*step)

// Acquiring an address.

func begin(c *step) {
	from := c.in.PrevOwner
	if from == c.in.Self.Name {
		from = ""
	}
	c.a.attempt.start(c.now, from)
	c.a.move.end()
	c.a.probing.awaitRules(c.now, c.in.Arrival.Came.Add(RulesDelay))
	if bound := c.in.Arrival.Came.Add(RulesBound); c.in.Path == PathMissing && bound.After(c.now) {
		c.a.probing.awaitLonger(bound)
		c.a.attempt.waitUntil(bound)
	}
}

// rulesMissing reports whether the first probe of a new address must wait longer, because another member gets no answer
// from the Service through this node.
func rulesMissing(c *step) bool {
	p, bound := &c.a.probing, rulesBound(c)
	return p.rules && !p.asking && c.in.Path == PathMissing && p.next.Before(bound) && bound.After(c.now)
}

// rulesCame reports whether the first probe waits longer for rules that are not known to be missing any more.
func rulesCame(c *step) bool {
	p := &c.a.probing
	return p.rules && p.longer && !p.asking && c.in.Path != PathMissing
}

// rulesBound returns the end of the wait for rules that are missing. The elected node goes first.
func rulesBound(c *step) time.Time {
	bound := c.in.Arrival.Came.Add(RulesBound)
	if c.a.state == Backup {
		bound = bound.Add(turnDelay(c))
	}
	return bound
}

// followRules makes the first probe wait longer for rules that are known to be missing, and no longer once they are not.
func followRules(c *step) {
	switch {
	case rulesMissing(c):
		awaitRules(c)
	case rulesCame(c):
		awaitNoLonger(c)
	}
}

// awaitRules makes the first probe wait longer for the rules of the service proxy.
func awaitRules(c *step) {
	until := rulesBound(c)
	c.a.probing.awaitLonger(until)
	if c.a.state == Probing {
		c.a.attempt.waitUntil(until)
	}
}

// awaitNoLonger plans the first probe for its usual time after all, or for now.
func awaitNoLonger(c *step) {
	if c.a.state == Backup {
		c.a.probing.awaitTurn(latest(c.now, c.a.attempt.due), false)
		return
	}
	c.a.probing.plan(latest(c.now, c.in.Arrival.Came.Add(RulesDelay)))
}

func forget(c *step) {
	c.a.attempt.forget()
	c.a.move.end()
	c.a.probing.reset(time.Time{})
}

func ask(c *step) {
	c.do(c.a.probing.begin(c.now, c.a.state == Backup, !c.a.attempt.conflict.IsZero()))
}
func askNow(c *step) { c.a.probing.plan(c.now) }
func askAll(c *step) { c.a.probing.muted(); askNow(c) }
func retry(c *step)  { c.a.probing.retry(c.now) }

// askStale asks again because the silence came too late.
func askStale(c *step) { c.a.probing.countStale(); askNow(c) }

func giveWay(c *step) { c.a.attempt.giveWay(); retry(c) }

func warnUnprobed(c *step) {
	if c.a.probing.warn() {
		c.do(Action{Kind: Unprobed})
	}
	retry(c)
}

// askAlone asks only the answering node, again and again. A switch that answers from memory for a dead node answers
// only questions to everybody.
func askAlone(c *step) {
	c.a.attempt.heldBy(c.now, c.peer.Name, false)
	c.a.probing.askOnly(c.mac)
	retry(c)
}

func refute(c *step) { c.do(Action{Kind: Refute, Node: c.peer.Name}); askNow(c) }

// noteHolder records the answering member. A member without a right to the address may not know of the loss yet, so
// this node exchanges versions with the member.
func noteHolder(c *step) {
	allowed := c.in.Placement.Eligible(c.peer.Name)
	c.a.attempt.heldBy(c.now, c.peer.Name, wrongly(c, c.peer))
	c.a.attempt.followNear(c.now, c.in.Placement.KeepsNear(c.peer.Name))
	c.a.probing.askAll()
	if c.a.foreign.Node != c.peer.Name {
		c.a.foreign.forget()
	}
	if !allowed && c.peer.State == membership.Ready {
		c.do(Action{Kind: ExchangeVersions, Node: c.peer.Name})
	}
}

// leave leaves the address to the member that answers, and plans when to ask again. A planned move waits for a proof of
// the path through this node.
func leave(c *step) {
	t, at := &c.a.attempt, due(c)
	c.a.foreign.forget()
	if !at.After(c.now) { // only the path through this node is unproven
		t.leaveTo(at, true, c.in.Peers.Losses(), c.in.Placement.Candidates())
		c.a.probing.plan(c.a.move.wait(c.now, c.in.Path == PathMissing))
		return
	}
	c.a.move.end()
	t.leaveTo(at, mayKeep(c, c.peer.Name), c.in.Peers.Losses(), c.in.Placement.Candidates())
	recheck := recheckRightful
	if !c.in.Placement.Eligible(c.peer.Name) {
		recheck = recheckOther // no rightful node has the address, by the inputs of this node
	}
	next := earliest(at, c.now.Add(recheck))
	if c.now.Sub(t.yielded) < yieldMemory {
		next = earliest(next, c.now.Add(lastRetry)) // the answer may have come from a foreign host in the node's name
	}
	if again := c.now.Add(confirmDelay); again.Before(at) && t.confirm() {
		next = again // right after a dispute another node may have the address
	}
	c.a.probing.plan(next)
}

// followDue asks earlier when the due time has moved forward: a Service or a new configuration prefers this node, or
// the holder has lost the right to the address.
func followDue(c *step) {
	t := &c.a.attempt
	t.heldBy(c.now, t.holder, wrongly(c, c.in.Peers.Peer(t.holder)))
	t.followNear(c.now, c.in.Placement.KeepsNear(t.holder))
	c.a.probing.advance(moveDue(c))
	t.recount(c.in.Placement.Candidates())
}

// Taking an address.

func take(c *step) { gain(c, false) }

// takeSilent takes an address after a silent probe.
func takeSilent(c *step) {
	c.a.foreign.forget()
	gain(c, true)
}

func gain(c *step, silent bool) {
	if c.a.foreign.Quarantine {
		c.a.foreign.forget()
	}
	cause, from := takeoverCause(c, silent)
	change := Change{At: c.now, Addr: c.a.Addr, Kind: Gained, Cause: cause, Peer: from}
	if p := c.in.Peers.Peer(from); p.Lost && (cause == CauseCrash || cause == CauseBackup) {
		change.After = c.now.Sub(p.LastSign)
	}
	c.do(Action{Kind: Report, Change: change})
	c.a.tenure.begin(c.now, cause, from)
	forget(c)
}

// takeoverCause returns the cause of the takeover and the previous owner, empty for none.
func takeoverCause(c *step, silent bool) (Cause, string) {
	t := &c.a.attempt
	from := t.holder
	if from == "" {
		from = t.from
	}
	p := c.in.Peers.Peer(from)
	switch {
	case c.a.state == Backup:
		return CauseBackup, from
	case from == "":
		return CauseNew, ""
	case p.Lost:
		return CauseCrash, from
	case p.Standing != peers.Member || p.Leaving():
		return CauseLeft, from
	case !c.in.Placement.Eligible(from):
		return CauseIneligible, from
	case t.holder == "" || silent:
		return CauseSilent, from
	case c.in.Placement.Preferred:
		return CausePreferred, from
	case startedTogether(c, p):
		return CauseSpread, from
	}
	return CauseFailback, from
}

// Waiting as backup.

func beginBackup(c *step) {
	c.a.attempt.start(c.now, "")
	c.a.move.end()
	c.a.probing.reset(time.Time{})
	turn(c)
}

// turn begins a new turn of this node as backup.
func turn(c *step) { wait(c, turnDelay(c)) }

func turnLater(c *step) { wait(c, turnDelay(c)+jitter(c)) }

func confirmSilence(c *step) { c.a.attempt.certain(); wait(c, backupConfirm) }

func askStaleBackup(c *step) { c.a.probing.countStale(); wait(c, 0) }

func wait(c *step, delay time.Duration) {
	from, _ := vacancy(c)
	at := c.now.Add(delay)
	c.a.attempt.turn(c.now, at, c.in.Placement.Owner, from)
	c.a.probing.hear(c.now)
	c.a.probing.awaitTurn(at, c.now.Before(c.in.Arrival.Came.Add(RulesBound)))
	if rulesMissing(c) {
		awaitRules(c)
	}
}

func turnDelay(c *step) time.Duration {
	delay := time.Duration(c.in.Placement.Rank(c.in.Self.Name)) * backupDelay
	if !c.in.Self.Configured && held(c) {
		delay += recheckRightful
	}
	return delay
}

// jitter returns a delay that varies with the node, the address and the turn.
func jitter(c *step) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(c.in.Self.Name))
	b := c.a.Addr.As16()
	h.Write(b[:])
	return time.Duration((h.Sum64() ^ c.a.probing.number*0x9e3779b97f4a7c15) % uint64(backupJitter))
}

// heardTurn begins a new turn, because another host has the address.
func heardTurn(c *step) {
	c.a.attempt.heard()
	if c.on&answered != 0 {
		c.do(Action{Kind: Sighted, Host: Host{MAC: c.mac}})
	}
	turnLater(c)
	if c.on == bySuspected {
		refute(c)
	}
}

// doubtTurn begins a new turn after a probe that leaves the owner of the address unknown.
func doubtTurn(c *step) {
	c.a.attempt.doubt()
	if c.on == unprobed {
		wait(c, backupDelay+jitter(c)) // the probe has shown nothing yet
		return
	}
	turnLater(c)
}

func throttle(c *step) { c.a.probing.refuse(c.now.Add(backupRetryDelay)) }

// newTurnNext makes the next review begin a new turn: after a stall, this node does not know how long the address has
// been silent.
func newTurnNext(c *step) { c.a.attempt.newTurn() }

// Meeting a host that should not have the address.

// face records the foreign host that answers. face leaves a new address to the host, and the controller assigns another
// address.
func face(c *step) {
	c.do(Action{Kind: ForeignClaim})
	c.a.attempt.face(c.now)
	c.a.probing.plan(c.now.Add(lastRetry))
	hearHost(c, Host{MAC: c.mac}, isNew(c))
}

// faceMember does the same for a member that has not announced the address: the kernel of the member has the address.
// This node notifies people once the member had time to announce.
func faceMember(c *step) {
	c.a.attempt.face(c.now)
	c.a.probing.plan(c.now.Add(lastRetry))
	listened := !c.in.Arrival.Came.Before(c.in.Self.Ready.Add(listenFor))
	if listened && c.now.Sub(c.a.attempt.conflict) >= announcedAfter {
		hearHost(c, Host{MAC: c.mac, Node: c.peer.Name}, true)
	}
}

// faceKernel leaves the address to the kernel of this node, because the kernel answers.
func faceKernel(c *step) {
	c.a.attempt.face(c.now)
	c.a.probing.reset(c.now.Add(lastRetry))
	hearHost(c, Host{Node: c.in.Self.Name}, true)
}

func hearHost(c *step, h Host, quarantine bool) {
	if c.a.foreign.hear(c.now, h, quarantine) {
		c.do(Action{Kind: ForeignHost, Host: h})
	}
}

func stillThere(c *step) { hearHost(c, c.a.foreign.Host, true) }

func free(c *step) { c.do(Action{Kind: Free}); c.a.foreign.forget() }

// Keeping an address.

// reviewRivals updates the claims: gossip may have named a claimant since, and a peer that left has released all
// claimed addresses.
func reviewRivals(c *step) {
	t := &c.a.tenure
	if p := c.in.Peers.Station(t.claimant); !t.claimed.IsZero() && p.Standing == peers.Member {
		t.recognize(p.Name)
	}
	t.dropRivals(func(rival string) bool { return c.in.Peers.Peer(rival).Leaving() })
	if eligible(c) {
		t.keep()
	}
	t.planDefense(c.in.LastDefense)
}

func defend(c *step) {
	t := &c.a.tenure
	h := Host{MAC: t.claimant}
	t.defend(c.now)
	c.do(Action{Kind: Defend, Host: h})
	hearHost(c, h, false)
}

func hearForeign(c *step) {
	c.do(Action{Kind: ForeignClaim})
	c.a.tenure.hearForeign(c.now, c.mac)
	c.a.tenure.planDefense(c.in.LastDefense)
}

func countClaim(c *step) { c.a.tenure.dispute(c.now) }

func noteRival(c *step) { c.a.tenure.contend(c.peer.Name, c.now) }

func believe(c *step) {
	c.a.tenure.settleDispute()
	c.do(Action{Kind: Refute, Node: c.peer.Name})
}

// contradict announces the address again, because this node has more right to the address.
func contradict(c *step) {
	c.do(Action{Kind: Dispute, Node: c.peer.Name})
	c.do(Action{Kind: Announce, Node: c.peer.Name})
	c.do(Action{Kind: ExchangeVersions, Node: c.peer.Name})
}

// noteClaim records an announcement of another host for an address that this node is about to take.
func noteClaim(c *step) {
	c.a.attempt.hear(c.now, c.a.probing.asked)
	c.a.probing.hear(c.now)
}

// Suspending an address after a stall.

func suspend(c *step) {
	c.a.attempt.start(c.now, "")
	c.a.probing.reset(c.now)
}

func resume(c *step) {
	c.a.tenure.resume(c.now)
	forget(c)
}

func lose(c *step) {
	c.report(Released, CauseStall, c.peer.Name)
	c.a.tenure.end()
	forget(c)
}

// Releasing an address.

func withdraw(c *step) {
	if c.a.tenure.draining() {
		stop(c)
		return
	}
	c.report(Withdrawn, CauseGone, "")
	c.a.tenure.end()
	forget(c)
}

func stop(c *step) {
	c.do(Action{Kind: Stopped})
	c.a.tenure.end()
	forget(c)
}

// drain goes on answering until this node hears the successor. The bound is zero for a successor heard earlier, before
// this node learned of the loss of its right.
func drain(c *step) {
	if c.a.tenure.draining() {
		return // draining since before a stall
	}
	bound, cause := drainBound, CauseIneligible
	if c.in.Self.Leaving {
		bound, cause = leaveBound, CauseLeft
	}
	if c.a.tenure.recentRival(c.now, func(string) bool { return true }) != "" {
		bound = 0
	}
	c.report(Released, cause, "")
	c.a.tenure.drain(c.now, bound)
}

func yieldToRival(c *step) {
	c.report(Released, CauseOutranked, strongestRival(c))
	stop(c)
}

func yield(c *step) {
	c.do(Action{Kind: Dispute, Node: c.peer.Name})
	c.report(Released, CauseOutranked, c.peer.Name)
	c.a.tenure.end()
	c.a.probing.reset(time.Time{})
	c.a.attempt.giveUp(c.now)
	if !goesFirst(c, c.peer) {
		c.a.concession.concede(c.now)
	}
}

func handOver(c *step) {
	c.do(Action{Kind: SuccessorHeard, Node: c.peer.Name})
	stop(c)
}
