package ownership

import (
	"net/netip"
	"time"
)

// Kind says how the ownership of an address changed on this node.
type Kind uint8

const (
	// Gained: this node answers for the address now.
	Gained Kind = iota
	// Released: another node should answer now.
	Released
	// Withdrawn: no node should answer, or the address is gone.
	Withdrawn

	// KindCount is the number of kinds.
	KindCount = int(Withdrawn) + 1
)

// String returns the kind as the metrics and the log show it.
func (k Kind) String() string { return [...]string{"gained", "yielded", "withdrawn"}[k] }

// Cause says why an address changed hands.
type Cause uint8

const (
	// CauseNew: no node had the address before.
	CauseNew Cause = iota
	// CauseCrash: the owner is gone without a word, or unreachable.
	CauseCrash
	// CauseSilent: the owner lives and does not answer for the address.
	CauseSilent
	// CauseLeft: the owner was told to stop.
	CauseLeft
	// CauseIneligible: the owner may not have the address any longer.
	CauseIneligible
	// CauseBackup: neither the elected node nor any other answered for the address.
	CauseBackup
	// CauseFailback: the election names another node, and the failback delay has passed.
	CauseFailback
	// CauseSpread: the nodes started together, and the addresses that the first of them took are spread over them.
	CauseSpread
	// CausePreferred: a Service prefers another node.
	CausePreferred
	// CauseOutranked: a peer with more right to the address has announced it.
	CauseOutranked
	// CauseStall: this process was stalled; it has asked the wire since.
	CauseStall
	// CauseGone: no Service has the address any longer, or no node may answer.
	CauseGone

	// CauseCount is the number of causes.
	CauseCount = int(CauseGone) + 1
)

// String returns the cause as the metrics and the log show it.
func (c Cause) String() string {
	return [...]string{"new", "crash", "silent", "left", "ineligible", "stand-in", "failback", "spread", "wish", "outranked",
		"standstill", "gone"}[c]
}

// Change is one change of ownership on this node.
type Change struct {
	At    time.Time
	Addr  netip.Addr
	Kind  Kind
	Cause Cause
	// Peer is the node that had the address before, or that should have it next; empty when it is not known.
	Peer string
	// After is how long the previous owner had been silent; only after a crash.
	After time.Duration
}
