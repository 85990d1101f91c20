package ownership

import (
	"net/netip"
	"time"
)

// Kind classifies a change of ownership on this node.
type Kind uint8

const (
	// Gained means that this node answers for the address now.
	Gained Kind = iota
	// Released means that another node should answer now.
	Released
	// Withdrawn means that no node should answer, or the address is gone.
	Withdrawn

	// KindCount is the number of kinds.
	KindCount = int(Withdrawn) + 1
)

// String returns the kind for the metrics and the log.
func (k Kind) String() string { return [...]string{"gained", "yielded", "withdrawn"}[k] }

// Cause gives the reason for a change of ownership.
type Cause uint8

const (
	// CauseNew means that no node had the address before.
	CauseNew Cause = iota
	// CauseCrash means that the owner went away without leaving, or is unreachable.
	CauseCrash
	// CauseSilent means that the owner is alive and does not answer for the address.
	CauseSilent
	// CauseLeft means that the owner was told to stop.
	CauseLeft
	// CauseIneligible means that the owner may not have the address any longer.
	CauseIneligible
	// CauseBackup means that no node answered for the address, the elected node included.
	CauseBackup
	// CauseFailback means that the election names another node, and the failback delay has passed.
	CauseFailback
	// CauseSpread means that the nodes started together: the first node took all addresses, and the nodes now spread
	// them.
	CauseSpread
	// CausePreferred means that a Service prefers another node.
	CausePreferred
	// CauseOutranked means that a peer with more right to the address has announced the address.
	CauseOutranked
	// CauseStall means that this process was stalled, and has probed the address since.
	CauseStall
	// CauseGone means that no Service has the address any longer, or no node may answer.
	CauseGone

	// CauseCount is the number of causes.
	CauseCount = int(CauseGone) + 1
)

// String returns the cause for the metrics and the log.
func (c Cause) String() string {
	return [...]string{"new", "crash", "silent", "left", "ineligible", "stand-in", "failback", "spread", "wish",
		"outranked", "standstill", "gone"}[c]
}

// Change describes a change of ownership on this node.
type Change struct {
	At    time.Time
	Addr  netip.Addr
	Kind  Kind
	Cause Cause
	// Peer is the previous owner of a gained address and the next owner of a released address; empty when unknown.
	Peer string
	// After is the time since the previous owner's last sign of life, only for a crash.
	After time.Duration
}
