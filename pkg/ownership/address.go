package ownership

import (
	"net/netip"
	"time"
)

// Address is the ownership of one address on this node.
type Address struct {
	Addr       netip.Addr
	state      State
	probing    probing
	attempt    attempt
	tenure     tenure
	foreign    Foreign
	concession concession
}

// New returns an address in Standby.
func New(addr netip.Addr) *Address { return &Address{Addr: addr} }

// Inherit returns an address that the process before this one announced until now, in state Owner.
func Inherit(addr netip.Addr) *Address {
	return &Address{Addr: addr, state: Owner, tenure: tenure{inherited: true}}
}

// State returns the state.
func (a *Address) State() State { return a.state }

// Idle reports whether nothing would be lost if the Address were forgotten and made anew.
func (a *Address) Idle() bool { return a.state == Standby && !a.foreign.Known() }

// Foreign returns the host that answers for the address and should not; Foreign.Known tells whether there is one.
func (a *Address) Foreign() Foreign { return a.foreign }

// Next returns when to call Step with a Review although nothing has happened, zero for never.
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

// Facts is what people may want to know about an address.
type Facts struct {
	State State
	// Since is when this node took the address, Cause why, and From from which node. Inherited is true when a process before this one
	// took it.
	Since     time.Time
	Cause     Cause
	From      string
	Inherited bool
	// Holder is the node that answered last while this node tried to take the address. Due is when this node takes it, or asks as backup;
	// Never when it waits without end.
	Holder string
	Due    time.Time
	// Unprobed is true when the address cannot be probed.
	Unprobed bool
	// Foreign is the host that answers and should not, ConflictSince since when.
	Foreign       Foreign
	ConflictSince time.Time
}

// Facts returns a copy of what is known.
func (a *Address) Facts() Facts {
	t, p := &a.tenure, &a.attempt
	return Facts{
		State: a.state, Since: t.took, Cause: t.cause, From: t.from, Inherited: t.inherited, Holder: p.holder, Due: p.due,
		Unprobed: a.probing.warned, Foreign: a.foreign, ConflictSince: p.conflict,
	}
}

// Inherited reports whether the process before this one announced the address, so that no announcement is due.
func (a *Address) Inherited() bool { return a.tenure.inherited }

// TookSince reports whether this node took the address after t and keeps it.
func (a *Address) TookSince(t time.Time) bool { return a.state == Owner && a.tenure.took.After(t) }
