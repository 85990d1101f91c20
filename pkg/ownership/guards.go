package ownership

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

const (
	// settleDelay delays a planned move, so that the other nodes see the same change of the cluster first.
	settleDelay = 100 * time.Millisecond
	// startWindow is the longest interval between the readiness of two nodes that count as started together.
	startWindow = 5 * time.Second
	// foreignPatience limits the time for which this node leaves an old address of Services to a foreign host.
	foreignPatience = 10 * time.Second
	// newFor is the time for which an address counts as new after it came.
	newFor = 5 * time.Second
	// suspendRetries limits the probes of a suspended address while another node probes the address too.
	suspendRetries = 3
)

// Never is the due time of a wait without end.
var Never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

type guard func(*step) bool

func not(g guard) guard { return func(c *step) bool { return !g(c) } }

func all(gs ...guard) guard {
	return func(c *step) bool { return !slices.ContainsFunc(gs, func(g guard) bool { return !g(c) }) }
}

// placed reports whether some node should announce the address and gossip has settled.
func placed(c *step) bool { return c.announced() && c.in.Self.Settled }

func announced(c *step) bool { return c.announced() }

// elected reports whether this node should announce the address.
func elected(c *step) bool { return placed(c) && c.in.Placement.Owner == c.in.Self.Name }

// eligible reports whether this node may announce the address.
func eligible(c *step) bool { return placed(c) && c.in.Placement.Eligible(c.in.Self.Name) }

// barred reports whether this node may not announce the address. A node without a configuration cannot judge, and keeps
// the address until a peer claims the address.
func barred(c *step) bool {
	return placed(c) && !eligible(c) && (c.in.Self.Configured || c.in.Self.Leaving)
}

// vacant reports whether another node should have the address, no node is known to have the address, and this node may.
func vacant(c *step) bool {
	if !eligible(c) || elected(c) {
		return false
	}
	_, is := vacancy(c)
	return is
}

// vacancy reports whether nobody is known to have the address, and names the last owner. Either the address came after
// this node was ready, and no host was heard; or the last node that was heard may not have the address any longer, or
// has lost the address with its process. A node without a configuration cannot judge whether another node may have the
// address, so such a node never relies on that.
func vacancy(c *step) (from string, is bool) {
	heard := c.in.Heard
	if p := c.in.Peers.Station(heard.MAC); p.Name != "" && !heard.At.Before(c.in.Arrival.Since) {
		if !c.in.Self.Configured && held(c) {
			return "", true
		}
		return p.Name, !held(c)
	}
	switch {
	case !c.in.Arrival.Since.IsZero(), !c.in.Self.Configured:
		return "", true
	case c.a.state == Backup:
		return c.a.attempt.from, !mayKeep(c, c.a.attempt.from)
	}
	// Most likely the owner by the previous election had the address.
	from = c.in.PrevOwner
	return from, from != "" && from != c.in.Placement.Owner && !mayKeep(c, from)
}

// mayKeep reports whether a node is reachable and may have the address. A node with newer versions judges for itself.
func mayKeep(c *step, node string) bool {
	p := c.in.Peers.Peer(node)
	return !p.Lost && (c.in.Placement.Eligible(node) || p.Newer)
}

// held reports whether the last node that was heard may keep the address, as far as this node can judge.
func held(c *step) bool {
	p := c.in.Peers.Station(c.in.Heard.MAC)
	return p.Name != "" && mayKeep(c, p.Name) && !c.in.Heard.At.Before(p.SeenReady)
}

// wrongly reports whether a node may not have the address, as far as this node can judge.
func wrongly(c *step, p peers.Peer) bool { return !c.in.Placement.Eligible(p.Name) && !p.Newer }

// probeDue reports whether the time of the next probe has come. The first probe of a new address does not wait for the
// rules of the service proxy any longer when a member has proven the path.
func probeDue(c *step) bool {
	p := &c.a.probing
	return p.due(c.now) || c.in.Path == PathThere && c.a.state == Probing && p.rules && !p.asking
}

// newness is the time for which an address counts as new after it came.
func newness(c *step) time.Duration {
	if c.a.probing.longer {
		return newFor + RulesBound // the first probe was late
	}
	return newFor
}

// newTurn reports whether the elected node or the last owner has changed since this turn as backup began.
func newTurn(c *step) bool {
	from, _ := vacancy(c)
	return c.a.attempt.elected != c.in.Placement.Owner || c.a.attempt.from != from
}

// heardSince reports whether another host has announced the address since this turn began.
func heardSince(c *step) bool { return !c.a.probing.asking && c.in.Heard.At.After(c.a.attempt.since) }

// uninformed reports whether this node has lost the API server, so the address may be gone. The turn begins anew,
// unless the turn began just now.
func uninformed(c *step) bool { return !c.in.Self.Informed && c.a.attempt.since.Before(c.now) }

// overtaken reports whether another host has announced the address since the probe began.
func overtaken(c *step) bool { return c.a.probing.overtaken() }

// askedOne reports whether the probe asked one station alone.
func askedOne(c *step) bool { return c.a.probing.to != layer2.MAC{} }

// outdated reports whether the silence is too old to act on.
func outdated(c *step) bool { return c.a.probing.outdated(c.now, c.in.Event.Finding) }

// otherGoesFirst reports whether a node of higher precedence probes for the address too. Where gossip is parted, each
// side has such a node.
func otherGoesFirst(c *step) bool {
	return !c.a.attempt.gaveWay && slices.ContainsFunc(c.in.Event.Finding.Heard, func(x layer2.Sighting) bool {
		p := c.in.Peers.Station(x.MAC)
		return x.Form == layer2.Probing && p.Standing != peers.Foreign && goesFirst(c, p)
	})
}

// goesFirst reports whether a peer that claims the address has more right to the address than this node. If gossip does
// not reach a node, only its name is known, and both nodes decide by the names. Of two nodes without a configuration
// the rank decides, because both judge alike.
func goesFirst(c *step, p peers.Peer) bool {
	if p.Standing == peers.Unreached {
		return placement.OutranksByName(c.a.Addr, p.Name, c.in.Self.Name)
	}
	return p.Newer || !c.in.Self.Configured && !p.Unconfigured || c.in.Placement.Outranks(p.Name, c.in.Self.Name)
}

// loses reports whether this node must yield. The claimant has more right to the address. Or this node outranks the
// claimant, and the claimant does not yield: the two nodes see different clusters, and the names decide. A claimant
// suspected by other nodes may hear nobody; the rank of the claimant counts again after an answer.
func loses(c *step) bool {
	disputed := !c.peer.Suspected && c.a.tenure.disputed > mostDisputes
	return c.announced() && (goesFirst(c, c.peer) ||
		disputed && placement.OutranksByName(c.a.Addr, c.peer.Name, c.in.Self.Name))
}

// believable reports whether this node alone suspects the claimant, or the claimant contradicts the suspicion of the
// others again and again.
func believable(c *step) bool {
	return c.peer.Suspected && (!c.peer.SuspectedByOthers || c.a.tenure.disputed > mostDisputes)
}

// mayTake reports whether the answering member does not keep the address any longer, or never had a right to the
// address. A planned move waits for a proof of the path through this node.
func mayTake(c *step) bool { return !due(c).After(c.now) && !unproven(c, c.peer.Name) }

// unproven reports whether a planned move from the member holder must wait: another member can probe the path through
// this node, and has not answered yet or gets no answer from the Service. The move does not wait long for the member.
func unproven(c *step, holder string) bool {
	switch c.in.Path {
	case PathMissing:
		return planned(c, holder)
	case PathUnasked:
		return planned(c, holder) && c.a.move.patient(c.now)
	}
	return false
}

// planned reports whether the member holder may keep the address, so that a move to this node can wait. Nodes that
// started together spread the addresses without a wait.
func planned(c *step, holder string) bool {
	p := c.in.Peers.Peer(holder)
	return p.IsReady() && mayKeep(c, holder) && c.in.Placement.Eligible(holder) && !startedTogether(c, p)
}

// moveDue returns the earliest time for taking the address from the holder: due, or later while the path is unproven.
func moveDue(c *step) time.Time {
	at, m := due(c), &c.a.move
	if !at.After(c.now) && !m.since.IsZero() && unproven(c, c.a.attempt.holder) {
		return latest(at, m.until)
	}
	return at
}

// due returns the earliest time for taking the address from the member that answers.
func due(c *step) time.Time {
	t, self, holder := &c.a.attempt, &c.in.Self, c.in.Peers.Peer(c.a.attempt.holder)
	soon := t.since.Add(settleDelay)
	switch {
	case holder.Leaving():
		return c.now
	case holder.Newer || !self.Configured:
		return Never
	case c.a.concession.until().After(c.now):
		return c.a.concession.until()
	case !c.in.Placement.Eligible(holder.Name):
		return t.disallowed.Add(settleDelay)
	case c.in.Placement.Preferred && c.in.Failback.Never:
		return soon
	case c.in.Placement.Preferred: // but not on each return of a flapping node
		return latest(soon, self.Ready.Add(c.in.Failback.Delay))
	case c.in.Failback.Never:
		return Never
	case startedTogether(c, holder):
		return soon
	case t.near:
		return Never
	}
	return latest(soon, t.since.Add(c.in.Failback.Delay))
}

// startedTogether reports whether this node and the holder became ready within startWindow, and this node only just
// now. The first node has taken all addresses then, and the nodes spread the addresses at once.
func startedTogether(c *step, holder peers.Peer) bool {
	apart := c.in.Self.Ready.Sub(holder.Ready).Abs()
	return !holder.Ready.IsZero() && apart <= startWindow && c.a.attempt.since.Sub(c.in.Self.Ready) <= startWindow
}

// rightLost reports whether another node may have the address by now. Either the holder kept the address by right and
// has lost that right, or a member was lost, or some node may not have the address any longer. The last two cases matter
// if the holder is not the owner: two nodes answer while the kernel of one node has the address.
func rightLost(c *step) bool {
	t := &c.a.attempt
	return t.rightful && !mayKeep(c, t.holder) || t.losses != c.in.Peers.Losses() ||
		t.candidates > c.in.Placement.Candidates()
}

// suspect reports whether the address is new and the answering member has not announced the address. Most likely the
// kernel of the member has the address. The member may also have announced the address early: before the late watch of
// this node showed the address, and before this node was there to hear.
func suspect(c *step) bool {
	came, conflict := c.in.Arrival.Came, c.a.attempt.conflict
	heard := c.in.Heard.Unasked && c.in.Peers.Station(c.in.Heard.MAC).Name == c.peer.Name
	return !came.IsZero() && !c.in.Arrival.Late && !heard && (c.now.Sub(came) < newness(c) || !conflict.IsZero())
}

// kernelHas reports whether the kernel of this node has the address.
func kernelHas(c *step) bool { return c.in.Kernel }

// isNew reports whether the address came so shortly before the conflict that the answering host had the address first.
func isNew(c *step) bool {
	came := c.in.Arrival.Since
	return !came.IsZero() && latest(c.a.attempt.conflict, came).Sub(came) < newness(c)
}

// foreignStays reports whether a foreign host has answered for an old address for long enough.
func foreignStays(c *step) bool {
	t := &c.a.attempt
	return !c.a.foreign.Quarantine && !isNew(c) && !t.conflict.IsZero() && c.now.Sub(t.conflict) >= foreignPatience
}

// recheckDue reports whether the next probe of an address in quarantine is due.
func recheckDue(c *step) bool {
	at := c.a.foreign.recheck()
	return !c.a.probing.asking && !at.IsZero() && !at.After(c.now)
}

// rivalGoesFirst reports whether a recent claimant turns out to have more right to the address.
func rivalGoesFirst(c *step) bool { return eligible(c) && strongestRival(c) != "" }

func strongestRival(c *step) string {
	return c.a.tenure.recentRival(c.now, func(rival string) bool {
		p := c.in.Peers.Peer(rival)
		return mayKeep(c, rival) && goesFirst(c, peers.Peer{Name: rival, Standing: peers.Member, Newer: p.Newer, Unconfigured: p.Unconfigured})
	})
}

func defenseDue(c *step) bool {
	at := c.a.tenure.defendAt
	return !at.IsZero() && !at.After(c.now)
}

func drained(c *step) bool { return !c.a.tenure.until.After(c.now) }

// unsure reports whether this node must confirm a silence, because a host answered before, or a ready node may have the
// address. A node without a configuration always confirms a silence: a configured node takes the address meanwhile.
func unsure(c *step) bool {
	t := &c.a.attempt
	return !t.confirmed && (!c.in.Self.Configured || t.answered || t.from != "" && mayKeep(c, t.from))
}

// retriesLeft reports whether to probe a suspended address again, because another node probes the address too. The
// other node hears no answer and may be about to take the address.
func retriesLeft(c *step) bool { return c.a.probing.retries < suspendRetries }
