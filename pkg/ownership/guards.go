package ownership

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

const (
	// settleDelay is the delay of a planned move, in which the other nodes see the same change of the cluster.
	settleDelay = 100 * time.Millisecond
	// startWindow is how far apart two nodes may become ready and still count as started together.
	startWindow = 5 * time.Second
	// foreignPatience is how long a foreign host may answer for an address that Services had before, until this node takes it.
	foreignPatience = 10 * time.Second
	// listenFor is how long a node must have been ready until it would have heard the owner of an address announce it.
	listenFor = 10 * time.Second
	// newFor is how long an address counts as new after it came.
	newFor = 5 * time.Second
	// suspendRetries is how often a suspended address is probed while another node probes it too.
	suspendRetries = 3
)

// Never is the due time of a wait without end.
var Never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

type guard func(*step) bool

func not(g guard) guard { return func(c *step) bool { return !g(c) } }

func all(gs ...guard) guard {
	return func(c *step) bool { return !slices.ContainsFunc(gs, func(g guard) bool { return !g(c) }) }
}

// placed: some node should announce the address, and gossip has settled.
func placed(c *step) bool { return c.announced() && c.in.Self.Settled }

func announced(c *step) bool { return c.announced() }

// elected: this node should announce the address.
func elected(c *step) bool { return placed(c) && c.in.Placement.Owner == c.in.Self.Name }

// eligible: this node may announce the address.
func eligible(c *step) bool { return placed(c) && c.in.Placement.Eligible(c.in.Self.Name) }

// barred: this node may not announce the address. A node without a configuration cannot judge that, and keeps it until a peer claims it.
func barred(c *step) bool {
	return placed(c) && !eligible(c) && (c.in.Self.Configured || c.in.Self.Leaving)
}

// vacant: another node should have the address, nobody is known to have it, and this node may.
func vacant(c *step) bool {
	if !eligible(c) || elected(c) || c.in.Kernel {
		return false
	}
	_, is := vacancy(c)
	return is
}

// vacancy reports whether nobody is known to have the address, and names the node that had it last. It came after this node was ready, and
// nobody was heard; or the last node that was heard may not have it any longer, or has lost it with its process. A node without a configuration
// cannot tell whether another node may have the address, so it never relies on that.
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
	// The node that the election named before most likely had the address.
	from = c.in.PrevOwner
	return from, from != "" && from != c.in.Placement.Owner && !mayKeep(c, from)
}

// mayKeep reports whether a node is reachable and may have the address, or knows better than this node whether it may.
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

// probeDue: it is time to probe.
func probeDue(c *step) bool { return c.a.probing.due(c.now) }

// newTurn: the elected node, or the one that had the address, is another than when this turn as backup began.
func newTurn(c *step) bool {
	from, _ := vacancy(c)
	return c.a.attempt.elected != c.in.Placement.Owner || c.a.attempt.from != from
}

// heardSince: another host has announced the address since this turn began.
func heardSince(c *step) bool { return !c.a.probing.asking && c.in.Heard.At.After(c.a.attempt.since) }

// uninformed: this node does not hear from the API server, so the address may be gone. The turn begins anew, unless it began just now.
func uninformed(c *step) bool { return !c.in.Self.Informed && c.a.attempt.since.Before(c.now) }

// overtaken: another host has announced the address since the probe began.
func overtaken(c *step) bool { return c.a.probing.overtaken() }

// askedOne: one station was asked alone.
func askedOne(c *step) bool { return c.a.probing.to != layer2.MAC{} }

// outdated: the silence is too old to act on.
func outdated(c *step) bool { return c.a.probing.outdated(c.now, c.in.Event.Finding) }

// otherGoesFirst: a node that goes before this one probes for the address too. Where gossip is parted, each side has such a node.
func otherGoesFirst(c *step) bool {
	return !c.a.attempt.gaveWay && slices.ContainsFunc(c.in.Event.Finding.Heard, func(x layer2.Sighting) bool {
		p := c.in.Peers.Station(x.MAC)
		return x.Form == layer2.Probing && p.Standing != peers.Foreign && goesFirst(c, p)
	})
}

// goesFirst reports whether a peer that claims the address has more right to it than this node. Of a node that gossip does not reach only the
// name is known, and the same holds the other way round. Of two nodes without a configuration the rank decides, for they judge alike.
func goesFirst(c *step, p peers.Peer) bool {
	if p.Standing == peers.Unreached {
		return placement.OutranksByName(c.a.Addr, p.Name, c.in.Self.Name)
	}
	return p.Newer || !c.in.Self.Configured && !p.Unconfigured || c.in.Placement.Outranks(p.Name, c.in.Self.Name)
}

// loses: the peer that claims the address has more right to it. Or it does not give in to this node, which outranks it: the two see different
// clusters, and the names decide. A claimant that others suspect may hear nobody; it has its rank again once it answers.
func loses(c *step) bool {
	disputed := !c.peer.Suspected && c.a.tenure.disputed > mostDisputes
	return c.announced() && (goesFirst(c, c.peer) ||
		disputed && placement.OutranksByName(c.a.Addr, c.peer.Name, c.in.Self.Name))
}

// believable: the claimant is suspected by this node alone, or contradicts again and again what others say of it.
func believable(c *step) bool {
	return c.peer.Suspected && (!c.peer.SuspectedByOthers || c.a.tenure.disputed > mostDisputes)
}

// mayTake: the member that answers does not keep the address any longer, or never had a right to.
func mayTake(c *step) bool { return !due(c).After(c.now) }

// due returns when this node may take the address from the member that answers for it.
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
	case c.in.Placement.Preferred: // but not on each return of a node that comes and goes
		return latest(soon, self.Ready.Add(c.in.Failback.Delay))
	case c.in.Failback.Never:
		return Never
	case startedTogether(c, holder):
		return soon
	}
	return latest(soon, t.since.Add(c.in.Failback.Delay))
}

// startedTogether reports whether this node and the holder became ready within a short time, and this node only just. The first one has taken
// all addresses then, and they are spread at once.
func startedTogether(c *step, holder peers.Peer) bool {
	apart := c.in.Self.Ready.Sub(holder.Ready).Abs()
	return !holder.Ready.IsZero() && apart <= startWindow && c.a.attempt.since.Sub(c.in.Self.Ready) <= startWindow
}

// rightLost: the holder was left alone because it may have the address, and may not any longer; or a member was lost, so that another node
// may have the address by now.
func rightLost(c *step) bool {
	t := &c.a.attempt
	return t.rightful && !mayKeep(c, t.holder) || t.losses != c.in.Peers.Losses()
}

// suspect: the address is new, and the member that answers for it has not announced it. Most likely the member's kernel has it. The member may
// have announced the address before it came to this node, whose watch is late, and before this node was there to hear.
func suspect(c *step) bool {
	came, conflict := c.in.Arrival.Came, c.a.attempt.conflict
	heard := c.in.Peers.Station(c.in.Heard.MAC).Name == c.peer.Name && !c.in.Heard.Answer
	return !came.IsZero() && !came.Before(c.in.Self.Ready.Add(listenFor)) && !heard && (c.now.Sub(came) < newFor || !conflict.IsZero())
}

// kernelHas: the kernel of this node has the address.
func kernelHas(c *step) bool { return c.in.Kernel }

// isNew: the address came so short a while before the conflict that whoever answers had it first.
func isNew(c *step) bool {
	came := c.in.Arrival.Since
	return !came.IsZero() && latest(c.a.attempt.conflict, came).Sub(came) < newFor
}

// foreignStays: an old address, for which a foreign host has answered for long enough.
func foreignStays(c *step) bool {
	t := &c.a.attempt
	return !c.a.foreign.Quarantine && !isNew(c) && !t.conflict.IsZero() && c.now.Sub(t.conflict) >= foreignPatience
}

// recheckDue: it is time to look whether an address in quarantine has become free.
func recheckDue(c *step) bool {
	at := c.a.foreign.recheck()
	return !c.a.probing.asking && !at.IsZero() && !at.After(c.now)
}

// rivalGoesFirst: a peer that claimed the address lately has more right to it, as it turns out.
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

// unsure: a silence counts only if it is found twice, because somebody answered before, or a ready node may have the address.
func unsure(c *step) bool {
	t := &c.a.attempt
	return !t.confirmed && (t.answered || t.from != "" && mayKeep(c, t.from))
}

// retriesLeft: another node probes for a suspended address; it hears no answer and may be about to take it. This goes on for a while.
func retriesLeft(c *step) bool { return c.a.probing.retries < suspendRetries }
