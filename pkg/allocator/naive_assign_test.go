package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// naiveGetting is the state of the reference while it assigns addresses to one Service.
type naiveGetting struct {
	*naive
	svc    *cluster.Service
	wanted []cluster.Family
	// pools lists the pools that may serve the Service.
	pools []*config.Pool
	got   map[cluster.Family]Assignment
	// fresh holds the new entries of got.
	fresh map[cluster.Family]Assignment
}

// assign returns the addresses of svc after the assignment, and reports whether svc has all addresses that svc needs.
func (n *naive) assign(svc *cluster.Service, held []Assignment) ([]Assignment, bool) {
	g := naiveGetting{n, svc, naiveWanted(svc), nil, map[cluster.Family]Assignment{}, map[cluster.Family]Assignment{}}
	for _, h := range held {
		g.got[cluster.FamilyOf(h.Addr)] = h
	}
	before := g.ordered()
	if svc.RequestProblem != "" || len(g.wanted) == 0 || svc.FamilyPolicy == cluster.RequireDualStack && len(g.wanted) < 2 {
		return before, false
	}
	if !g.findPools() || !g.request() || !g.fill() {
		return before, false
	}
	if len(g.got) == 0 || len(g.got) < len(g.wanted) && svc.FamilyPolicy == cluster.RequireDualStack {
		return before, false
	}
	for _, f := range g.wanted {
		if a, ok := g.fresh[f]; ok {
			n.hold(svc, a.Addr)
		}
	}
	return g.ordered(), true
}

func (g *naiveGetting) ordered() []Assignment {
	var all []Assignment
	for _, f := range g.wanted {
		if a, ok := g.got[f]; ok {
			all = append(all, a)
		}
	}
	return all
}

func (g *naiveGetting) give(addr netip.Addr) {
	a := Assignment{Addr: addr, Pool: g.poolOf(addr).Name}
	g.got[cluster.FamilyOf(addr)], g.fresh[cluster.FamilyOf(addr)] = a, a
}

// needs reports whether the Service still needs an address of addr's family.
func (g *naiveGetting) needs(addr netip.Addr) bool {
	_, has := g.got[cluster.FamilyOf(addr)]
	return !has && slices.Contains(g.wanted, cluster.FamilyOf(addr))
}

// findPools returns false if the Service requests a pool that the Service may not use.
func (g *naiveGetting) findPools() bool {
	for i := range g.Config.Pools {
		p := &g.Config.Pools[i]
		if !p.Disabled && g.admits(p, g.svc) && (p.Name == g.svc.RequestedPool || g.svc.RequestedPool == "" && p.AutoAssign) {
			g.pools = append(g.pools, p)
		}
	}
	p := g.Config.Pool(g.svc.RequestedPool)
	if g.svc.RequestedPool == "" || p != nil && g.admits(p, g.svc) {
		return true
	}
	return p != nil && slices.ContainsFunc(p.Reserve, func(r config.Reservation) bool {
		return slices.Contains(g.reservedFor(r.Addr), g.svc.Key)
	})
}

// request assigns the requested addresses, or returns false.
func (g *naiveGetting) request() bool {
	wishes := slices.Clone(g.svc.Requested)
	for _, f := range g.wanted {
		if _, has := g.got[f]; !has && g.wishFor(g.svc, f).IsValid() {
			wishes = append(wishes, g.wishFor(g.svc, f))
		}
	}
	for _, addr := range wishes {
		f := cluster.FamilyOf(addr)
		if has, ok := g.got[f]; ok && has.Addr == addr {
			continue
		}
		if !g.needs(addr) || !g.mayHave(g.svc, addr) || g.isEdge(addr) || g.isClaimed(g.svc, addr) || g.poolOf(addr).Disabled || !g.isOpen(g.svc, addr) ||
			g.reservedFor(addr) == nil && !g.withinQuota(g.svc.Key.Namespace, addr, g.fresh) ||
			g.svc.RequestedPool != "" && g.poolOf(addr).Name != g.svc.RequestedPool {
			return false
		}
		g.give(addr)
	}
	return true
}

// free reports whether addr may be assigned to the Service without a request and nobody holds addr.
func (g *naiveGetting) free(addr netip.Addr) bool {
	return g.mayGive(addr) && !g.isUsed(addr) && !g.hasClaim(addr)
}

func (g *naiveGetting) mayGive(addr netip.Addr) bool {
	return g.needs(addr) && slices.Contains(g.pools, g.poolOf(addr)) && !g.isTaken(addr) && !g.isEdge(addr) &&
		g.reservedFor(addr) == nil && g.withinQuota(g.svc.Key.Namespace, addr, g.fresh) && !g.isClaimed(g.svc, addr)
}

func (g *naiveGetting) rests(addr netip.Addr, firm bool) bool {
	return slices.ContainsFunc(g.resting, func(r Rest) bool { return r.Addr == addr && (r.Firm || !firm) })
}

// fill assigns the missing addresses, as far as addresses are available. fill returns false if the Service must wait
// for an address reserved for the Service.
func (g *naiveGetting) fill() bool {
	if !g.fillReserved() {
		return false
	}
	for i := range g.resting {
		r := g.resting[len(g.resting)-1-i]
		if r.Holder == g.svc.Key && g.poolOf(r.Addr) != nil && g.mayGive(r.Addr) && g.isOpen(g.svc, r.Addr) {
			g.give(r.Addr)
		}
	}
	g.fillFormer()
	for _, f := range g.wanted {
		for _, addr := range g.order {
			if cluster.FamilyOf(addr) == f && g.holders[addr][0].SharingKey == g.svc.SharingKey && g.svc.SharingKey != "" &&
				g.mayGive(addr) && g.isOpen(g.svc, addr) {
				g.give(addr)
			}
		}
	}
	if len(g.wanted) == 2 && len(g.got) == 0 {
		g.fillBoth()
	}
	for _, f := range g.wanted {
		g.fillOne(f)
	}
	return true
}

// fillFormer assigns former addresses of the Service that are not in cool-down for another Service.
func (g *naiveGetting) fillFormer() {
	if g.svc.Assignment == nil {
		return
	}
	var addrs []netip.Addr
	for _, a := range g.svc.Assignment.Addresses {
		addrs = append(addrs, a.Addr)
	}
	for _, addr := range append(addrs, g.svc.Assignment.Former...) {
		if g.poolOf(addr) != nil && g.mayGive(addr) && g.isOpen(g.svc, addr) && (!g.rests(addr, false) || g.restsFor(g.svc, addr)) {
			g.give(addr)
		}
	}
}

func (g *naiveGetting) fillReserved() bool {
	blocked := false
	for _, f := range g.wanted {
		waits := false
		for i := range g.Config.Pools {
			p := &g.Config.Pools[i]
			for _, addr := range g.addrs(p) {
				if cluster.FamilyOf(addr) != f || !g.needs(addr) || !slices.Contains(g.reservedFor(addr), g.svc.Key) || p.Disabled ||
					g.svc.RequestedPool != "" && p.Name != g.svc.RequestedPool {
					continue
				}
				if waits = g.isTaken(addr) || g.isEdge(addr) || g.isClaimed(g.svc, addr) || !g.isOpen(g.svc, addr); !waits {
					g.give(addr)
				}
			}
		}
		_, has := g.got[f]
		blocked = blocked || waits && !has
	}
	return !blocked
}

// fillBoth takes two addresses of the first pool that has both.
func (g *naiveGetting) fillBoth() {
	for _, p := range g.pools {
		for _, f := range g.wanted {
			for _, addr := range g.addrs(p) {
				if cluster.FamilyOf(addr) == f && g.free(addr) && !g.rests(addr, false) {
					g.give(addr)
				}
			}
		}
		if len(g.got) == 2 {
			return
		}
		clear(g.got)
		clear(g.fresh)
	}
}

func (g *naiveGetting) fillOne(f cluster.Family) {
	order := slices.Clone(g.pools)
	for _, other := range g.got {
		slices.SortStableFunc(order, func(x, y *config.Pool) int {
			return boolInt(y.Name == other.Pool) - boolInt(x.Name == other.Pool)
		})
	}
	for _, p := range order {
		for _, addr := range g.addrs(p) {
			if cluster.FamilyOf(addr) == f && g.free(addr) && !g.rests(addr, false) {
				g.give(addr)
			}
		}
	}
	for _, p := range order {
		for _, r := range g.resting {
			if cluster.FamilyOf(r.Addr) == f && g.poolOf(r.Addr) == p && g.free(r.Addr) && !g.rests(r.Addr, true) {
				g.give(r.Addr)
			}
		}
	}
}
