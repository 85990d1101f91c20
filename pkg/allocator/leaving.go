package allocator

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// addLeaving adds pools for the addresses of past configurations that the present configuration no longer has. Only a
// Service that has such an address keeps the address, until the end of the withdraw-delay.
func (a *Allocator) addLeaving() {
	leaving := a.cfg.Leaving()
	for i := range leaving {
		for _, r := range leaving[i].Ranges {
			a.spans = append(a.spans, span{r, len(a.pools)})
		}
		a.pools = append(a.pools, newPool(&leaving[i]))
	}
}

// isLeaving reports whether addLeaving added pool i.
func (c *catalog) isLeaving(i int) bool { return i >= len(c.cfg.Pools) }

// configured returns the pools of the configuration.
func (c *catalog) configured() []pool { return c.pools[:len(c.cfg.Pools)] }

// stays reports whether svc keeps addr for a withdraw-delay although the configuration no longer gives addr to svc, and
// returns the end of the delay. why is the refusal by the configuration, nil for an address that only a past
// configuration has.
func (a *Allocator) stays(svc *cluster.Service, addr netip.Addr, why *Refusal) (ok bool, until time.Time) {
	if len(a.cfg.Past) == 0 || !wasGiven(svc, addr) {
		return false, time.Time{}
	}
	if why != nil {
		switch why.Reason {
		case reason.AddressOutsidePools, reason.AddressExcluded, reason.AddressReserved, reason.PoolNotAllowed, reason.NotRequested:
		default:
			return false, time.Time{}
		}
	}
	for _, r := range svc.Requested {
		if r != addr && r.BitLen() == addr.BitLen() {
			return false, time.Time{}
		}
	}
	if b, barred := a.barred[addr]; barred && b.kind != ofNetwork || a.obstacle(svc, addr) != nil {
		return false, time.Time{}
	}
	for _, past := range a.cfg.Past {
		if a.gave(past, svc, addr) {
			ok = true
			if past.Until.After(until) {
				until = past.Until
			}
		}
	}
	return ok, until
}

// wasGiven reports whether a controller assigned addr to svc.
func wasGiven(svc *cluster.Service, addr netip.Addr) bool {
	if svc.Assignment == nil {
		return svc.AllocatedFrom != ""
	}
	return svc.Assignment.Has(addr)
}

// gave reports whether a past configuration allowed addr for svc.
func (a *Allocator) gave(past config.Past, svc *cluster.Service, addr netip.Addr) bool {
	p := past.PoolOf(addr)
	if p == nil || svc.RequestedPool != p.Name && past.Config.Pool(svc.RequestedPool) != nil {
		return false
	}
	if reserved, ours := p.ReservedFor(addr, config.ServiceName{Namespace: svc.Key.Namespace, Name: svc.Key.Name}); reserved {
		return ours
	}
	return p.AdmitsNamespace(svc.Key.Namespace, a.namespaces[svc.Key.Namespace]) && p.AdmitsService(svc.Labels)
}
