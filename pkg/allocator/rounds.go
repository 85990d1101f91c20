package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// For a Service that has all its addresses, and no competitor for them, each round has the same result: the Service
// keeps its addresses. The caller may settle such a Service between two rounds. The next round then deals with the
// other Services only, at a cost in proportion to their number. TestLedgerLaw in package controller checks that
// settling does not change the result.

// Begin begins a round after End. The settled Services hold their addresses. resting is ordered as for New.
func (a *Allocator) Begin(services []*cluster.Service, resting []Rest) {
	a.sharers = newSharers()
	a.round = round{
		selections: make(map[string]string),
		views:      make(map[viewKey]*view),
		exhausted:  make(map[exhaustion]*Refusal),
		resting:    make(map[netip.Addr]struct{}, len(resting)),
		ownResting: make(map[cluster.Key][]netip.Addr),
	}
	for i := range a.pools {
		p := &a.pools[i]
		for _, s := range [...]*stock{&p.v4, &p.v6} {
			for s.settled.next.IsValid() && (!a.isUnused(s.settled.next) || a.isKept(s.settled.next)) {
				s.settled.advance()
			}
			s.cursor, s.rests, s.resting = s.settled, nil, 0
		}
	}
	for _, r := range resting {
		a.rest(r, services)
	}
}

// End ends the round, and discards all calls of Adopt, Leave, Exchange and Assign in the round.
func (a *Allocator) End() {
	for _, of := range a.counted {
		a.quotaUsed[of]--
	}
	for _, t := range slices.Backward(a.taken) {
		if a.drop(t.svc, t.addr) {
			a.pools[a.poolOf(t.addr)].of(cluster.FamilyOf(t.addr)).used--
		}
	}
	a.round, a.sharers = round{}, sharers{}
}

// Settle makes svc hold the addresses in its status from now on. Call Settle between rounds only. Adopt must have let
// svc keep each address in the last round. If several Services share an address, settle all of them that can be settled
// at the same time, the oldest first.
func (a *Allocator) Settle(svc *cluster.Service) {
	for _, addr := range svc.Ingress {
		i := a.poolOf(addr)
		if a.pools[i].limits() && !a.hasIn(svc.Key.Namespace, addr) {
			a.quotaUsed[poolNamespace{i, svc.Key.Namespace}]++
		}
		if _, shared := a.used[addr]; shared {
			a.more[addr] = append(a.more[addr], svc)
			continue
		}
		a.used[addr] = svc
		a.pools[i].of(cluster.FamilyOf(addr)).used++
		if svc.SharingKey != "" {
			s := sharing{svc.SharingKey, cluster.FamilyOf(addr)}
			a.settled[s] = append(a.settled[s], addr)
		}
	}
}

// Release reverts Settle. Call Release between rounds only.
func (a *Allocator) Release(svc *cluster.Service) {
	for _, addr := range svc.Ingress {
		i := a.poolOf(addr)
		last := a.drop(svc, addr)
		if a.pools[i].limits() && !a.hasIn(svc.Key.Namespace, addr) {
			a.quotaUsed[poolNamespace{i, svc.Key.Namespace}]--
		}
		if !last {
			continue
		}
		stock := a.pools[i].of(cluster.FamilyOf(addr))
		stock.used--
		stock.free(addr)
		if svc.SharingKey != "" {
			s := sharing{svc.SharingKey, cluster.FamilyOf(addr)}
			a.settled[s] = slices.DeleteFunc(a.settled[s], func(x netip.Addr) bool { return x == addr })
			if len(a.settled[s]) == 0 {
				delete(a.settled, s)
			}
		}
	}
}

// IsSettled reports whether svc is settled. Call IsSettled between rounds only.
func (a *Allocator) IsSettled(svc *cluster.Service) bool {
	if len(svc.Ingress) == 0 {
		return false
	}
	addr := svc.Ingress[0]
	return a.used[addr] == svc || slices.Contains(a.more[addr], svc)
}

// Settled returns a settled Service that has addr, nil for none. Call Settled between rounds only.
func (a *Allocator) Settled(addr netip.Addr) *cluster.Service { return a.used[addr] }

// drop removes svc from the holders of addr, and reports whether svc was the last holder. The other holders keep their
// order.
func (h *holders) drop(svc *cluster.Service, addr netip.Addr) (last bool) {
	more := h.more[addr]
	switch {
	case h.used[addr] != svc:
		more = slices.DeleteFunc(more, func(x *cluster.Service) bool { return x == svc })
	case len(more) > 0:
		h.used[addr] = more[0]
		more = slices.Delete(more, 0, 1)
	default:
		delete(h.used, addr)
		last = true
	}
	if len(more) > 0 {
		h.more[addr] = more
	} else {
		delete(h.more, addr)
	}
	return last
}
