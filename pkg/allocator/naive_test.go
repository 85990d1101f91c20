package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// naive is the allocator as one would write it for pools of ten addresses: it lists them and looks at each.
type naive struct {
	cfg     *config.Config
	resting []Rest
	used    map[netip.Addr]cluster.Key
}

func newNaive(cfg *config.Config, resting []Rest) *naive {
	n := &naive{cfg: cfg, used: map[netip.Addr]cluster.Key{}}
	for _, r := range resting {
		// Of two rests of one address the first counts, unless only the second is firm.
		i := slices.IndexFunc(n.resting, func(known Rest) bool { return known.Addr == r.Addr })
		if i >= 0 && (n.resting[i].Firm || !r.Firm) {
			continue
		}
		if i >= 0 {
			n.resting = slices.Delete(n.resting, i, i+1)
		}
		n.resting = append(n.resting, r)
	}
	return n
}

// addrs lists the addresses that a pool hands out.
func (n *naive) addrs(p *config.Pool) []netip.Addr {
	var all []netip.Addr
	for _, r := range p.Ranges {
		for a := r.From; ; a = a.Next() {
			last := a.AsSlice()[a.BitLen()/8-1]
			if !p.AvoidBuggyIPs || a.Is6() || last != 0 && last != 255 {
				all = append(all, a)
			}
			if a == r.To {
				break
			}
		}
	}
	return all
}

func (n *naive) poolOf(addr netip.Addr) *config.Pool {
	for i := range n.cfg.Pools {
		if slices.Contains(n.addrs(&n.cfg.Pools[i]), addr) {
			return &n.cfg.Pools[i]
		}
	}
	return nil
}

func (n *naive) pool(name string) *config.Pool {
	for i := range n.cfg.Pools {
		if n.cfg.Pools[i].Name == name {
			return &n.cfg.Pools[i]
		}
	}
	return nil
}

func naiveAdmits(p *config.Pool, svc *cluster.Service) bool {
	return len(p.Namespaces) == 0 || slices.Contains(p.Namespaces, svc.Key.Namespace)
}

func naiveWanted(svc *cluster.Service) []cluster.Family {
	if svc.FamilyPolicy == cluster.SingleStack && len(svc.Families) > 1 {
		return svc.Families[:1]
	}
	return svc.Families
}

func naiveOf(held []Assignment, f cluster.Family) *Assignment {
	for i := range held {
		if held[i].Addr.Is4() == (f == cluster.IPv4) {
			return &held[i]
		}
	}
	return nil
}

func (n *naive) adopt(svc *cluster.Service, held []Assignment, addr netip.Addr) (Assignment, bool) {
	p, family := n.poolOf(addr), cluster.FamilyOf(addr)
	_, used := n.used[addr]
	if !slices.Contains(naiveWanted(svc), family) || naiveOf(held, family) != nil || p == nil || used || !naiveAdmits(p, svc) {
		return Assignment{}, false
	}
	if svc.RequestProblem == "" {
		for _, r := range svc.Requested {
			if r != addr && r.Is4() == addr.Is4() {
				return Assignment{}, false
			}
		}
		if n.pool(svc.RequestedPool) != nil && p.Name != svc.RequestedPool {
			return Assignment{}, false
		}
	}
	n.used[addr] = svc.Key
	return Assignment{addr, p.Name}, true
}

// firmFor is true when addr rests firmly for another Service than svc.
func (n *naive) firmFor(addr netip.Addr, svc *cluster.Service) bool {
	i := slices.IndexFunc(n.resting, func(r Rest) bool { return r.Addr == addr && r.Firm })
	return i >= 0 && n.resting[i].Holder != svc.Key
}

// assign returns what svc has in the end, and whether that is all it needs.
func (n *naive) assign(svc *cluster.Service, held []Assignment) ([]Assignment, bool) {
	wanted := naiveWanted(svc)
	got := map[cluster.Family]Assignment{}
	for _, h := range held {
		got[cluster.FamilyOf(h.Addr)] = h
	}
	ordered := func() []Assignment {
		var all []Assignment
		for _, f := range wanted {
			if a, ok := got[f]; ok {
				all = append(all, a)
			}
		}
		return all
	}
	before := ordered()
	if svc.RequestProblem != "" || len(wanted) == 0 || svc.FamilyPolicy == cluster.RequireDualStack && len(wanted) < 2 {
		return before, false
	}
	pools, ok := n.poolsFor(svc)
	if !ok || !n.request(svc, wanted, pools, got) {
		return before, false
	}
	n.fill(svc, wanted, pools, got)
	if len(got) == 0 || len(got) < len(wanted) && svc.FamilyPolicy == cluster.RequireDualStack {
		return before, false
	}
	for _, a := range got {
		n.used[a.Addr] = svc.Key
	}
	return ordered(), true
}

// poolsFor returns the pools that svc may be given addresses of.
func (n *naive) poolsFor(svc *cluster.Service) ([]*config.Pool, bool) {
	if svc.RequestedPool != "" {
		p := n.pool(svc.RequestedPool)
		return []*config.Pool{p}, p != nil && naiveAdmits(p, svc)
	}
	var pools []*config.Pool
	for i := range n.cfg.Pools {
		if p := &n.cfg.Pools[i]; p.AutoAssign && naiveAdmits(p, svc) {
			pools = append(pools, p)
		}
	}
	return pools, true
}

// request gives svc what it requests, or returns false.
func (n *naive) request(svc *cluster.Service, wanted []cluster.Family, pools []*config.Pool, got map[cluster.Family]Assignment) bool {
	for _, addr := range svc.Requested {
		f := cluster.FamilyOf(addr)
		if has, ok := got[f]; ok && has.Addr == addr {
			continue
		}
		p := n.poolOf(addr)
		_, used := n.used[addr]
		if !slices.Contains(wanted, f) || p == nil || used || !naiveAdmits(p, svc) || n.firmFor(addr, svc) ||
			svc.RequestedPool != "" && !slices.Contains(pools, p) {
			return false
		}
		got[f] = Assignment{addr, p.Name}
	}
	return true
}

// fill gives svc what it lacks, as far as there is any.
func (n *naive) fill(svc *cluster.Service, wanted []cluster.Family, pools []*config.Pool, got map[cluster.Family]Assignment) {
	free := func(p *config.Pool, f cluster.Family, accept func(netip.Addr) bool) (Assignment, bool) {
		for _, a := range n.addrs(p) {
			if _, used := n.used[a]; !used && cluster.FamilyOf(a) == f && accept(a) {
				return Assignment{a, p.Name}, true
			}
		}
		return Assignment{}, false
	}
	fresh := func(a netip.Addr) bool {
		return !slices.ContainsFunc(n.resting, func(r Rest) bool { return r.Addr == a })
	}
	for i := range n.resting {
		r := n.resting[len(n.resting)-1-i]
		f := cluster.FamilyOf(r.Addr)
		if _, has := got[f]; has || !slices.Contains(wanted, f) || r.Holder != svc.Key || n.firmFor(r.Addr, svc) {
			continue
		}
		for _, p := range pools {
			if a, ok := free(p, f, func(a netip.Addr) bool { return a == r.Addr }); ok {
				got[f] = a
			}
		}
	}
	if len(wanted) == 2 && len(got) == 0 {
		for _, p := range pools {
			first, ok1 := free(p, wanted[0], fresh)
			second, ok2 := free(p, wanted[1], fresh)
			if ok1 && ok2 {
				got[wanted[0]], got[wanted[1]] = first, second
				return
			}
		}
	}
	for _, f := range wanted {
		order := slices.Clone(pools)
		for _, other := range got {
			slices.SortStableFunc(order, func(x, y *config.Pool) int {
				return boolInt(y.Name == other.Pool) - boolInt(x.Name == other.Pool)
			})
		}
		for _, p := range order {
			if _, has := got[f]; has {
				break
			}
			if a, ok := free(p, f, fresh); ok {
				got[f] = a
			}
		}
		for _, p := range order {
			for _, r := range n.resting {
				if _, has := got[f]; has {
					break
				}
				if a, ok := free(p, f, func(a netip.Addr) bool { return a == r.Addr && !n.isFirm(a) }); ok {
					got[f] = a
				}
			}
		}
	}
}

func (n *naive) isFirm(addr netip.Addr) bool {
	return slices.ContainsFunc(n.resting, func(r Rest) bool { return r.Addr == addr && r.Firm })
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
