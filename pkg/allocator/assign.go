package allocator

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// slot holds the assignment in one family of the Service in Assign.
type slot struct {
	family cluster.Family
	Assignment
	// pool is the index of the Assignment's pool.
	pool int
	// held is true for an address that the Service had before Assign.
	held bool
}

func (s *slot) empty() bool { return !s.Addr.IsValid() }

// noPool stands for the pool of a Service that requests no pool.
const noPool = -1

// seeker holds the state of Assign for one Service.
type seeker struct {
	*cluster.Service
	// space has one slot for each family that the Service should have; n is the number of slots in use. The slots are
	// part of the seeker, so that Assign allocates no memory for a Service without a change.
	space [2]slot
	n     int
	// only is the index of the requested pool, or noPool. fenced is true when the requested pool does not admit the
	// Service, and only reserves an address for the Service.
	only   int
	fenced bool
	view   *view
}

// Assign gives svc the addresses that svc lacks. held lists the addresses that Adopt has returned for svc.
//
// Assign grants a request as a whole or not at all, and never substitutes another address. When svc lacks an address,
// the addresses that the configuration reserves for svc count as requested. Otherwise Assign tries in this order: an
// address in cool-down that svc held last, a former address of svc, an address that svc may share, both addresses from
// one pool with both families, each address from the first pool that has one, and last an address in cool-down that
// another Service held. PreferDualStack takes the free addresses of either family, and RequireDualStack takes a new
// address only if afterwards both families are complete. Assign never takes a held address away.
func (a *Allocator) Assign(svc *cluster.Service, held []Assignment) Result {
	s := seeker{Service: svc}
	a.open(&s, held)
	a.assigning = true
	if refusal := a.request(&s); refusal != nil {
		return a.result(s.slots(), true, refusal, held)
	}
	if !s.isFull() {
		s.view = a.viewOf(svc)
		if refusal := a.fill(&s); refusal != nil {
			return a.result(s.slots(), true, refusal, held)
		}
	}
	refusal, remark := a.lacking(&s)
	if refusal != nil {
		return a.result(s.slots(), true, refusal, held)
	}
	for i := range s.slots() {
		if slot := &s.slots()[i]; !slot.held && !slot.empty() {
			a.take(svc, slot.pool, slot.Addr)
		}
	}
	r := a.result(s.slots(), false, nil, held)
	r.Remark = joined(remark, a.unmet(&s))
	return r
}

func (s *seeker) slots() []slot { return s.space[:s.n] }

// needsBoth reports whether the Service needs two addresses and holds neither.
func (s *seeker) needsBoth() bool {
	return s.FamilyPolicy == cluster.RequireDualStack && s.n == 2 && !s.space[0].held && !s.space[1].held
}

func (s *seeker) isFull() bool {
	for i := range s.slots() {
		if s.slots()[i].empty() {
			return false
		}
	}
	return true
}

// slotFor returns the empty slot of addr's family, nil if no such slot exists.
func (s *seeker) slotFor(addr netip.Addr) *slot {
	for i := range s.slots() {
		if slot := &s.slots()[i]; slot.empty() && slot.family == cluster.FamilyOf(addr) {
			return slot
		}
	}
	return nil
}

// open makes a slot for each family that the Service should have, and fills the slots with the held addresses.
func (a *Allocator) open(s *seeker, held []Assignment) {
	wanted := Wanted(s.Service)
	s.n = min(len(wanted), len(s.space))
	slots := s.slots()
	for i := range slots {
		slots[i].family = wanted[i]
		for _, h := range held {
			if cluster.FamilyOf(h.Addr) == wanted[i] {
				slots[i].Assignment, slots[i].held = h, true
			}
		}
	}
	// The pool of one slot matters only while the other slot is empty.
	if len(slots) == 2 && slots[0].empty() != slots[1].empty() {
		for i := range slots {
			if !slots[i].empty() {
				pool, ok := a.byName[slots[i].Pool]
				if !ok {
					pool = noPool // the address stays for a withdraw-delay, and its pool no longer exists
				}
				slots[i].pool = pool
			}
		}
	}
}

// result collects the assignments of the slots; with heldOnly, only the held assignments. If the result equals held,
// result returns held itself, so that Assign allocates no memory for a Service without a change.
func (a *Allocator) result(slots []slot, heldOnly bool, refusal *Refusal, held []Assignment) Result {
	n, same := 0, true
	for _, s := range slots {
		if s.empty() || heldOnly && !s.held {
			continue
		}
		same = same && n < len(held) && held[n] == s.Assignment
		n++
	}
	if same && n == len(held) {
		return Result{Assignments: held, Refusal: refusal}
	}
	if cap(a.space)-len(a.space) < n {
		a.space = make([]Assignment, 0, 256)
	}
	first := len(a.space)
	for _, s := range slots {
		if !s.empty() && (s.held || !heldOnly) {
			a.space = append(a.space, s.Assignment)
		}
	}
	return Result{Assignments: a.space[first:len(a.space):len(a.space)], Refusal: refusal}
}

// request fills the slots with the requested addresses, and sets the requested pool.
func (a *Allocator) request(s *seeker) *Refusal {
	s.only = noPool
	switch {
	case s.RequestProblem != "":
		return refuse(cluster.Problem{Reason: reason.InvalidRequest, By: s.RequestValue}, "%s", s.RequestProblem)
	case len(s.slots()) == 0 || len(s.slots()) < 2 && s.FamilyPolicy == cluster.RequireDualStack:
		return missingFamily(s.Service)
	}
	if s.RequestedPool != "" {
		var ok bool
		if s.only, ok = a.byName[s.RequestedPool]; !ok {
			return a.unknownPool(s.RequestedPool)
		}
		if s.fenced = !a.admits(s.only, s.Service); s.fenced && !a.hasReserved(s) {
			return a.notAllowed(s.Service, s.only)
		}
	}
	for _, addr := range s.Requested {
		if refusal := a.requestAddr(s, addr); refusal != nil {
			return refusal
		}
	}
	return a.requestWishes(s)
}

// hasReserved reports whether the requested pool reserves an address for the Service.
func (a *Allocator) hasReserved(s *seeker) bool {
	for _, addr := range a.ownReserved[s.Key] {
		if a.reserved[addr].pool == s.only {
			return true
		}
	}
	return false
}

// requestAddr fills the slot of addr's family with the requested address addr.
func (a *Allocator) requestAddr(s *seeker, addr netip.Addr) *Refusal {
	for i := range s.slots() {
		slot := &s.slots()[i]
		switch {
		case slot.family != cluster.FamilyOf(addr):
			continue
		case slot.Addr == addr:
			return nil
		case !slot.empty():
			return refuse(cluster.Problem{Reason: reason.InvalidRequest, Family: slot.family, Addr: addr},
				"the Service requests two %s addresses, %s and %s", slot.family, slot.Addr, addr)
		}
		in, refusal := a.admit(s.Service, addr)
		if refusal == nil && a.isLeaving(in) {
			return a.outside(addr)
		}
		if refusal == nil {
			refusal = a.closed(s, in, addr)
		}
		if refusal != nil {
			return refusal
		}
		slot.Assignment, slot.pool = Assignment{Addr: addr, Pool: a.pools[in].Name}, in
		return nil
	}
	return familyMismatch(s.Service, addr)
}

// closed returns the reason why the Service cannot get addr, an address of pool i, although admit lets the Service keep
// addr.
func (a *Allocator) closed(s *seeker, i int, addr netip.Addr) *Refusal {
	if s.only != noPool && i != s.only {
		return refuse(cluster.Problem{Reason: reason.NotRequested, Addr: addr, Pool: s.RequestedPool}, "the Service requests pool %s, and %s is of pool %s",
			quote(s.RequestedPool), addr, quote(a.pools[i].Name))
	}
	if b, ok := a.barred[addr]; ok {
		return b.refuse(addr)
	}
	if c, ok := a.claimOn(s.Service, addr); ok {
		return refuseClaim(c)
	}
	if a.pools[i].Disabled {
		return a.disabled(i)
	}
	if _, reserved := a.reserved[addr]; !reserved && !a.mayCount(s, i, addr) {
		return refuse(cluster.Problem{Reason: reason.QuotaReached, Addr: addr, Pool: a.pools[i].Name},
			"the quota is reached: %s", a.quotaText(s, i))
	}
	if holder := a.doubt(s.Service, addr); holder != nil {
		return a.inUse(s.Service, addr, holder)
	}
	return nil
}
