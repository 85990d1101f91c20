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

// Plan lists the writes that bring the cluster into the wanted state, and counts that state.
type Plan struct {
	// Updates are the Services to write: first the Services that are no longer ours, then ours, the oldest first.
	Updates []cluster.Update
	Summary
}

// Summary counts what a plan assigns.
type Summary struct {
	// Pools are the pools of the configuration, each family on its own.
	Pools []allocator.Usage
	// Services counts the Services that Lanlord manages by how each stands; the index is the reason.Assignment.
	Services [reason.AssignmentCount]int
	// Partial counts the Services that have one address and lack another.
	Partial [reason.AssignmentCount]int
	// Conflicts counts the Services with an address that a foreign host answers for.
	Conflicts int
}

// claim is one Service in a round of decisions.
type claim struct {
	svc *cluster.Service
	// held are the first n addresses that it keeps.
	held [2]allocator.Assignment
	n    int
	lost []loss
	// doubtful is true when its record does not vouch for all addresses in its status.
	doubtful bool
	// result is the outcome of Assign for a Service that lacked an address, nil for the others.
	result *allocator.Result
	// regains is true when it lacks an address that it has had and can have again.
	regains bool
	// settled is true when the Service has what it asks for and there is nothing to write.
	settled bool
}

// loss is an address in a Service's status that it may not keep.
type loss struct {
	addr netip.Addr
	why  *allocator.Refusal
}

// decider is one round of decisions.
type decider struct {
	cfg   *config.Config
	alloc *allocator.Allocator
	// adopts is false while no pool is configured. What Lanlord never wrote then stays in every status.
	adopts bool
	// strangers are the snapshot's Conflicts, claims its Claims.
	strangers []cluster.Stranger
	claims    []cluster.Claim
	plan      Plan
	// text and record are scratch: a Service that nothing happens to costs no allocation.
	text   []byte
	record cluster.Assignment
	// What updates are made of is cut from larger pieces.
	conditions slab[cluster.Condition]
	records    slab[cluster.Assignment]
	assigned   slab[cluster.AssignedAddress]
	addrs      slab[netip.Addr]
	events     slab[cluster.Event]
}

// slab is memory from which small slices of one type are cut.
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

// Decide says what is to be written so that every Service has the addresses it should have.
//
// What is in the status already is adopted first, and stays unless it no longer fits: then it is replaced in the same
// plan. Of Services that cannot both keep an address, the one whose record (cluster.Assignment) has the address goes first,
// unless the Service has changed since then how it shares addresses; otherwise the older one. Then a Service whose Gateway or
// spec.externalIPs ask for an address that is free gets that address in the place of its own. Only then the missing
// addresses are given, first to the Services that have had what they lack and can have it again, and then to the Service that
// has waited longest. What one Service gives up in a plan no other gets in the same plan, so the order of the writes does not
// matter.
//
// The result depends on nothing else, so deciding again, also after a restart, says the same; and once a plan has been
// written, the next one contains at most what hands on the addresses given up in it. resting are ordered by how long they
// have been resting, the longest first. Without a configuration the plan is empty: what there is stays.
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

		strangers: snapshot.Conflicts, claims: snapshot.Claims,
	}
}

// decide plans one round for these Services, in any order. It returns the Services that are no longer ours, sorted by
// Key, and the claims of ours, the oldest first.
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
	// The seconds are compared first, where the Services need not be looked at.
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

// adoptVouched lets a Service keep the addresses that its record vouches for, if it may.
func (d *decider) adoptVouched(c *claim) {
	for _, addr := range c.svc.Ingress {
		if vouches(c.svc, addr) {
			d.adopt(c, addr)
		} else {
			c.doubtful = true
		}
	}
}

// adoptOthers lets a Service keep the other addresses in its status, if it may.
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

// exchange replaces the addresses of a Service by those that it wishes for and can get.
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

// leave notes all that a status shows and that is to go.
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

// serve assigns addresses to the Services that lack one, first to those that regain one, then to the Service that has waited
// longest.
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

// compareWaits orders Services: those that regain an address come first, then those that have been waiting longer. One that has
// been served, and lacks something only now or can do without, comes last.
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

// waiting returns since when a Service has been waiting, if it has.
func (c *claim) waiting() (since time.Time, ok bool) {
	switch condition := c.svc.Condition; {
	case condition == nil || !condition.True && condition.Since.IsZero():
		return c.svc.Created, true
	case !condition.True:
		return condition.Since, true
	}
	return time.Time{}, false
}
