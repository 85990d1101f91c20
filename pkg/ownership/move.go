package ownership

import "time"

// pathPatience limits the time for which a planned move waits for the answer of another member about the path.
const pathPatience = RulesDelay

// move tracks a planned move of an address to this node, which waits for a proof of the path through this node.
type move struct {
	// since is the time at which the wait began; zero while no move waits. until is the time of the next try.
	since, until time.Time
	// missing is true when another member gets no answer from the Service through this node.
	missing bool
}

// wait plans the next try. missing means that the path is known to be missing.
func (m *move) wait(now time.Time, missing bool) (until time.Time) {
	if m.since.IsZero() {
		m.since = now
	}
	if m.missing = missing; missing {
		m.until = now.Add(recheckRightful)
	} else {
		m.until = m.since.Add(pathPatience)
	}
	return m.until
}

func (m *move) end() { *m = move{} }

// planned reports whether the member holder may keep the address, so that a move to this node can wait. Nodes that
// started together spread the addresses without a wait.
func planned(c *step, holder string) bool {
	p := c.in.Peers.Peer(holder)
	return mayKeep(c, holder) && c.in.Placement.Eligible(holder) && p.IsReady() && !startedTogether(c, p)
}

// unproven reports whether a planned move must wait, because another member can probe the path through this node, and
// the member has not answered yet or gets no answer from the Service. The move does not wait long for the member.
func unproven(c *step) bool {
	m := &c.a.move
	switch c.in.Path {
	case PathMissing:
		return true
	case PathUnasked:
		return m.since.IsZero() || c.now.Before(m.since.Add(pathPatience))
	}
	return false
}

// mustProve reports whether the member that answers may keep the address until the path through this node is proven.
func mustProve(c *step) bool { return mayTake(c) && planned(c, c.peer.Name) && unproven(c) }

// moveDue returns the earliest time for taking the address from the holder: due, or later while the path is unproven.
func moveDue(c *step) time.Time {
	at, holder := due(c), c.a.attempt.holder
	if !at.After(c.now) && !c.a.move.since.IsZero() && planned(c, holder) && unproven(c) {
		return latest(at, c.a.move.until)
	}
	return at
}

// awaitPath leaves the address to the member that answers, until the path through this node is proven.
func awaitPath(c *step) {
	c.a.foreign.forget()
	c.a.attempt.leaveTo(due(c), true, c.in.Peers.Losses(), c.in.Placement.Candidates())
	c.a.probing.plan(c.a.move.wait(c.now, c.in.Path == PathMissing))
}
