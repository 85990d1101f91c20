package ownership

import (
	"net/netip"
	"time"
)

// Address tracks the ownership of one address on this node.
type Address struct {
	Addr       netip.Addr
	state      State
	probing    probing
	attempt    attempt
	tenure     tenure
	foreign    Foreign
	concession concession
	move       move
}

// New returns an address in Standby.
func New(addr netip.Addr) *Address { return &Address{Addr: addr} }

// Inherit returns an address in state Owner that the previous process announced until now.
func Inherit(addr netip.Addr) *Address {
	return &Address{Addr: addr, state: Owner, tenure: tenure{inherited: true}}
}

// State returns the state.
func (a *Address) State() State { return a.state }

// Idle reports whether the caller can forget the Address and make a new one later without a loss.
func (a *Address) Idle() bool { return a.state == Standby && !a.foreign.Known() }

// AtRest reports whether a Review does nothing while the inputs stay the same, however much time passes: this node owns
// the address or leaves the address to another node, and no wait, probe or foreign host is pending.
func (a *Address) AtRest() bool {
	return (a.state == Standby || a.state == Owner) && !a.foreign.Known() && a.Next().IsZero()
}

// Foreign returns the host that answers without a right to the address. Foreign.Known reports whether such a host
// exists.
func (a *Address) Foreign() Foreign { return a.foreign }

// Next returns the time of the next Review, zero for none. The caller steps then even if nothing has happened.
func (a *Address) Next() time.Time {
	next := a.foreign.expiry()
	switch a.state {
	case Standby:
		if !a.probing.asking {
			next = earliest(next, a.foreign.recheck())
		}
	case Backup, Probing, Deferred, Conflict, Suspended:
		next = earliest(next, a.probing.at())
	case Owner:
		next = earliest(next, a.tenure.defendAt)
	case Draining:
		next = earliest(next, a.tenure.until)
	}
	return next
}

// AwaitsRules returns the time from which this node wants to know whether the rules of its service proxy are there for a
// new address; zero when the first probe does not wait for the rules. A backup wants to know shortly before its turn.
func (a *Address) AwaitsRules() (from time.Time) {
	switch p := &a.probing; {
	case !p.rules || p.asking:
	case a.state == Probing:
		return a.attempt.since
	case a.state == Backup:
		return a.attempt.due.Add(-pathAhead)
	}
	return time.Time{}
}

// AwaitsPath returns the time since which a planned move of the address to this node waits for a proof of the path;
// zero when no move waits.
func (a *Address) AwaitsPath() (since time.Time) {
	if a.state == Deferred {
		return a.move.since
	}
	return time.Time{}
}

// Holder returns the node that answered last for an address that this node is to have, empty for none.
func (a *Address) Holder() string { return a.attempt.holder }

// Facts describes an address for logs and the status.
type Facts struct {
	State State
	// Since, Cause and From give the time at which this node took the address, the cause, and the previous owner.
	// Inherited is true when an earlier process took the address.
	Since     time.Time
	Cause     Cause
	From      string
	Inherited bool
	// Holder is the last node that answered this node's probes. Due is the time for taking the address, or for asking
	// as backup; Never for a wait without end.
	Holder string
	Due    time.Time
	// PathMissing is true while this node does not take the address, because another member gets no answer from the
	// Service through this node: the first announcement of a new address waits until Due, a planned move waits without
	// a bound.
	PathMissing bool
	// Unprobed is true when the address cannot be probed.
	Unprobed bool
	// Foreign is the host that answers and should not. ConflictSince is the start of the conflict.
	Foreign       Foreign
	ConflictSince time.Time
}

// Facts returns a copy of the facts about the address.
func (a *Address) Facts() Facts {
	t, p := &a.tenure, &a.attempt
	return Facts{
		State: a.state, Since: t.took, Cause: t.cause, From: t.from, Inherited: t.inherited, Holder: p.holder,
		Due: p.due, PathMissing: a.pathMissing(),
		Unprobed: a.probing.warned, Foreign: a.foreign, ConflictSince: p.conflict,
	}
}

// pathMissing reports whether this node leaves the address alone because the path through this node is missing.
func (a *Address) pathMissing() bool {
	switch a.state {
	case Probing:
		return a.probing.rules && a.probing.longer
	case Deferred:
		return a.move.missing
	}
	return false
}

// Inherited reports whether the previous process announced the address, so that no announcement is due.
func (a *Address) Inherited() bool { return a.tenure.inherited }

// TookSince reports whether this node took the address after t and still has the address.
func (a *Address) TookSince(t time.Time) bool { return a.state == Owner && a.tenure.took.After(t) }
