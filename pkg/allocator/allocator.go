package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Rest is an address that a Service held until a short while ago.
type Rest struct {
	Addr netip.Addr
	// Holder is the Service that held it. It may have it back at any time.
	Holder cluster.Key
	// Firm means that nobody else may have it, unless they may share it: perhaps Holder has it, and the answer to the
	// write was lost. Otherwise another Service may have it by asking for this very address, or when its pools have no
	// other one left.
	Firm bool
}

// Assignment is an address given to a Service, and where it came from.
type Assignment struct {
	Addr netip.Addr
	Pool string
}

// Result is the outcome of Assign for a Service.
type Result struct {
	// Assignments are all addresses of the Service, the held and the new ones, in the order of its families.
	Assignments []Assignment
	// Refusal says why the Service lacks something that it needs. It is nil when it lacks nothing.
	Refusal *Refusal
	// Remark says why a Service that only prefers dual stack has one family. It is empty when there is nothing to say.
	Remark string
}

// Usage counts the addresses of one family of a pool.
type Usage struct {
	Pool   string
	Family cluster.Family
	// Size is the number of addresses in the pool; exact to 2^53.
	Size float64
	// Used addresses are held by Services. Resting addresses were released a short while ago.
	Used, Resting int
	// The fields below count addresses that no Service holds, each address once. Quarantined addresses are answered by
	// a foreign host. Withheld addresses belong to a Node, a gateway or another object of the API server, or are an end of a
	// subnet. Reserved addresses are for certain Services only.
	Quarantined, Withheld, Reserved int
}

// Free returns the number of addresses that a Service could get if it may use the pool: exact to 2^53, and never less
// than 0.
func (u Usage) Free() float64 {
	return max(0, u.Size-float64(u.Used)-float64(u.Quarantined)-float64(u.Withheld)-float64(u.Reserved))
}

// Allocator decides in rounds. The end of a round discards everything but the settled Services.
type Allocator struct {
	catalog
	// barred are the addresses that no Service gets, reserved the addresses for certain Services only.
	barred   map[netip.Addr]bar
	reserved map[netip.Addr]reservation
	// claims are the addresses that objects of the API server have. A Service that has one keeps it.
	claims map[netip.Addr][]cluster.Claim
	// ownReserved are the addresses that are reserved for a Service, ascending, which it gets before anything else.
	ownReserved map[cluster.Key][]netip.Addr
	holders
	// quotaUsed counts the addresses of a pool with quotas by namespace.
	quotaUsed map[poolNamespace]int
	scratch   []byte
	// space is memory from which the assignments of results are cut.
	space []Assignment
	round
}

// round is the state of one round.
type round struct {
	// selections are which of the selective pools are open to Services with certain values of the labels.
	selections map[string]string
	views      map[viewKey]*view
	// exhausted are the refusals for want of a free address. What is exhausted stays so for the round.
	exhausted map[exhaustion]*Refusal
	// resting are the addresses of rests, ownResting those that rest for a Service, the longest resting first.
	resting    map[netip.Addr]struct{}
	ownResting map[cluster.Key][]netip.Addr
	// taken and counted are the changes that the round made to used and more, and to quotaUsed.
	taken   []holding
	counted []poolNamespace
}

// holding records that a Service was made a holder of an address.
type holding struct {
	svc  *cluster.Service
	addr netip.Addr
}

// New returns an Allocator for what the snapshot says of configuration, Nodes, namespaces and the network, in the first
// round, in which nothing is held yet: what its Services hold is for Adopt and Leave. The resting addresses are ordered by
// how long they have been resting, the longest first.
func New(snapshot cluster.Snapshot, resting []Rest) *Allocator {
	cfg := snapshot.Config
	a := &Allocator{
		catalog:     catalog{cfg: cfg, pools: make([]pool, len(cfg.Pools)), byName: make(map[string]int, len(cfg.Pools))},
		barred:      make(map[netip.Addr]bar),
		reserved:    make(map[netip.Addr]reservation),
		claims:      make(map[netip.Addr][]cluster.Claim),
		ownReserved: make(map[cluster.Key][]netip.Addr),
		holders:     newHolders(len(snapshot.Services)),
		quotaUsed:   make(map[poolNamespace]int),
	}
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		a.pools[i] = newPool(p)
		a.byName[p.Name] = i
		for _, r := range p.Ranges {
			a.spans = append(a.spans, span{r, i})
		}
		a.reserve(i)
	}
	a.prepareSelectors(snapshot.Namespaces)
	slices.SortFunc(a.spans, func(x, y span) int { return x.From.Compare(y.From) })
	a.bar(snapshot)
	a.claim(snapshot.Claims)
	a.apart = a.keepsApart()
	a.Begin(snapshot.Services, resting)
	a.taken = make([]holding, 0, len(snapshot.Services))
	return a
}

// rest notes a resting address.
func (a *Allocator) rest(r Rest, services []*cluster.Service) {
	a.ownResting[r.Holder] = append(a.ownResting[r.Holder], r.Addr)
	i := a.poolOf(r.Addr)
	given := i >= 0 && !a.leavesOut(i, r.Addr)
	if r.Firm {
		svc := lookUp(services, r.Holder)
		if given && a.pools[i].limits() && !a.hasIn(svc.Key.Namespace, r.Addr) {
			a.count(i, svc.Key.Namespace)
		}
		a.firm[r.Addr] = append(a.firm[r.Addr], svc)
	}
	if _, twice := a.resting[r.Addr]; twice {
		return
	}
	a.resting[r.Addr] = struct{}{}
	if !given {
		return
	}
	s := a.pools[i].of(cluster.FamilyOf(r.Addr))
	s.rests = append(s.rests, r.Addr)
	if a.isUnused(r.Addr) {
		s.resting++
	}
}

// Adopt lets svc keep addr, which is in the status of svc, or returns why svc may not keep it. held are the addresses
// that svc keeps already. Where two Services have the same address and may not share it, the Service that is adopted
// first keeps it.
func (a *Allocator) Adopt(svc *cluster.Service, held []Assignment, addr netip.Addr) (Assignment, *Refusal) {
	family := cluster.FamilyOf(addr)
	if !slices.Contains(Wanted(svc), family) {
		return Assignment{}, familyMismatch(svc, addr)
	}
	for _, h := range held {
		if cluster.FamilyOf(h.Addr) == family {
			return Assignment{}, refuse(cluster.Problem{Reason: reason.Surplus, Family: family, Addr: h.Addr}, "%s is its %s address already", h.Addr, family)
		}
	}
	i, refusal := a.admit(svc, addr)
	if refusal == nil {
		refusal = a.unrequested(svc, i, addr)
	}
	if refusal != nil {
		return Assignment{}, refusal
	}
	return a.take(svc, i, addr), nil
}

// Leave notes that addr is in the status of svc, and is to be given up. Until that has happened nobody else gets it: were
// both written at once, the address would belong to two Services in between. Call it after everything was adopted.
func (a *Allocator) Leave(svc *cluster.Service, addr netip.Addr) {
	if i := a.poolOf(addr); i >= 0 && !a.leavesOut(i, addr) {
		if _, ok := a.used[addr]; !ok {
			a.occupy(i, addr)
			a.used[addr] = svc
			a.taken = append(a.taken, holding{svc, addr})
		}
		a.leaving[addr] = svc
	}
}

// Usage returns how much of each pool is in use: the pools in their order, IPv4 before IPv6, and no line for a family
// that a pool does not have.
func (a *Allocator) Usage() []Usage {
	usage := make([]Usage, 0, len(a.pools))
	for i := range a.pools {
		p := &a.pools[i]
		for _, f := range [...]cluster.Family{cluster.IPv4, cluster.IPv6} {
			if s := p.of(f); s.size > 0 {
				usage = append(usage, Usage{Pool: p.Name, Family: f, Size: s.size, Used: s.used, Resting: s.resting})
			}
		}
	}
	a.countKept(usage)
	return usage
}

// countKept counts what nobody holds and not everybody may have.
func (a *Allocator) countKept(usage []Usage) {
	of := func(addr netip.Addr) *Usage {
		name, family := a.pools[a.poolOf(addr)].Name, cluster.FamilyOf(addr)
		return &usage[slices.IndexFunc(usage, func(u Usage) bool { return u.Pool == name && u.Family == family })]
	}
	for addr, b := range a.barred {
		if _, held := a.used[addr]; held {
			continue
		}
		if u := of(addr); b.kind == ofStranger {
			u.Quarantined++
		} else {
			u.Withheld++
		}
	}
	for addr := range a.claims {
		_, held := a.used[addr]
		if _, barred := a.barred[addr]; !held && !barred {
			of(addr).Withheld++
		}
	}
	for addr := range a.reserved {
		_, held := a.used[addr]
		_, claimed := a.claims[addr]
		if _, barred := a.barred[addr]; !held && !barred && !claimed {
			of(addr).Reserved++
		}
	}
}

// Wanted returns the families that svc is to have addresses of, the first one first.
func Wanted(svc *cluster.Service) []cluster.Family {
	if svc.FamilyPolicy == cluster.SingleStack {
		return svc.Families[:min(1, len(svc.Families))]
	}
	return svc.Families
}

// take makes svc a holder of addr, which is of pool i.
func (a *Allocator) take(svc *cluster.Service, i int, addr netip.Addr) Assignment {
	if a.pools[i].limits() && !a.hasIn(svc.Key.Namespace, addr) {
		a.count(i, svc.Key.Namespace)
	}
	if a.hold(svc, addr) {
		a.occupy(i, addr)
	}
	a.taken = append(a.taken, holding{svc, addr})
	return Assignment{addr, a.pools[i].Name}
}

// occupy counts addr, of pool i, which nobody held before, as used.
func (a *Allocator) occupy(i int, addr netip.Addr) {
	s := a.pools[i].of(cluster.FamilyOf(addr))
	s.used++
	if _, ok := a.resting[addr]; ok {
		s.resting--
	}
}

// admit returns the pool of addr, or why svc can have addr neither now nor by asking for it: it is in no pool, left out,
// something else's on the network, reserved or in a pool for others, or held by a Service that does not share it.
func (a *Allocator) admit(svc *cluster.Service, addr netip.Addr) (int, *Refusal) {
	i := a.poolOf(addr)
	if i < 0 {
		return 0, a.outside(addr)
	}
	if a.leavesOut(i, addr) {
		return 0, refuse(cluster.Problem{Reason: reason.AddressExcluded, Addr: addr, Pool: a.pools[i].Name},
			"pool %s leaves %s out (avoid-buggy-ips)", quote(a.pools[i].Name), addr)
	}
	if b, ok := a.barred[addr]; ok && b.kind != ofNetwork {
		return 0, b.refuse(addr)
	}
	if r, ok := a.reserved[addr]; ok {
		if !r.isFor(svc) {
			return 0, r.refuse()
		}
	} else if !a.admits(i, svc) {
		return 0, a.notAllowed(svc, i)
	}
	if holder := a.obstacle(svc, addr); holder != nil {
		return 0, a.inUse(svc, addr, holder)
	}
	return i, nil
}

// unrequested says why addr, of pool i, is not what svc requests. A request that cannot be met by anything, such as one
// for an unknown pool, takes nothing away.
func (a *Allocator) unrequested(svc *cluster.Service, i int, addr netip.Addr) *Refusal {
	if svc.RequestProblem != "" {
		return nil
	}
	for _, r := range svc.Requested {
		if r != addr && r.BitLen() == addr.BitLen() {
			return refuse(cluster.Problem{Reason: reason.NotRequested, Addr: r}, "the Service requests %s", r)
		}
	}
	if svc.RequestedPool == "" {
		return nil
	}
	if requested, ok := a.byName[svc.RequestedPool]; ok && requested != i {
		return refuse(cluster.Problem{Reason: reason.NotRequested, Addr: addr, Pool: svc.RequestedPool}, "the Service requests pool %s, and %s is of pool %s",
			quote(svc.RequestedPool), addr, quote(a.pools[i].Name))
	}
	return nil
}
