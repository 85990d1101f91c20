package allocator

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Rest is an address in cool-down: a Service released the address a short while ago.
type Rest struct {
	Addr netip.Addr
	// Holder identifies the Service that held the address. Holder may have the address back at any time.
	Holder cluster.Key
	// Firm means that Holder perhaps still has the address, because the answer to the write was lost. No other Service
	// may have the address then, unless the other Service may share the address with Holder. Without Firm, another
	// Service may have the address by requesting exactly this address, or when its pools have no other address left.
	Firm bool
}

// Assignment is an address assigned to a Service, with the name of its pool.
type Assignment struct {
	Addr netip.Addr
	Pool string
	// Until is the end of the withdraw-delay if the configuration no longer gives the address to the Service, and zero
	// otherwise.
	Until time.Time
}

// Result is the outcome of Assign for a Service.
type Result struct {
	// Assignments lists all addresses of the Service, held and new, in the order of the Service's families.
	Assignments []Assignment
	// Refusal gives the reason if the Service lacks an address that the Service needs, and is nil otherwise.
	Refusal *Refusal
	// Remark gives the reason if a Service that prefers dual stack has only one family, or if the Service has another
	// address than its Gateway or spec.externalIPs request. Remark is empty otherwise.
	Remark string
}

// Usage counts the addresses of one family of a pool.
type Usage struct {
	Pool   string
	Family cluster.Family
	// Size is the number of addresses in the pool; exact to 2^53.
	Size float64
	// Used counts the addresses that Services hold. Resting counts the addresses in cool-down that no Service holds.
	Used, Resting int
	// The fields below count addresses that no Service holds, each address in one field only. Quarantined counts
	// addresses for which a foreign host answers. Withheld counts addresses of a Node, a gateway or another object of
	// the API server, and addresses at an end of a subnet. Reserved counts addresses for certain Services only.
	Quarantined, Withheld, Reserved int
}

// Free returns the number of addresses that remain for a Service that may use the pool: exact to 2^53, and never less
// than 0.
func (u Usage) Free() float64 {
	return max(0, u.Size-float64(u.Used)-float64(u.Quarantined)-float64(u.Withheld)-float64(u.Reserved))
}

// Allocator decides in rounds. The end of a round discards all state except the settled Services.
type Allocator struct {
	catalog
	// barred holds the addresses excluded for every Service, reserved the addresses for certain Services only.
	barred   map[netip.Addr]bar
	reserved map[netip.Addr]reservation
	// claims holds the claims of objects of the API server. A Service that already has a claimed address keeps the
	// address.
	claims map[netip.Addr][]cluster.Claim
	// ownReserved holds the addresses reserved for a Service, ascending. The Service gets these addresses before any
	// others.
	ownReserved map[cluster.Key][]netip.Addr
	holders
	// quotaUsed counts by namespace the used addresses of each pool with quotas.
	quotaUsed map[poolNamespace]int
	scratch   []byte
	// space is the memory for the assignments of results.
	space []Assignment
	round
}

// round holds the state of one round.
type round struct {
	// selections caches the results of selection by the values of the labels that service selectors read.
	selections map[string]string
	views      map[viewKey]*view
	// exhausted holds the refusals for lack of a free address. Once exhausted, a view stays exhausted for the round.
	exhausted map[exhaustion]*Refusal
	// resting holds the addresses in cool-down, ownResting the addresses in cool-down by their last holder, the longest
	// in cool-down first.
	resting    map[netip.Addr]struct{}
	ownResting map[cluster.Key][]netip.Addr
	// taken and counted record the changes of the round to used and more, and to quotaUsed.
	taken   []holding
	counted []poolNamespace
}

// holding records that a Service became a holder of an address.
type holding struct {
	svc  *cluster.Service
	addr netip.Addr
}

// New returns an Allocator for the configuration, Nodes, namespaces and network of the snapshot. The Allocator is in
// its first round, and no Service holds an address yet; the caller reports held addresses by Adopt and Leave. resting
// is ordered by the time in cool-down, the longest first.
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
	a.addLeaving()
	a.prepareSelectors(snapshot.Namespaces)
	slices.SortFunc(a.spans, func(x, y span) int { return x.From.Compare(y.From) })
	a.bar(snapshot)
	a.claim(snapshot.ClaimsThatCount())
	a.apart = a.keepsApart()
	a.Begin(snapshot.Services, resting)
	a.taken = make([]holding, 0, len(snapshot.Services))
	return a
}

// rest records an address in cool-down.
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

// Adopt lets svc keep addr, an address in the status of svc, or returns the reason why svc may not keep addr. held
// lists the addresses that svc keeps already. If two Services have the same address and may not share the address, the
// Service adopted first keeps the address.
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
	if refusal == nil && !a.isLeaving(i) {
		return a.take(svc, i, addr), nil
	}
	kept, until := a.stays(svc, addr, refusal)
	switch {
	case !kept && refusal == nil:
		return Assignment{}, a.outside(addr)
	case !kept:
		return Assignment{}, refusal
	}
	taken := a.take(svc, a.poolOf(addr), addr)
	taken.Until = until
	return taken, nil
}

// Leave records that svc must give up addr, an address in the status of svc. No other Service gets addr in this round:
// if both changes were written at once, the address would for a moment belong to two Services. Call Leave after all
// calls of Adopt.
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

// Usage returns the use of each pool: the pools in their order, IPv4 before IPv6, with no entry for a family without
// addresses in the pool.
func (a *Allocator) Usage() []Usage {
	configured := a.configured()
	usage := make([]Usage, 0, len(configured))
	for i := range configured {
		p := &configured[i]
		for _, f := range [...]cluster.Family{cluster.IPv4, cluster.IPv6} {
			if s := p.of(f); s.size > 0 {
				usage = append(usage, Usage{Pool: p.Name, Family: f, Size: s.size, Used: s.used, Resting: s.resting})
			}
		}
	}
	a.countKept(usage)
	return usage
}

// countKept counts the addresses that no Service holds and that are excluded, claimed or reserved.
func (a *Allocator) countKept(usage []Usage) {
	of := func(addr netip.Addr) *Usage {
		name, family := a.pools[a.poolOf(addr)].Name, cluster.FamilyOf(addr)
		return &usage[slices.IndexFunc(usage, func(u Usage) bool { return u.Pool == name && u.Family == family })]
	}
	for addr, b := range a.barred {
		if _, held := a.used[addr]; held || a.isLeaving(a.poolOf(addr)) {
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
		if _, barred := a.barred[addr]; !held && !barred && !a.isLeaving(a.poolOf(addr)) {
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

// Wanted returns the families in which svc should have addresses, the primary family first.
func Wanted(svc *cluster.Service) []cluster.Family {
	if svc.FamilyPolicy == cluster.SingleStack {
		return svc.Families[:min(1, len(svc.Families))]
	}
	return svc.Families
}

// take makes svc a holder of addr, an address of pool i.
func (a *Allocator) take(svc *cluster.Service, i int, addr netip.Addr) Assignment {
	if a.pools[i].limits() && !a.hasIn(svc.Key.Namespace, addr) {
		a.count(i, svc.Key.Namespace)
	}
	if a.hold(svc, addr) {
		a.occupy(i, addr)
	}
	a.taken = append(a.taken, holding{svc, addr})
	return Assignment{Addr: addr, Pool: a.pools[i].Name}
}

// occupy counts addr, an address of pool i without a holder so far, as used.
func (a *Allocator) occupy(i int, addr netip.Addr) {
	s := a.pools[i].of(cluster.FamilyOf(addr))
	s.used++
	if _, ok := a.resting[addr]; ok {
		s.resting--
	}
}

// admit returns the index of the pool of addr, or the reason why svc cannot have addr even by a request: addr is in no
// pool, left out of its pool, in use by another host on the network, reserved for other Services, in a pool for other
// Services, or held by a Service that does not share addr with svc.
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

// unrequested returns a refusal if svc requests something other than addr, an address of pool i. A request that can
// never be met, such as a request for an unknown pool, takes no address away.
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
