package controller

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

// Plan is what is to be written so that the cluster is as it should be, and how it is then.
type Plan struct {
	// Updates are what differs: first the Services that are not ours any more, then ours, the oldest first.
	Updates []cluster.Update
	Summary
}

// Summary counts what a plan assigns.
type Summary struct {
	// Pools are the pools of the configuration, each family on its own.
	Pools []allocator.Usage
	// Services counts the Services that Lanlord manages by how each stands; the index is the allocator.Reason.
	Services [allocator.Reasons]int
}

// claim is one Service in a round of decisions.
type claim struct {
	svc *cluster.Service
	// held are the first n addresses that it keeps.
	held [2]allocator.Assignment
	n    int
	lost []loss
}

// loss is an address in a Service's status that it may not keep.
type loss struct {
	addr netip.Addr
	why  *allocator.Refusal
}

// decider is one round of decisions.
type decider struct {
	alloc *allocator.Allocator
	// adopts is false while no pool is configured. What Lanlord never wrote then stays in every status.
	adopts bool
	plan   Plan
	// text and pools are scratch: a Service that nothing happens to costs no allocation.
	text, pools []byte
}

// Decide says what is to be written so that every Service has the addresses it should have.
//
// What is in the status already is adopted first, the older Service before the younger, and stays unless it no longer
// fits: then it is replaced in the same plan. Only then the missing addresses are given, the oldest Service first. What
// one Service gives up in a plan no other gets in the same plan, so the order of the writes does not matter.
//
// The result depends on nothing else, so deciding again, also after a restart, says the same; and once a plan has been
// written, the next one contains at most what hands on the addresses given up in it. resting are ordered by how long they
// have been resting, the longest first. Without a configuration the plan is empty: what there is stays.
func Decide(snapshot cluster.Snapshot, resting []allocator.Rest) Plan {
	if snapshot.Config == nil {
		return Plan{}
	}
	d := decider{
		alloc:  allocator.New(snapshot.Config, resting, len(snapshot.Services)),
		adopts: len(snapshot.Config.Pools) > 0,
	}
	managed := make([]*cluster.Service, 0, len(snapshot.Services))
	for i := range snapshot.Services {
		if svc := &snapshot.Services[i]; svc.Managed {
			managed = append(managed, svc)
		} else {
			d.release(svc)
		}
	}
	slices.SortFunc(managed, func(x, y *cluster.Service) int {
		if c := x.Created.Compare(y.Created); c != 0 {
			return c
		}
		return x.Key.Compare(y.Key)
	})
	claims := make([]claim, len(managed))
	for i, svc := range managed {
		claims[i].svc = svc
	}
	for i := range claims {
		d.adopt(&claims[i])
	}
	d.leave(snapshot.Services, claims)
	for i := range claims {
		d.settle(&claims[i])
	}
	d.plan.Pools = d.alloc.Usage()
	return d.plan
}

// adopt lets a Service keep what it has and may keep.
func (d *decider) adopt(c *claim) {
	for _, addr := range c.svc.Ingress {
		a, why := d.alloc.Adopt(c.svc, c.held[:c.n], addr)
		if why != nil {
			c.lost = append(c.lost, loss{addr, why})
			continue
		}
		c.held[c.n] = a
		c.n++
	}
}

// leave notes all that a status shows and that is to go.
func (d *decider) leave(services []cluster.Service, claims []claim) {
	for i := range claims {
		for _, l := range claims[i].lost {
			d.alloc.Leave(claims[i].svc, l.addr)
		}
	}
	for i := range services {
		if svc := &services[i]; !svc.Managed && svc.AllocatedFrom != "" {
			for _, addr := range svc.Ingress {
				d.alloc.Leave(svc, addr)
			}
		}
	}
}

// settle gives a Service what it lacks, and plans the write if it is not as it should be.
func (d *decider) settle(c *claim) {
	svc := c.svc
	if !d.adopts && svc.AllocatedFrom == "" && (len(svc.Ingress) > 0 || svc.ForeignIngress) {
		return
	}
	r := d.alloc.Assign(svc, c.held[:c.n])
	reason := allocator.Assigned
	if r.Refusal != nil {
		reason = r.Refusal.Reason
	}
	d.plan.Services[reason]++
	d.text = appendMessage(d.text[:0], r)
	d.pools = appendPools(d.pools[:0], r.Assignments)
	if d.isSettled(svc, r, reason) {
		return
	}
	u := cluster.Update{
		Key:           svc.Key,
		UID:           svc.UID,
		Version:       svc.Version,
		AllocatedFrom: string(d.pools),
		Condition:     &cluster.Condition{True: r.Refusal == nil, Reason: reason.String(), Message: string(d.text)},
	}
	for _, a := range r.Assignments {
		u.Ingress = append(u.Ingress, a.Addr)
	}
	u.Events = events(c, u.Condition, r)
	d.plan.Updates = append(d.plan.Updates, u)
}

// isSettled is true when svc already is as r says.
func (d *decider) isSettled(svc *cluster.Service, r allocator.Result, reason allocator.Reason) bool {
	if svc.ForeignIngress || svc.AllocatedFrom != string(d.pools) || len(svc.Ingress) != len(r.Assignments) {
		return false
	}
	for i, a := range r.Assignments {
		if svc.Ingress[i] != a.Addr {
			return false
		}
	}
	c := svc.Condition
	return c != nil && c.True == (r.Refusal == nil) && c.Reason == reason.String() && c.Message == string(d.text)
}

// release plans to take everything of ours from a Service that is not ours any more. What it has from others stays.
func (d *decider) release(svc *cluster.Service) {
	u := cluster.Update{Key: svc.Key, UID: svc.UID, Version: svc.Version}
	switch {
	case svc.AllocatedFrom != "":
		u.Events = releaseEvents(svc)
	case svc.Condition != nil && !svc.ForeignIngress:
		u.Ingress = svc.Ingress
	default:
		return
	}
	d.plan.Updates = append(d.plan.Updates, u)
}
