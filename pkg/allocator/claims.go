package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// claim records the claims on addresses of the pools. Call claim after bar.
func (a *Allocator) claim(claims []cluster.Claim) {
	for _, c := range claims {
		i := a.poolOf(c.Addr)
		if i < 0 || a.leavesOut(i, c.Addr) {
			continue
		}
		_, barred := a.barred[c.Addr]
		known := slices.ContainsFunc(a.claims[c.Addr], lasts)
		if !barred && !known && lasts(c) {
			a.pools[i].of(cluster.FamilyOf(c.Addr)).withheld++
		}
		a.claims[c.Addr] = append(a.claims[c.Addr], c)
	}
}

// lasts reports whether a claim also counts while a Service of Lanlord has the address. The Service itself may have
// caused any other claim: by its spec.externalIPs, or because a Gateway shows the address of the Service.
func lasts(c cluster.Claim) bool { return !c.Managed && c.By != cluster.ClaimedByGateway }

// claimOn returns the claim that keeps addr from svc. A claim does not keep an address from the holder of the claim. If
// several Services of Lanlord claim one address, these claims keep the address from none of these Services: the first
// Service gets the address, and the others share the address if they may. A Gateway does not keep an address from the
// Service of the Gateway, or from the last holder of an address in cool-down.
func (a *Allocator) claimOn(svc *cluster.Service, addr netip.Addr) (cluster.Claim, bool) {
	for _, c := range a.claims[addr] {
		switch {
		case !lasts(c) && !a.isUnused(addr):
		case c.Managed && (c.Holder == svc.Key || slices.Contains(svc.ExternalIPs, addr)):
		case c.By == cluster.ClaimedByGateway && (c.Holder == svc.Gateway || slices.Contains(a.ownResting[svc.Key], addr)):
		default:
			return c, true
		}
	}
	return cluster.Claim{}, false
}

func refuseClaim(c cluster.Claim) *Refusal {
	return refuse(cluster.Problem{Reason: reason.AddressTaken, Addr: c.Addr, By: c.HolderText()}, "%s %s", c.Addr, c.Text())
}

// wish is an implicit request: an address that counts as requested although no annotation of the Service names the
// address.
type wish struct {
	addr netip.Addr
	// from names the field or the object that contains the address.
	from string
}

func (w wish) isValid() bool { return w.addr.IsValid() }

// wishFor returns the implicit request of svc for the family, from the Gateway or spec.externalIPs. An explicit request
// for an address of the family takes precedence, and so does a request for another pool.
func (a *Allocator) wishFor(svc *cluster.Service, f cluster.Family) wish {
	if len(svc.GatewayAddresses)+len(svc.ExternalIPs) == 0 || svc.RequestProblem != "" ||
		slices.ContainsFunc(svc.Requested, func(r netip.Addr) bool { return cluster.FamilyOf(r) == f }) {
		return wish{}
	}
	first := func(addrs []netip.Addr) netip.Addr {
		for _, addr := range addrs {
			i := a.poolOf(addr)
			if cluster.FamilyOf(addr) == f && i >= 0 && !a.leavesOut(i, addr) &&
				(svc.RequestedPool == "" || svc.RequestedPool == a.pools[i].Name) {
				return addr
			}
		}
		return netip.Addr{}
	}
	if addr := first(svc.GatewayAddresses); addr.IsValid() {
		return wish{addr, "Gateway " + svc.Gateway.String()}
	}
	return wish{first(svc.ExternalIPs), "spec.externalIPs"}
}

// requestWishes fills the empty slots with the implicit requests of the Service.
func (a *Allocator) requestWishes(s *seeker) *Refusal {
	for i := range s.slots() {
		slot := &s.slots()[i]
		if !slot.empty() {
			continue
		}
		w := a.wishFor(s.Service, slot.family)
		if !w.isValid() {
			continue
		}
		if r := a.requestAddr(s, w.addr); r != nil {
			return &Refusal{r.Reason, r.Problems, Shorten(r.Message+" (requested by "+w.from+")", MaxMessage)}
		}
	}
	return nil
}

// unmet returns, as part of a sentence, the reasons why the Service has another address than an implicit request names;
// empty if all implicit requests are met.
func (a *Allocator) unmet(s *seeker) (text string) {
	if len(s.GatewayAddresses)+len(s.ExternalIPs) == 0 {
		return ""
	}
	for i := range s.slots() {
		slot := &s.slots()[i]
		w := a.wishFor(s.Service, slot.family)
		if !w.isValid() || slot.empty() || slot.Addr == w.addr {
			continue
		}
		if why := a.whyNot(s.Service, w.addr); why != nil {
			text = joined(text, "it does not get "+w.addr.String()+" (requested by "+w.from+"): "+why.Message)
		}
	}
	return text
}

// joined joins two parts of a sentence. Each part may be empty.
func joined(x, y string) string {
	if x == "" || y == "" {
		return x + y
	}
	return x + "; " + y
}

// whyNot returns the reason why svc cannot get addr by a request, nil if svc can get addr.
func (a *Allocator) whyNot(svc *cluster.Service, addr netip.Addr) *Refusal {
	i, refusal := a.admit(svc, addr)
	if refusal == nil {
		refusal = a.closed(&seeker{Service: svc, only: noPool}, i, addr)
	}
	return refusal
}

// Exchange replaces held[i] by an address that the Gateway or spec.externalIPs of svc request; held lists the addresses
// that svc keeps. now is the new address, and why is the reason for giving up held[i]. ok is false if svc has no such
// request, or cannot get the address; svc then keeps all addresses. Call Exchange after the calls of Leave for all
// other addresses, and then call Leave with held[i].
func (a *Allocator) Exchange(svc *cluster.Service, held []Assignment) (i int, now Assignment, why *Refusal, ok bool) {
	if len(svc.GatewayAddresses)+len(svc.ExternalIPs) == 0 {
		return 0, Assignment{}, nil, false
	}
	for i, h := range held {
		w := a.wishFor(svc, cluster.FamilyOf(h.Addr))
		if !w.isValid() || w.addr == h.Addr {
			continue
		}
		undo := a.uncount(svc, h.Addr)
		if a.whyNot(svc, w.addr) != nil {
			undo()
			continue
		}
		why := refuse(cluster.Problem{Reason: reason.NotRequested, Addr: w.addr}, "%s requests %s", w.from, w.addr)
		return i, a.take(svc, a.poolOf(w.addr), w.addr), why, true
	}
	return 0, Assignment{}, nil, false
}

// uncount removes addr, an address that svc holds, from the quota use of the namespace for this round, unless another
// Service of the namespace has the address too. undo reverts the removal.
func (a *Allocator) uncount(svc *cluster.Service, addr netip.Addr) (undo func()) {
	of := poolNamespace{a.poolOf(addr), svc.Key.Namespace}
	others := func(holder *cluster.Service) bool { return holder != svc && holder.Key.Namespace == svc.Key.Namespace }
	at := slices.Index(a.counted, of)
	if at < 0 || others(a.used[addr]) || slices.ContainsFunc(a.more[addr], others) || slices.ContainsFunc(a.firm[addr], others) {
		return func() {}
	}
	a.quotaUsed[of]--
	a.counted = slices.Delete(a.counted, at, at+1)
	return func() { a.count(of.pool, of.namespace) }
}

// hasFormer reports whether former yields any address.
func hasFormer(svc *cluster.Service) bool {
	return svc.Assignment != nil && len(svc.Assignment.Addresses)+len(svc.Assignment.Former) > 0
}

// former calls yield with the addresses in the record of svc, the most recent first. svc must have a record.
func former(svc *cluster.Service, yield func(netip.Addr) bool) {
	for _, x := range svc.Assignment.Addresses {
		if !yield(x.Addr) {
			return
		}
	}
	for _, addr := range svc.Assignment.Former {
		if !yield(addr) {
			return
		}
	}
}

// fillFormer fills the slots with addresses in the record of the Service that no Service has now.
func (a *Allocator) fillFormer(s *seeker) {
	if !hasFormer(s.Service) {
		return
	}
	former(s.Service, func(addr netip.Addr) bool {
		slot, in := s.slotFor(addr), a.poolOf(addr)
		if slot != nil && in >= 0 && a.returns(s, addr) && a.isOpen(s.Service, addr) && a.mayGive(s, in, addr) {
			slot.Assignment, slot.pool = Assignment{Addr: addr, Pool: a.pools[in].Name}, in
		}
		return true
	})
}

// returns reports whether addr is not in cool-down for another Service.
func (a *Allocator) returns(s *seeker, addr netip.Addr) bool {
	_, resting := a.resting[addr]
	return !resting || slices.Contains(a.ownResting[s.Key], addr)
}

// Regains reports whether svc lacks an address in the record of svc and can have the address back. Serve such Services
// first, because other Services that request the address did not have the address before.
func (a *Allocator) Regains(svc *cluster.Service, held []Assignment) (regains bool) {
	if !hasFormer(svc) || svc.RequestProblem != "" {
		return false
	}
	var s seeker
	former(svc, func(addr netip.Addr) bool {
		if s.Service == nil {
			s.Service, s.only = svc, noPool
			a.open(&s, held)
			if i, known := a.byName[svc.RequestedPool]; known {
				s.only, s.fenced = i, !a.admits(i, svc)
			}
			s.view = a.viewOf(svc)
		}
		if s.slotFor(addr) == nil {
			return true
		}
		in, refusal := a.admit(svc, addr)
		if refusal == nil {
			refusal = a.unrequested(svc, in, addr)
		}
		if refusal != nil || a.closed(&s, in, addr) != nil {
			return true
		}
		requested := slices.Contains(svc.Requested, addr) || a.wishFor(svc, cluster.FamilyOf(addr)).addr == addr
		_, reserved := a.reserved[addr]
		regains = requested || reserved || a.returns(&s, addr) && a.gives(&s, in)
		return !regains
	})
	return regains
}
