package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// Rest is an address that a Service held until a short while ago.
type Rest struct {
	Addr netip.Addr
	// Holder is the Service that held it. It may have it back at any time.
	Holder cluster.Key
	// Firm means that nobody else may have it: perhaps Holder has it, and the answer to the write was lost. Otherwise
	// another Service may have it by asking for this very address, or when its pools have no other one left.
	Firm bool
}

// Assignment is an address given to a Service, and where it came from.
type Assignment struct {
	Addr netip.Addr
	Pool string
}

// Result is what Assign did for a Service.
type Result struct {
	// Assignments are all that the Service has now, in the order of its families: what it held, and what it was given.
	Assignments []Assignment
	// Refusal says why the Service lacks something that it needs. It is nil when it lacks nothing.
	Refusal *Refusal
	// Remark says why a Service that only prefers dual stack has one family. It is empty when there is nothing to say.
	Remark string
}

// Usage is how much of a pool is in use, for one family.
type Usage struct {
	Pool   string
	Family cluster.Family
	// Size is how many addresses the pool has; exact to 2^53.
	Size float64
	// Used are those held by Services; Resting are those that nobody holds and that rest.
	Used, Resting int
}

// Allocator is the state of one round.
type Allocator struct {
	cfg    *config.Config
	pools  []pool
	byName map[string]int
	// spans are the ranges of all pools, ascending.
	spans []span
	// used are the addresses that are held, and by whom.
	used map[netip.Addr]cluster.Key
	// resting are the rests, and own the same by their holder, the longest resting first.
	resting map[netip.Addr]Rest
	own     map[cluster.Key][]netip.Addr
	// exhausted are the refusals for want of a free address. What is exhausted stays so for the round.
	exhausted map[exhaustion]*Refusal
}

// New returns an Allocator in which nothing is held yet. The resting addresses are ordered by how long they have been
// resting, the longest first. services is about how many Services there are; it only sizes tables.
func New(cfg *config.Config, resting []Rest, services int) *Allocator {
	a := &Allocator{
		cfg:       cfg,
		pools:     make([]pool, len(cfg.Pools)),
		byName:    make(map[string]int, len(cfg.Pools)),
		used:      make(map[netip.Addr]cluster.Key, services),
		resting:   make(map[netip.Addr]Rest, len(resting)),
		own:       make(map[cluster.Key][]netip.Addr, len(resting)),
		exhausted: make(map[exhaustion]*Refusal),
	}
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		a.pools[i] = newPool(p)
		a.byName[p.Name] = i
		for _, r := range p.Ranges {
			a.spans = append(a.spans, span{r, i})
		}
	}
	slices.SortFunc(a.spans, func(x, y span) int { return x.From.Compare(y.From) })
	for _, r := range resting {
		a.rest(r)
	}
	return a
}

// rest notes a resting address. Of several rests of one address the first counts, unless a later one is firm.
func (a *Allocator) rest(r Rest) {
	known, twice := a.resting[r.Addr]
	if twice && (known.Firm || !r.Firm) {
		return
	}
	a.resting[r.Addr] = r
	a.own[r.Holder] = append(a.own[r.Holder], r.Addr)
	i := a.poolOf(r.Addr)
	if twice || i < 0 || a.leavesOut(i, r.Addr) {
		return
	}
	s := a.pools[i].of(cluster.FamilyOf(r.Addr))
	s.rests = append(s.rests, r.Addr)
	s.resting++
}

// Adopt lets svc keep addr, which its status shows, or says why it may not. held are those that it keeps already. Where
// two Services have the same address, the one that is adopted first keeps it.
func (a *Allocator) Adopt(svc *cluster.Service, held []Assignment, addr netip.Addr) (Assignment, *Refusal) {
	family := cluster.FamilyOf(addr)
	if !slices.Contains(Wanted(svc), family) {
		return Assignment{}, familyMismatch(svc, addr)
	}
	for _, h := range held {
		if cluster.FamilyOf(h.Addr) == family {
			return Assignment{}, refuse(Surplus, "%s is its %s address already", h.Addr, family)
		}
	}
	i, refusal := a.admit(svc, addr)
	if refusal == nil {
		refusal = a.unrequested(svc, i, addr)
	}
	if refusal != nil {
		return Assignment{}, refusal
	}
	return a.take(svc.Key, i, addr), nil
}

// Leave notes that addr is in the status of svc, and is to be given up. Until that has happened nobody else gets it: were
// both written at once, the address would belong to two Services in between. Call it after everything was adopted.
func (a *Allocator) Leave(svc *cluster.Service, addr netip.Addr) {
	if _, ok := a.used[addr]; ok {
		return
	}
	if i := a.poolOf(addr); i >= 0 && !a.leavesOut(i, addr) {
		a.take(svc.Key, i, addr)
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
				usage = append(usage, Usage{p.Name, f, s.size, s.used, s.resting})
			}
		}
	}
	return usage
}

// Wanted returns the families that svc is to have addresses of, the first one first.
func Wanted(svc *cluster.Service) []cluster.Family {
	if svc.FamilyPolicy == cluster.SingleStack {
		return svc.Families[:min(1, len(svc.Families))]
	}
	return svc.Families
}

// poolOf returns the index of the pool whose ranges contain addr, -1 if there is none.
func (a *Allocator) poolOf(addr netip.Addr) int {
	after, found := slices.BinarySearchFunc(a.spans, addr, func(s span, addr netip.Addr) int { return s.From.Compare(addr) })
	if found {
		return a.spans[after].pool
	}
	if after == 0 || a.spans[after-1].To.Less(addr) {
		return -1
	}
	return a.spans[after-1].pool
}

// leavesOut is true when pool i does not hand out addr, although its ranges contain it.
func (a *Allocator) leavesOut(i int, addr netip.Addr) bool {
	return a.pools[i].AvoidBuggyIPs && isBuggy(addr)
}

// take marks addr, of pool i, as held.
func (a *Allocator) take(holder cluster.Key, i int, addr netip.Addr) Assignment {
	a.used[addr] = holder
	s := a.pools[i].of(cluster.FamilyOf(addr))
	s.used++
	if _, ok := a.resting[addr]; ok {
		s.resting--
	}
	return Assignment{addr, a.pools[i].Name}
}

// admit returns the pool of addr, or why svc can have addr neither now nor by asking for it: it is in no pool, left out,
// in a pool for others, or held by another Service.
func (a *Allocator) admit(svc *cluster.Service, addr netip.Addr) (int, *Refusal) {
	i := a.poolOf(addr)
	if i < 0 {
		return 0, a.outside(addr)
	}
	if a.leavesOut(i, addr) {
		return 0, refuse(AddressExcluded, "pool %s leaves %s out (avoid-buggy-ips)", quote(a.pools[i].Name), addr)
	}
	if !a.pools[i].admits(svc.Key.Namespace) {
		return 0, a.notAllowed(svc, i)
	}
	if holder, ok := a.used[addr]; ok {
		return 0, inUse(addr, holder)
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
			return refuse(NotRequested, "the Service requests %s", r)
		}
	}
	if requested, ok := a.byName[svc.RequestedPool]; ok && requested != i {
		return refuse(NotRequested, "the Service requests pool %s, and %s is of pool %s",
			quote(svc.RequestedPool), addr, quote(a.pools[i].Name))
	}
	return nil
}
