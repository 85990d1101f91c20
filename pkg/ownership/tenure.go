package ownership

import (
	"maps"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	// drainBound is how long this node answers for an address that it may not have any longer, without hearing its successor; leaveBound
	// is the same for a speaker that was told to stop.
	drainBound = time.Second
	leaveBound = 2 * time.Second
	// defendDelay is how long after a foreign host's claim the address is announced again: the host may be a peer that gossip has yet to
	// name.
	defendDelay = time.Second
	// defendInterval is DEFEND_INTERVAL of RFC 5227, section 1.1.
	defendInterval = 10 * time.Second
	// defendPause separates two rounds of such announcements, of any addresses.
	defendPause = 250 * time.Millisecond
	// In disputeWindow, this node contradicts mostDisputes claims of a peer. After that the names alone decide, because the two nodes see
	// different clusters.
	disputeWindow = 5 * time.Second
	mostDisputes  = 2
)

// tenure is what this node knows about an address that it has.
type tenure struct {
	// took is when this node took the address, cause why, and from which node.
	took  time.Time
	cause Cause
	from  string
	// inherited is true for an address that another process of this node has announced already.
	inherited bool
	// until is when a draining address is released.
	until time.Time
	// rivals are the peers that claimed the address, and when.
	rivals map[string]time.Time
	// disputed counts the claims of peers since disputeBegan.
	disputed     int
	disputeBegan time.Time
	// unanswered is when the first unanswered claim of a foreign host came, claimed when the last one did, and claimant its MAC address;
	// zero when there are none. defended is when such claims were answered last, and defendAt when they are next.
	unanswered, claimed time.Time
	claimant            layer2.MAC
	defended, defendAt  time.Time
}

// begin starts the tenure of an address.
func (t *tenure) begin(now time.Time, cause Cause, from string) {
	*t = tenure{took: now, cause: cause, from: from}
}

// resume continues after a stall: the address is announced as if it were taken now.
func (t *tenure) resume(now time.Time) { t.took, t.cause, t.inherited = now, CauseStall, false }

func (t *tenure) end() { *t = tenure{} }

// drain keeps the address until its successor is heard, at most for bound.
func (t *tenure) drain(now time.Time, bound time.Duration) { t.until = now.Add(bound) }

func (t *tenure) draining() bool { return !t.until.IsZero() }

func (t *tenure) keep() { t.until = time.Time{} }

// contend notes that a peer has claimed the address.
func (t *tenure) contend(peer string, at time.Time) {
	if t.rivals == nil {
		t.rivals = map[string]time.Time{}
	}
	t.rivals[peer] = at
}

// dropRivals forgets the peers that have announced that they leave: they have released all that they claimed.
func (t *tenure) dropRivals(left func(peer string) bool) {
	maps.DeleteFunc(t.rivals, func(peer string, _ time.Time) bool { return left(peer) })
}

// recentRival returns a rival that claimed the address within drainBound and satisfies the condition, empty if there is none.
func (t *tenure) recentRival(now time.Time, is func(peer string) bool) string {
	found := ""
	for rival, at := range t.rivals {
		if now.Sub(at) < drainBound && (found == "" || rival < found) && is(rival) {
			found = rival
		}
	}
	return found
}

// dispute counts a claim of a peer.
func (t *tenure) dispute(now time.Time) {
	if now.Sub(t.disputeBegan) > disputeWindow {
		t.disputed, t.disputeBegan = 0, now
	}
	t.disputed++
}

func (t *tenure) settleDispute() { t.disputed = 0 }

// hearForeign notes the claim of a foreign host.
func (t *tenure) hearForeign(now time.Time, mac layer2.MAC) {
	if t.claimed.IsZero() {
		t.unanswered = now
	}
	t.claimed, t.claimant = now, mac
}

// recognize makes the foreign claimant the peer that gossip has named since.
func (t *tenure) recognize(peer string) {
	t.contend(peer, t.claimed)
	t.claimed, t.defendAt = time.Time{}, time.Time{}
}

// planDefense sets when to answer the claims of foreign hosts: counted from the first of them, so that a host that claims without end is
// answered too. last is when this node last defended any address.
func (t *tenure) planDefense(last time.Time) {
	if t.claimed.IsZero() || t.draining() {
		t.defendAt = time.Time{}
		return
	}
	t.defendAt = latest(t.unanswered.Add(defendDelay), t.defended.Add(defendInterval), last.Add(defendPause))
}

// defend notes that the claims were answered.
func (t *tenure) defend(now time.Time) {
	t.claimed, t.defended, t.defendAt = time.Time{}, now, time.Time{}
}

func latest(first time.Time, more ...time.Time) time.Time {
	for _, t := range more {
		if t.After(first) {
			first = t
		}
	}
	return first
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
