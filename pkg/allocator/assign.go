package allocator

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// slot is one family of the Service that is being served.
type slot struct {
	family cluster.Family
	Assignment
	// pool is the index of the Assignment's pool.
	pool int
	// held is true for what the Service had before.
	held bool
}

func (s *slot) empty() bool { return !s.Addr.IsValid() }

// noPool is the pool of a Service that requests none.
const noPool = -1

// Assign gives svc the addresses that it needs beside those that it holds, which Adopt has returned.
//
// What is requested is given as a whole or not at all, and nothing takes its place. A Service gets back what rests for
// it, else both its addresses from one pool if one has both, else each from the first pool that has one; what rests for
// others comes last. Of two families, PreferDualStack takes what there is and RequireDualStack takes nothing new unless
// it gets both. Nothing that is held is lost here.
func (a *Allocator) Assign(svc *cluster.Service, held []Assignment) Result {
	var space [2]slot
	slots := a.slots(space[:0], svc, held)
	only, refusal := a.request(svc, slots)
	if refusal != nil {
		return result(slots, true, refusal, held)
	}
	a.fill(svc, slots, only)
	refusal, remark := a.lacking(svc, slots, only)
	if refusal != nil {
		return result(slots, true, refusal, held)
	}
	for i := range slots {
		if s := &slots[i]; !s.held && !s.empty() {
			a.take(svc.Key, s.pool, s.Addr)
		}
	}
	r := result(slots, false, nil, held)
	r.Remark = remark
	return r
}

// slots returns one slot for each family that svc is to have, with what it holds.
func (a *Allocator) slots(slots []slot, svc *cluster.Service, held []Assignment) []slot {
	for _, f := range Wanted(svc)[:min(2, len(Wanted(svc)))] {
		s := slot{family: f}
		for _, h := range held {
			if cluster.FamilyOf(h.Addr) == f {
				s.Assignment, s.pool, s.held = h, a.byName[h.Pool], true
			}
		}
		slots = append(slots, s)
	}
	return slots
}

// result collects the slots' assignments, only those held before if heldOnly. It returns the slice held where that says
// the same: a Service that nothing happens to costs no allocation.
func result(slots []slot, heldOnly bool, refusal *Refusal, held []Assignment) Result {
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
	assignments := make([]Assignment, 0, n)
	for _, s := range slots {
		if !s.empty() && (s.held || !heldOnly) {
			assignments = append(assignments, s.Assignment)
		}
	}
	return Result{Assignments: assignments, Refusal: refusal}
}

// request fills the slots with the addresses that svc requests, and returns the pool that it requests, or noPool.
func (a *Allocator) request(svc *cluster.Service, slots []slot) (only int, refusal *Refusal) {
	switch {
	case svc.RequestProblem != "":
		return noPool, refuse(InvalidRequest, "%s", svc.RequestProblem)
	case len(slots) == 0 || len(slots) < 2 && svc.FamilyPolicy == cluster.RequireDualStack:
		return noPool, missingFamily(svc)
	}
	only = noPool
	if svc.RequestedPool != "" {
		var ok bool
		if only, ok = a.byName[svc.RequestedPool]; !ok {
			return noPool, a.unknownPool(svc.RequestedPool)
		}
		if !a.pools[only].admits(svc.Key.Namespace) {
			return noPool, a.notAllowed(svc, only)
		}
	}
	for _, addr := range svc.Requested {
		if refusal := a.requestAddr(svc, slots, only, addr); refusal != nil {
			return noPool, refusal
		}
	}
	return only, nil
}

// requestAddr fills the slot of addr's family with addr, which svc requests.
func (a *Allocator) requestAddr(svc *cluster.Service, slots []slot, only int, addr netip.Addr) *Refusal {
	for i := range slots {
		s := &slots[i]
		switch {
		case s.family != cluster.FamilyOf(addr):
			continue
		case s.Addr == addr:
			return nil
		case !s.empty():
			return refuse(InvalidRequest, "the Service requests two %s addresses, %s and %s", s.family, s.Addr, addr)
		}
		in, refusal := a.admit(svc, addr)
		if refusal != nil {
			return refusal
		}
		if only != noPool && in != only {
			return refuse(NotRequested, "the Service requests pool %s, and %s is of pool %s",
				quote(svc.RequestedPool), addr, quote(a.pools[in].Name))
		}
		if r, ok := a.resting[addr]; ok && r.Firm && r.Holder != svc.Key {
			return inUse(addr, r.Holder)
		}
		s.Assignment, s.pool = Assignment{addr, a.pools[in].Name}, in
		return nil
	}
	return familyMismatch(svc, addr)
}

// fill gives each empty slot an address if there is one.
func (a *Allocator) fill(svc *cluster.Service, slots []slot, only int) {
	a.fillOwn(svc, slots, only)
	if len(slots) == 2 && slots[0].empty() && slots[1].empty() {
		a.fillBoth(svc, slots, only)
	}
	for i := range slots {
		if slots[i].empty() {
			a.fillOne(svc, slots, i, only)
		}
	}
}

// fillOwn fills the slots with what rests for svc, the last released first.
func (a *Allocator) fillOwn(svc *cluster.Service, slots []slot, only int) {
	if len(a.own) == 0 {
		return
	}
	own := a.own[svc.Key]
	for i := range own {
		addr := own[len(own)-1-i]
		// Of two rests of one address the firm one counts, and that may be another Service's.
		if a.resting[addr].Holder != svc.Key || !a.isUnused(addr) {
			continue
		}
		in := a.poolOf(addr)
		if in < 0 || a.leavesOut(in, addr) || !a.isFor(in, svc, only) {
			continue
		}
		for j := range slots {
			if s := &slots[j]; s.empty() && s.family == cluster.FamilyOf(addr) {
				s.Assignment, s.pool = Assignment{addr, a.pools[in].Name}, in
			}
		}
	}
}

// fillBoth fills two slots from the first pool that has both families.
func (a *Allocator) fillBoth(svc *cluster.Service, slots []slot, only int) {
	if a.isExhausted(svc, slots[0].family, only) || a.isExhausted(svc, slots[1].family, only) {
		return
	}
	for i := range a.pools {
		p := &a.pools[i]
		if !a.isFor(i, svc, only) {
			continue
		}
		first, second := a.fresh(p.of(slots[0].family)), a.fresh(p.of(slots[1].family))
		if first.IsValid() && second.IsValid() {
			slots[0].Assignment, slots[0].pool = Assignment{first, p.Name}, i
			slots[1].Assignment, slots[1].pool = Assignment{second, p.Name}, i
			return
		}
	}
}

// fillOne fills slot i from the pool that the other family came from, else from the first that has an address. An
// address that rests for another Service is taken when no pool has a fresh one.
func (a *Allocator) fillOne(svc *cluster.Service, slots []slot, i, only int) {
	s := &slots[i]
	if a.isExhausted(svc, s.family, only) {
		return
	}
	beside := noPool
	if len(slots) == 2 && !slots[1-i].empty() {
		beside = slots[1-i].pool
	}
	for _, from := range [...]func(*stock) netip.Addr{a.fresh, a.rested} {
		if beside != noPool && a.isFor(beside, svc, only) && a.fillFrom(s, beside, from) {
			return
		}
		for in := range a.pools {
			if a.isFor(in, svc, only) && a.fillFrom(s, in, from) {
				return
			}
		}
	}
}

func (a *Allocator) fillFrom(s *slot, in int, from func(*stock) netip.Addr) bool {
	addr := from(a.pools[in].of(s.family))
	if !addr.IsValid() {
		return false
	}
	s.Assignment, s.pool = Assignment{addr, a.pools[in].Name}, in
	return true
}

// isFor is true when svc may be given addresses of pool i without asking for one by name.
func (a *Allocator) isFor(i int, svc *cluster.Service, only int) bool {
	if only != noPool {
		return i == only
	}
	return a.pools[i].AutoAssign && a.pools[i].admits(svc.Key.Namespace)
}

func (a *Allocator) isUnused(addr netip.Addr) bool {
	_, used := a.used[addr]
	return !used
}

// fresh returns the first address that is neither held nor resting, the zero Addr if there is none.
func (a *Allocator) fresh(s *stock) netip.Addr {
	for ; s.next.IsValid(); s.advance() {
		if _, resting := a.resting[s.next]; !resting && a.isUnused(s.next) {
			return s.next
		}
	}
	return netip.Addr{}
}

// rested returns the address that has rested longest and that another Service may have, the zero Addr if there is none.
func (a *Allocator) rested(s *stock) netip.Addr {
	for ; len(s.rests) > 0; s.rests = s.rests[1:] {
		if addr := s.rests[0]; !a.resting[addr].Firm && a.isUnused(addr) {
			return addr
		}
	}
	return netip.Addr{}
}
