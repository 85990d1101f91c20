package controller

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// settle plans the write of a Service if the Service differs from the desired state.
func (d *decider) settle(c *claim) {
	svc := c.svc
	if !d.adopts && svc.AllocatedFrom == "" && (len(svc.Ingress) > 0 || svc.ForeignIngress) {
		return
	}
	var r allocator.Result
	if c.result != nil {
		r = *c.result
	} else {
		r = d.alloc.Assign(svc, c.held[:c.n])
	}
	why := reason.Assigned
	if r.Refusal != nil {
		why = r.Refusal.Reason
	}
	d.plan.Services[why]++
	if r.Refusal != nil && len(r.Assignments) > 0 {
		d.plan.Partial[why]++
	}
	conflict, hosts := d.conflict(r.Assignments)
	if conflict != nil {
		d.plan.Conflicts++
	}
	stays := stayingOf(r.Assignments)
	d.plan.Withdrawals.note(c, stays)
	d.text = appendMessage(d.text[:0], svc, r, stays)
	d.fillRecord(svc, r, hosts)
	if d.isSettled(svc, r, why) && sameCondition(svc.Conflict, conflict) && svc.Assignment.Equal(&d.record) {
		// At this point the record contains all addresses of the Service.
		c.settled = c.result == nil && r.Refusal == nil && r.Remark == "" && conflict == nil && stays.text == ""
		return
	}
	u := cluster.Update{
		Key:           svc.Key,
		UID:           svc.UID,
		Version:       svc.Version,
		AllocatedFrom: pools(r.Assignments),
		Assignment:    d.newRecord(),
		Condition:     &d.conditions.take(1)[0],
		Conflict:      conflict,
	}
	*u.Condition = cluster.Condition{True: r.Refusal == nil, Reason: why.String(), Message: string(d.text)}
	if len(r.Assignments) > 0 {
		u.Ingress = d.addrs.take(len(r.Assignments))
	}
	for i, a := range r.Assignments {
		u.Ingress[i] = a.Addr
	}
	u.Before, u.Events = d.tell(c, u.Condition, r)
	u.Events = tellConflict(u.Events, svc, conflict, hosts)
	u.Events = tellStaying(u.Events, svc, stays, r)
	d.plan.Updates = append(d.plan.Updates, u)
}

// isSettled reports whether status, condition and pools of svc agree with r. isSettled compares the texts of conditions
// without interpretation, so a condition that a user has edited, or that an earlier version has worded differently, is
// written again.
func (d *decider) isSettled(svc *cluster.Service, r allocator.Result, why reason.Assignment) bool {
	if svc.ForeignIngress || !isFrom(svc.AllocatedFrom, r.Assignments) || len(svc.Ingress) != len(r.Assignments) {
		return false
	}
	for i, a := range r.Assignments {
		if svc.Ingress[i] != a.Addr {
			return false
		}
	}
	c := svc.Condition
	return c != nil && c.True == (r.Refusal == nil) && c.Reason == why.String() && c.Message == string(d.text)
}

// isOurs reports whether the status of a Service that Lanlord no longer manages still has an address of Lanlord: an
// address in a pool or in the record. Without a record, isOurs returns true, and the annotation with the pools decides.
func (d *decider) isOurs(svc *cluster.Service) bool {
	return svc.Assignment == nil || slices.ContainsFunc(svc.Ingress, func(addr netip.Addr) bool {
		return d.cfg.PoolOf(addr) != nil || svc.Assignment.Has(addr)
	})
}

// release plans to remove everything that the controller wrote to a Service that Lanlord no longer manages. Addresses
// of another implementation stay.
func (d *decider) release(svc *cluster.Service) {
	if !svc.Marked() {
		return
	}
	u := cluster.Update{Key: svc.Key, UID: svc.UID, Version: svc.Version}
	if svc.AllocatedFrom != "" && d.isOurs(svc) {
		u.Events = releaseEvents(svc)
	} else {
		u.KeepIngress = true
	}
	d.plan.Updates = append(d.plan.Updates, u)
}
