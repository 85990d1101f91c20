package ownership

import (
	"maps"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	// drainBound limits the time for which this node answers without a right to the address, while no successor is
	// heard. leaveBound is the same limit for a speaker that was told to stop.
	drainBound = time.Second
	leaveBound = 2 * time.Second
	// defendDelay delays the announcement after a claim of a foreign host: the host may be a peer that gossip has yet
	// to name.
	defendDelay = time.Second
	// defendInterval is DEFEND_INTERVAL of RFC 5227, section 1.1.
	defendInterval = 10 * time.Second
	// defendPause separates two rounds of such announcements, for all addresses together.
	defendPause = 250 * time.Millisecond
	// Within disputeWindow, this node contradicts mostDisputes claims of a peer. After that the names alone decide,
	// because the two nodes see different clusters.
	disputeWindow = 5 * time.Second
	mostDisputes  = 2
)

// tenure tracks an owned address.
type tenure struct {
	// took is the time at which this node took the address; cause and from are the cause and the previous owner.
	took  time.Time
	cause Cause
	from  string
	// inherited is true for an address already announced by an earlier process of this node.
	inherited bool
	// until is the time at which this node releases a draining address.
	until time.Time
	// rivals maps each peer that claimed the address to the time of the claim.
	rivals map[string]time.Time
	// disputed counts the claims of peers since disputeBegan.
	disputed     int
	disputeBegan time.Time
	// unanswered and claimed are the times of the first and the last unanswered claim of a foreign host, and claimant
	// is its MAC address; all are zero without such a claim. defended is the time of the last answer to such claims,
	// and defendAt the time of the next answer.
	unanswered, claimed time.Time
	claimant            layer2.MAC
	defended, defendAt  time.Time
}

// begin starts the tenure of an address.
func (t *tenure) begin(now time.Time, cause Cause, from string) {
	*t = tenure{took: now, cause: cause, from: from}
}

// resume continues after a stall, as if this node took the address now.
func (t *tenure) resume(now time.Time) { t.took, t.cause, t.inherited = now, CauseStall, false }

func (t *tenure) end() { *t = tenure{} }

// drain keeps the address until this node hears the successor, at most for bound.
func (t *tenure) drain(now time.Time, bound time.Duration) { t.until = now.Add(bound) }

func (t *tenure) draining() bool { return !t.until.IsZero() }

func (t *tenure) keep() { t.until = time.Time{} }

// contend records that a peer has claimed the address.
func (t *tenure) contend(peer string, at time.Time) {
	if t.rivals == nil {
		t.rivals = map[string]time.Time{}
	}
	t.rivals[peer] = at
}

// dropRivals forgets peers after they announce their leaving: such peers have released all claimed addresses.
func (t *tenure) dropRivals(left func(peer string) bool) {
	maps.DeleteFunc(t.rivals, func(peer string, _ time.Time) bool { return left(peer) })
}

// recentRival returns a rival that claimed the address within drainBound and satisfies the condition, empty for none.
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

// hearForeign records the claim of a foreign host.
func (t *tenure) hearForeign(now time.Time, mac layer2.MAC) {
	if t.claimed.IsZero() {
		t.unanswered = now
	}
	t.claimed, t.claimant = now, mac
}

// recognize turns the foreign claimant into a peer, because gossip has named the peer since.
func (t *tenure) recognize(peer string) {
	t.contend(peer, t.claimed)
	t.claimed, t.defendAt = time.Time{}, time.Time{}
}

// planDefense sets the time of the answer to the claims of foreign hosts. The delay counts from the first unanswered
// claim, so even a host with endless claims gets an answer. last is the time of the last defense of any address.
func (t *tenure) planDefense(last time.Time) {
	if t.claimed.IsZero() || t.draining() {
		t.defendAt = time.Time{}
		return
	}
	t.defendAt = latest(t.unanswered.Add(defendDelay), t.defended.Add(defendInterval), last.Add(defendPause))
}

// defend records an answer to the claims.
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
