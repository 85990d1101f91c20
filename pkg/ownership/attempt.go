package ownership

import "time"

const (
	// confirmDelay separates the first answer of a peer from the second question: the peer may be releasing the
	// address.
	confirmDelay = 200 * time.Millisecond
	// yieldMemory limits the time after a dispute for which the loser keeps asking.
	yieldMemory = 2 * lastRetry
)

// attempt tracks an attempt to take an address, or a turn as backup.
type attempt struct {
	// since marks the start of the attempt.
	since time.Time
	// from names the previous owner, empty for none.
	from string
	// elected names the owner by election while this node is a backup. answered is true once a host answered in the
	// turn.
	elected  string
	answered bool
	// holder names the last node that answered. rightful is true when holder could keep the address then.
	holder   string
	rightful bool
	// due stores the earliest time for taking the address from holder, or for asking as backup.
	due time.Time
	counts
	// confirmed is true once this node asked for a second result.
	confirmed bool
	// disallowed marks the time from which holder may not have the address.
	disallowed time.Time
	// near is true while holder keeps the address because of its endpoint; see [placement.Placement.KeepsNear].
	near bool
	// conflict marks the first answer of a host that should not have the address.
	conflict time.Time
	// yielded marks the last time at which this node yielded the address to a claim of a peer, or heard a further
	// claim.
	yielded time.Time
	// gaveWay is true once this node let another probing node go first.
	gaveWay bool
}

// counts holds the number of lost members when holder answered, and the greatest number of nodes that may have had the
// address since then.
type counts struct{ losses, candidates int }

// start begins an attempt. start keeps yielded until yieldMemory has passed.
func (t *attempt) start(now time.Time, from string) {
	yielded := t.yielded
	if now.Sub(yielded) >= yieldMemory {
		yielded = time.Time{}
	}
	*t = attempt{since: now, from: from, yielded: yielded}
}

func (t *attempt) forget() { *t = attempt{} }

// giveUp records that this node yielded the address to a claim of a peer.
func (t *attempt) giveUp(now time.Time) { *t = attempt{yielded: now} }

// hear records a claim of another host. An unsolicited claim extends the time after a dispute; an answer to this node's
// probe does not.
func (t *attempt) hear(now, asked time.Time) {
	if !t.yielded.IsZero() && now.Sub(asked) > confirmDelay {
		t.yielded = now
	}
}

// heldBy records the node that answered. wrongly means: by the inputs of this node, the answering node may not have the
// address.
func (t *attempt) heldBy(now time.Time, node string, wrongly bool) {
	if !wrongly || t.holder != node {
		t.disallowed = time.Time{}
	}
	if wrongly && t.disallowed.IsZero() {
		t.disallowed = now
	}
	t.holder = node
}

// followNear begins the delay before the move anew when holder no longer keeps the address because of its endpoint: an
// endpoint that is back soon moves nothing.
func (t *attempt) followNear(now time.Time, near bool) {
	if t.near && !near {
		t.since = now
	}
	t.near = near
}

// leaveTo leaves the address to holder until due.
func (t *attempt) leaveTo(due time.Time, rightful bool, losses, candidates int) {
	t.due, t.rightful, t.losses, t.candidates = due, rightful, losses, candidates
}

// waitUntil records the end of a wait.
func (t *attempt) waitUntil(due time.Time) { t.due = due }

// recount follows a growing number of candidates.
func (t *attempt) recount(candidates int) { t.candidates = max(t.candidates, candidates) }

// confirm reports whether to ask once more before waiting: the peer that answered may be releasing the address.
func (t *attempt) confirm() bool {
	was := t.confirmed
	t.confirmed = true
	return !was
}

// face records that a host answers and should not have the address.
func (t *attempt) face(now time.Time) {
	if t.conflict.IsZero() {
		t.conflict = now
	}
}

// turn begins the turn of a backup: wait until due. elected is the owner by election, from the last owner.
func (t *attempt) turn(now, due time.Time, elected, from string) {
	if t.elected != elected || t.from != from {
		t.elected, t.from, t.answered, t.confirmed = elected, from, false, false
	}
	t.since, t.due = now, due
}

// newTurn makes the next review begin a new turn, because this node does not know how long the address has been silent.
func (t *attempt) newTurn() { t.elected = "" }

// heard records that a host answered during the turn.
func (t *attempt) heard() { t.answered, t.confirmed = true, false }

// doubt requires a second silence after the next one.
func (t *attempt) doubt() { t.confirmed = false }

func (t *attempt) giveWay() { t.gaveWay = true }
func (t *attempt) certain() { t.confirmed = true }
