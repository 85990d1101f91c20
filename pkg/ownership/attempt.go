package ownership

import "time"

const (
	// confirmDelay is how long after a peer answered for the first time it is asked again: it may be releasing the address.
	confirmDelay = 200 * time.Millisecond
	// yieldMemory is how long after a dispute the node that gave in keeps asking.
	yieldMemory = 2 * lastRetry
)

// attempt is what this node knows while it tries to take an address, or waits for its turn as backup.
type attempt struct {
	// since is when the attempt began.
	since time.Time
	// from is the node that had the address before, empty for none.
	from string
	// elected is the owner by election while this node is a backup; answered is true once somebody answered in this turn.
	elected  string
	answered bool
	// holder is the node that answered last. rightful is true when it could keep the address then.
	holder   string
	rightful bool
	// due is when this node may take the address from holder, or ask as backup. losses is the count of losses of members at that time.
	due    time.Time
	losses int
	// confirmed is true once a result was asked for a second time.
	confirmed bool
	// disallowed is since when holder may not have the address.
	disallowed time.Time
	// conflict is since when a host that should not have the address answers.
	conflict time.Time
	// yielded is when this node last gave the address to a peer that claimed it, or heard such a claim again.
	yielded time.Time
	// gaveWay is true once another node that probed too went first.
	gaveWay bool
}

// start begins an attempt. yielded carries over while it matters.
func (t *attempt) start(now time.Time, from string) {
	yielded := t.yielded
	if now.Sub(yielded) >= yieldMemory {
		yielded = time.Time{}
	}
	*t = attempt{since: now, from: from, yielded: yielded}
}

func (t *attempt) forget() { *t = attempt{} }

// giveUp notes that this node gave the address to a peer that claimed it.
func (t *attempt) giveUp(now time.Time) { *t = attempt{yielded: now} }

// hear notes a claim of another host. One that is no answer to this node's probe extends the time after a dispute.
func (t *attempt) hear(now, asked time.Time) {
	if !t.yielded.IsZero() && now.Sub(asked) > confirmDelay {
		t.yielded = now
	}
}

// heldBy notes which node answered. wrongly tells that the node may not have the address, as far as this node can judge.
func (t *attempt) heldBy(now time.Time, node string, wrongly bool) {
	if !wrongly || t.holder != node {
		t.disallowed = time.Time{}
	}
	if wrongly && t.disallowed.IsZero() {
		t.disallowed = now
	}
	t.holder = node
}

// leaveTo leaves the address to holder until due.
func (t *attempt) leaveTo(due time.Time, rightful bool, losses int) {
	t.due, t.rightful, t.losses = due, rightful, losses
}

// confirm reports whether to ask once more before waiting: the peer that answered may be giving the address up.
func (t *attempt) confirm() bool {
	was := t.confirmed
	t.confirmed = true
	return !was
}

// face notes that a host answers that should not have the address.
func (t *attempt) face(now time.Time) {
	if t.conflict.IsZero() {
		t.conflict = now
	}
}

// turn begins a backup's turn: wait for due, for the address that elected should have and from had.
func (t *attempt) turn(now, due time.Time, elected, from string) {
	if t.elected != elected || t.from != from {
		t.elected, t.from, t.answered, t.confirmed = elected, from, false, false
	}
	t.since, t.due = now, due
}

// newTurn makes the next review begin the turn anew: how long nobody was heard is not known.
func (t *attempt) newTurn() { t.elected = "" }

// heard notes that somebody answered during the turn.
func (t *attempt) heard() { t.answered, t.confirmed = true, false }

// doubt makes the next silence count only if it is found twice.
func (t *attempt) doubt() { t.confirmed = false }

func (t *attempt) giveWay() { t.gaveWay = true }
func (t *attempt) certain() { t.confirmed = true }
