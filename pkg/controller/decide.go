package controller

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Plan lists the writes that bring the cluster into the desired state, and counts the Services and addresses in that
// state.
type Plan struct {
	// Updates lists the Services to write: first the Services that Lanlord no longer manages, then the managed
	// Services, the oldest first.
	Updates []cluster.Update
	// Withdrawals lists the Services that lose addresses because of the configuration.
	Withdrawals Withdrawals
	Summary
}

// Summary counts the assignments of a plan.
type Summary struct {
	// Pools holds the usage of each pool of the configuration, with one entry per address family.
	Pools []allocator.Usage
	// Services counts the Services that Lanlord manages by their state; the index is the reason.Assignment.
	Services [reason.AssignmentCount]int
	// Partial counts the Services that have one address and lack another.
	Partial [reason.AssignmentCount]int
	// Conflicts counts the Services with an address that a foreign host answers for.
	Conflicts int
}

// claim holds the state of one Service in a round of decisions.
type claim struct {
	svc *cluster.Service
	// held holds the addresses that the Service keeps, in its first n elements.
	held [2]allocator.Assignment
	n    int
	lost []loss
	// doubtful is true when the record of the Service does not confirm all addresses in its status.
	doubtful bool
	// result is the result of Assign for a Service that lacked an address, and nil for all others.
	result *allocator.Result
	// regains is true when the Service lacks an address that the Service had before and can have again.
	regains bool
	// settled is true when the Service has everything that the Service asks for, and needs no write.
	settled bool
}

// loss describes an address in the status of a Service that the Service may not keep.
type loss struct {
	addr netip.Addr
	why  *allocator.Refusal
}

// decider makes one round of decisions.
type decider struct {
	cfg   *config.Config
	alloc *allocator.Allocator
	// adopts is false while no pool is configured. Without a pool, addresses that Lanlord never wrote stay in every
	// status.
	adopts bool
	// strangers holds the Conflicts of the snapshot, and claims holds the Claims that count.
	strangers []cluster.Stranger
	claims    []cluster.Claim
	plan      Plan
	// text and record are scratch space, so that an unchanged Service causes no allocation.
	text   []byte
	record cluster.Assignment
	// The slabs provide the memory for the updates.
	conditions slab[cluster.Condition]
	records    slab[cluster.Assignment]
	assigned   slab[cluster.AssignedAddress]
	addrs      slab[netip.Addr]
	events     slab[cluster.Event]
}

// slab provides small slices of one type from larger blocks of memory.
type slab[T any] struct{ rest []T }

// take returns n zero values.
func (s *slab[T]) take(n int) []T {
	if len(s.rest) < n {
		s.rest = make([]T, max(n, 128))
	}
	taken := s.rest[:n:n]
	s.rest = s.rest[n:]
	return taken
}

// Decide returns the writes that give every Service the addresses it should have. Decide works in these steps:
//
//  1. Services keep the addresses in their status. An address that no longer fits is replaced in the same plan. Of
//     Services that cannot all keep an address, the Service with the address in its record (cluster.Assignment) comes
//     first, unless the terms of sharing of that Service have changed since then. Otherwise the older Service comes
//     first.
//  2. A Service gets the free addresses that its Gateway or spec.externalIPs ask for, instead of its own addresses.
//  3. Services get the missing addresses: first the Services that had the missing address before and can have it
//     again, then the Service that has waited longest.
//
// No Service gets an address that another Service gives up in the same plan, so the order of the writes does not
// matter.
//
// The result depends on the arguments only, so another call returns the same plan, even after a restart. After all
// writes of a plan, the next plan only assigns the addresses that the first plan released. resting is ordered by the
// duration of the cool-down, the longest first. Without a configuration the plan is empty, and all Services stay
// unchanged.
func Decide(snapshot cluster.Snapshot, resting []allocator.Rest) Plan {
	if snapshot.Config == nil {
		return Plan{}
	}
	d := newDecider(snapshot, allocator.New(snapshot, resting))
	d.decide(snapshot.Services)
	return d.plan
}

func newDecider(snapshot cluster.Snapshot, alloc *allocator.Allocator) *decider {
	return &decider{
		cfg:    snapshot.Config,
		alloc:  alloc,
		adopts: len(snapshot.Config.Pools) > 0,

		strangers: snapshot.Conflicts, claims: snapshot.ClaimsThatCount(),
	}
}

// decide plans one round for services, which may be in any order. decide returns the Services that Lanlord no longer
// manages, sorted by Key, and the claims of the managed Services, the oldest first.
func (d *decider) decide(services []*cluster.Service) (unmanaged []*cluster.Service, claims []claim) {
	managed := make([]*cluster.Service, 0, len(services))
	for _, svc := range services {
		if svc.Managed {
			managed = append(managed, svc)
		} else {
			unmanaged = append(unmanaged, svc)
		}
	}
	slices.SortFunc(unmanaged, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
	for _, svc := range unmanaged {
		d.release(svc)
	}
	claims = byAge(managed)
	for i := range claims {
		d.adoptVouched(&claims[i])
	}
	for i := range claims {
		d.adoptOthers(&claims[i])
	}
	d.leave(unmanaged, claims)
	for i := range claims {
		d.exchange(&claims[i])
	}
	d.serve(claims)
	for i := range claims {
		d.settle(&claims[i])
	}
	d.plan.Pools = d.alloc.Usage()
	return unmanaged, claims
}

// byAge returns the claims of the Services, the oldest first.
func byAge(managed []*cluster.Service) []claim {
	// The seconds are copied and compared first, to avoid access to the Services.
	type aged struct {
		created int64
		svc     *cluster.Service
	}
	order := make([]aged, len(managed))
	for i, svc := range managed {
		order[i] = aged{svc.Created.Unix(), svc}
	}
	slices.SortFunc(order, func(x, y aged) int {
		if x.created != y.created {
			return cmp.Compare(x.created, y.created)
		}
		return allocator.Older(x.svc, y.svc)
	})
	claims := make([]claim, len(order))
	for i, o := range order {
		claims[i].svc = o.svc
	}
	return claims
}

// adoptVouched lets a Service keep the addresses that the record of the Service confirms, unless another rule forbids
// it.
func (d *decider) adoptVouched(c *claim) {
	for _, addr := range c.svc.Ingress {
		if vouches(c.svc, addr) {
			d.adopt(c, addr)
		} else {
			c.doubtful = true
		}
	}
}

// adoptOthers lets a Service keep the other addresses in its status, unless a rule forbids it.
func (d *decider) adoptOthers(c *claim) {
	if !c.doubtful {
		return
	}
	for _, addr := range c.svc.Ingress {
		if !vouches(c.svc, addr) {
			d.adopt(c, addr)
		}
	}
}

func (d *decider) adopt(c *claim, addr netip.Addr) {
	a, why := d.alloc.Adopt(c.svc, c.held[:c.n], addr)
	if why != nil {
		c.lost = append(c.lost, loss{addr, why})
		return
	}
	c.held[c.n] = a
	c.n++
}

// exchange replaces addresses of a Service by available addresses that its Gateway or spec.externalIPs ask for.
func (d *decider) exchange(c *claim) {
	for range c.n {
		i, now, why, ok := d.alloc.Exchange(c.svc, c.held[:c.n])
		if !ok {
			return
		}
		c.lost = append(c.lost, loss{c.held[i].Addr, why})
		d.alloc.Leave(c.svc, c.held[i].Addr)
		c.held[i] = now
	}
}

// leave marks the addresses in each status that the Services must give up.
func (d *decider) leave(unmanaged []*cluster.Service, claims []claim) {
	for i := range claims {
		for _, l := range claims[i].lost {
			d.alloc.Leave(claims[i].svc, l.addr)
		}
	}
	for _, svc := range unmanaged {
		if svc.AllocatedFrom != "" {
			for _, addr := range svc.Ingress {
				d.alloc.Leave(svc, addr)
			}
		}
	}
}

// serve assigns addresses to the Services that lack an address: first to the Services that regain an address, then to
// the Service that has waited longest.
func (d *decider) serve(claims []claim) {
	lacking := 0
	for i := range claims {
		if claims[i].lacks() {
			lacking++
		}
	}
	queue := make([]*claim, 0, lacking)
	for i := range claims {
		if claims[i].lacks() {
			claims[i].regains = d.alloc.Regains(claims[i].svc, claims[i].held[:claims[i].n])
			queue = append(queue, &claims[i])
		}
	}
	if !slices.IsSortedFunc(queue, compareWaits) {
		slices.SortStableFunc(queue, compareWaits)
	}
	results := make([]allocator.Result, lacking)
	gained := 0
	for i, c := range queue {
		results[i] = d.alloc.Assign(c.svc, c.held[:c.n])
		c.result = &results[i]
		if len(results[i].Assignments) > c.n {
			gained++
		}
	}
	d.plan.Updates = slices.Grow(d.plan.Updates, gained)
}

func (c *claim) lacks() bool { return c.n < len(allocator.Wanted(c.svc)) }

// compareWaits orders Services: first the Services that regain an address, then the Services that have waited longer. A
// Service that is not waiting comes last, because the Service was served before, or can do without the missing address.
func compareWaits(x, y *claim) int {
	if x.regains != y.regains {
		if x.regains {
			return -1
		}
		return 1
	}
	xs, xWaits := x.waiting()
	ys, yWaits := y.waiting()
	switch {
	case xWaits && yWaits:
		return xs.Compare(ys)
	case xWaits:
		return -1
	case yWaits:
		return 1
	}
	return 0
}

// waiting returns the time since when a Service has been waiting. ok is false if the Service is not waiting.
func (c *claim) waiting() (since time.Time, ok bool) {
	switch condition := c.svc.Condition; {
	case condition == nil || !condition.True && condition.Since.IsZero():
		return c.svc.Created, true
	case !condition.True:
		return condition.Since, true
	}
	return time.Time{}, false
}
