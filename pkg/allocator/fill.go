package allocator

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// fill assigns an address to each empty slot if one is available. fill returns a refusal if an address is reserved for
// the Service and not free.
func (a *Allocator) fill(s *seeker) *Refusal {
	if refusal := a.fillReserved(s, a.ownReserved[s.Key]); refusal != nil {
		return refusal
	}
	a.fillOwn(s, a.ownResting[s.Key])
	a.fillFormer(s)
	if s.SharingKey != "" {
		a.fillShared(s)
	}
	if len(s.slots()) == 2 && s.slots()[0].empty() && s.slots()[1].empty() {
		a.fillBoth(s)
	}
	for i := range s.slots() {
		if s.slots()[i].empty() {
			a.fillOne(s, i)
		}
	}
	return nil
}

// fillReserved fills the slots with the addresses reserved for the Service. For each family, fillReserved takes the
// first free reserved address, and otherwise returns the refusal of the first reserved address.
func (a *Allocator) fillReserved(s *seeker, reserved []netip.Addr) *Refusal {
	var refusals [2]*Refusal
	for _, addr := range reserved {
		slot, in := s.slotFor(addr), a.reserved[addr].pool
		if slot == nil || a.pools[in].Disabled || s.only != noPool && s.only != in {
			continue
		}
		if refusal := a.waitFor(s, addr); refusal == nil {
			slot.Assignment, slot.pool = Assignment{Addr: addr, Pool: a.pools[in].Name}, in
		} else if i := boolInt(addr.Is6()); refusals[i] == nil {
			refusals[i] = refusal
		}
	}
	for i := range s.slots() {
		if refusal := refusals[boolInt(s.slots()[i].family == cluster.IPv6)]; s.slots()[i].empty() && refusal != nil {
			return refusal
		}
	}
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// waitFor returns the reason why the Service cannot have the reserved address addr now.
func (a *Allocator) waitFor(s *seeker, addr netip.Addr) *Refusal {
	if b, ok := a.barred[addr]; ok {
		return reservedBut(b.refuse(addr))
	}
	if c, ok := a.claimOn(s.Service, addr); ok {
		return reservedBut(refuseClaim(c))
	}
	holder := a.obstacle(s.Service, addr)
	if holder == nil {
		holder = a.doubt(s.Service, addr)
	}
	if holder == nil {
		return nil
	}
	return reservedBut(a.inUse(s.Service, addr, holder))
}

func reservedBut(r *Refusal) *Refusal {
	return &Refusal{r.Reason, r.Problems, Shorten("its reserved address "+r.Message, MaxMessage)}
}

// fillOwn fills the slots with addresses in cool-down that the Service held last, the last released first.
func (a *Allocator) fillOwn(s *seeker, resting []netip.Addr) {
	for i := range resting {
		addr := resting[len(resting)-1-i]
		slot, in := s.slotFor(addr), a.poolOf(addr)
		if slot != nil && in >= 0 && a.isOpen(s.Service, addr) && a.mayGive(s, in, addr) {
			slot.Assignment, slot.pool = Assignment{Addr: addr, Pool: a.pools[in].Name}, in
		}
	}
}

// mayGive reports whether addr, of pool i, may be assigned to the Service without a request, leaving the present
// holders of addr out of account.
func (a *Allocator) mayGive(s *seeker, i int, addr netip.Addr) bool {
	_, claimed := a.claimOn(s.Service, addr)
	return !a.leavesOut(i, addr) && !claimed && !a.isBarred(addr) && a.gives(s, i) && a.mayCount(s, i, addr)
}

// fillShared fills the slots with addresses that the Service may share, the addresses of the oldest Services first.
func (a *Allocator) fillShared(s *seeker) {
	for i := range s.slots() {
		slot := &s.slots()[i]
		sharing := sharing{s.SharingKey, slot.family}
		addrs := a.sharedBy(sharing).addrs
		if !slot.empty() || len(addrs) == 0 {
			continue
		}
		var few int
		tried := &few
		if len(addrs) > fewShared {
			tried = a.triedBy(s, sharing)
		}
		for j := *tried; j < len(addrs); j++ {
			addr := addrs[j]
			if !a.isOpen(s.Service, addr) {
				if j == *tried {
					*tried++
				}
				continue
			}
			if in := a.poolOf(addr); a.mayGive(s, in, addr) {
				slot.Assignment, slot.pool = Assignment{Addr: addr, Pool: a.pools[in].Name}, in
				break
			}
		}
	}
}

// fewShared is the number of shared addresses up to which each Service tries all addresses again, without a cache of
// failed tries.
const fewShared = 8

// triedBy returns the counter of addresses already tried for Services of this kind.
func (a *Allocator) triedBy(s *seeker, in sharing) *int {
	ports := a.scratch[:0]
	for _, p := range s.Ports {
		ports = append(ports, byte(p.Protocol), byte(p.Number>>8), byte(p.Number))
	}
	a.scratch = ports
	namespace := ""
	if s.TrafficPolicy == cluster.TrafficLocal || a.apart != nil {
		namespace = s.Key.Namespace
	}
	if tried, ok := a.tried[sharer{in, s.TrafficPolicy, namespace, s.Selector, string(ports)}]; ok {
		return tried
	}
	tried := new(int)
	a.tried[sharer{in, s.TrafficPolicy, namespace, s.Selector, string(ports)}] = tried
	return tried
}

// fillBoth fills both slots from the first pool with a fresh address of each family.
func (a *Allocator) fillBoth(s *seeker) {
	if a.isExhausted(s, s.slots()[0].family) || a.isExhausted(s, s.slots()[1].family) {
		return
	}
	from := func(i int) bool {
		p := &a.pools[i]
		if !a.quotaLeft(s, i, 2) {
			return false
		}
		first, second := a.fresh(p.of(s.slots()[0].family)), a.fresh(p.of(s.slots()[1].family))
		if !first.IsValid() || !second.IsValid() {
			return false
		}
		s.slots()[0].Assignment, s.slots()[0].pool = Assignment{Addr: first, Pool: p.Name}, i
		s.slots()[1].Assignment, s.slots()[1].pool = Assignment{Addr: second, Pool: p.Name}, i
		return true
	}
	if s.only != noPool {
		if a.gives(s, s.only) {
			from(s.only)
		}
		return
	}
	for v := s.view; v.both < len(v.pools) && !from(v.pools[v.both]); {
		v.both++
	}
}

// fillOne fills slot i from the pool of the other family's address, or else from the first pool with a fresh address.
// When no pool has a fresh address, fillOne takes an address in cool-down that another Service held.
func (a *Allocator) fillOne(s *seeker, i int) {
	slot := &s.slots()[i]
	if a.isExhausted(s, slot.family) {
		return
	}
	if s.only != noPool {
		if a.gives(s, s.only) && !a.fillFrom(s, slot, s.only, a.fresh) {
			a.fillFrom(s, slot, s.only, a.rested)
		}
		return
	}
	beside := noPool
	if len(s.slots()) == 2 && !s.slots()[1-i].empty() && a.gives(s, s.slots()[1-i].pool) {
		beside = s.slots()[1-i].pool
	}
	if beside != noPool && a.fillFrom(s, slot, beside, a.fresh) {
		return
	}
	v := s.view
	next := v.next(slot.family)
	for j := *next; j < len(v.pools); j++ {
		in := v.pools[j]
		if a.fillFrom(s, slot, in, a.fresh) {
			return
		}
		// If only this Service's own new address has used up a quota, the next Service may still have room.
		if j == *next && (!a.quotaLeft(s, in, 1) || !a.fresh(a.pools[in].of(slot.family)).IsValid()) {
			*next++
		}
	}
	if beside != noPool && a.fillFrom(s, slot, beside, a.rested) {
		return
	}
	for _, in := range v.pools {
		if a.fillFrom(s, slot, in, a.rested) {
			return
		}
	}
}

func (a *Allocator) fillFrom(s *seeker, slot *slot, in int, from func(*stock) netip.Addr) bool {
	if !a.quotaLeft(s, in, a.pending(s, in)+1) {
		return false
	}
	addr := from(a.pools[in].of(slot.family))
	if !addr.IsValid() {
		return false
	}
	slot.Assignment, slot.pool = Assignment{Addr: addr, Pool: a.pools[in].Name}, in
	return true
}

// isKept reports whether addr is excluded for every Service, or available to certain Services only.
func (a *Allocator) isKept(addr netip.Addr) bool {
	_, claimed := a.claims[addr]
	return claimed || a.isBarred(addr)
}

// isBarred reports whether addr is excluded for every Service, or available only to the Services that addr is reserved
// for.
func (a *Allocator) isBarred(addr netip.Addr) bool {
	if _, ok := a.barred[addr]; ok {
		return true
	}
	_, ok := a.reserved[addr]
	return ok
}

func (a *Allocator) isUnused(addr netip.Addr) bool {
	_, used := a.used[addr]
	return !used
}

// fresh returns the first address that has no holder, is not in cool-down and is not kept; the zero Addr for none.
func (a *Allocator) fresh(s *stock) netip.Addr {
	for ; s.next.IsValid(); s.advance() {
		if _, resting := a.resting[s.next]; !resting && a.isUnused(s.next) && !a.isKept(s.next) {
			return s.next
		}
	}
	return netip.Addr{}
}

// rested returns the address that has been in cool-down longest and that another Service may have, the zero Addr for
// none.
func (a *Allocator) rested(s *stock) netip.Addr {
	for ; len(s.rests) > 0; s.rests = s.rests[1:] {
		if addr := s.rests[0]; len(a.firm[addr]) == 0 && a.isUnused(addr) && !a.isKept(addr) {
			return addr
		}
	}
	return netip.Addr{}
}
