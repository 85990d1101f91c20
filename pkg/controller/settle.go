package controller

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

// settle plans the write of a Service if it is not as it should be.
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
	reason := allocator.Assigned
	if r.Refusal != nil {
		reason = r.Refusal.Reason
	}
	d.plan.Services[reason]++
	if r.Refusal != nil && len(r.Assignments) > 0 {
		d.plan.Partial[reason]++
	}
	conflict := d.conflict(r.Assignments)
	if conflict != nil {
		d.plan.Conflicts++
	}
	d.text = appendMessage(d.text[:0], svc, r)
	if d.isSettled(svc, r, reason) && sameConflict(svc.Conflict, conflict) {
		// Its condition vouches for what it has, since it is worded so.
		c.settled = c.result == nil && r.Refusal == nil && conflict == nil
		return
	}
	u := cluster.Update{
		Key:           svc.Key,
		UID:           svc.UID,
		Version:       svc.Version,
		AllocatedFrom: pools(r.Assignments),
		Condition:     &d.conditions.take(1)[0],
		Conflict:      conflict,
	}
	*u.Condition = cluster.Condition{True: r.Refusal == nil, Reason: reason.String(), Message: string(d.text)}
	if len(r.Assignments) > 0 {
		u.Ingress = d.addrs.take(len(r.Assignments))
	}
	for i, a := range r.Assignments {
		u.Ingress[i] = a.Addr
	}
	u.Before, u.Events = d.tell(c, u.Condition, r)
	u.Events = tellConflict(u.Events, svc, conflict)
	d.plan.Updates = append(d.plan.Updates, u)
}

// isSettled is true when svc already is as r says, but for conflicts.
func (d *decider) isSettled(svc *cluster.Service, r allocator.Result, reason allocator.Reason) bool {
	if svc.ForeignIngress || !isFrom(svc.AllocatedFrom, r.Assignments) || len(svc.Ingress) != len(r.Assignments) {
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

// isOurs is true when the status of a Service that is not ours any more still has an address from us.
func (d *decider) isOurs(svc *cluster.Service) bool {
	return svc.Condition == nil || slices.ContainsFunc(svc.Ingress, func(addr netip.Addr) bool {
		return d.cfg.PoolOf(addr) != nil || d.tellsOf(svc, addr)
	})
}

// release plans to take everything of ours from a Service that is not ours any more. What it has from others stays.
func (d *decider) release(svc *cluster.Service) {
	if svc.AllocatedFrom == "" && svc.Condition == nil && svc.Conflict == nil {
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
