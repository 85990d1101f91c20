package controller

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// The functions in this file read and create the record of a Service (cluster.Assignment). The record decides which
// Service keeps a disputed address, and whether an Event was sent already. A Service without a record, for example from
// an earlier version, keeps the addresses in its status unless another Service has a record of them, and gets a record
// in the same plan.

// vouches reports whether the record of svc confirms that addr was assigned to svc on the current terms of svc. If svc
// has changed its sharing key, ports or traffic policy since then, svc loses a dispute about the address.
func vouches(svc *cluster.Service, addr netip.Addr) bool {
	return svc.Assignment.Has(addr) && svc.Assignment.Sharing.Equal(cluster.SharingOf(svc))
}

// fillRecord writes the assignments of svc into d.record. fillRecord allocates nothing for a Service without conflicts.
func (d *decider) fillRecord(svc *cluster.Service, r allocator.Result, conflicts []cluster.Conflict) {
	addresses := d.record.Addresses[:0]
	for _, a := range r.Assignments {
		addresses = append(addresses, cluster.AssignedAddress{Addr: a.Addr, Pool: cluster.Recorded(a.Pool)})
	}
	former := appendFormer(d.record.Former[:0], svc, r)
	d.record = cluster.Assignment{Addresses: addresses, Sharing: cluster.SharingOf(svc), Conflicts: conflicts, Former: former}
	if r.Refusal != nil {
		d.record.Problems = r.Refusal.Problems
	}
	if svc.PreferNodeProblem != "" {
		d.record.IgnoredNode = cluster.Recorded(svc.PreferNodeValue)
	}
}

// appendFormer appends, for each family that svc lacks, the last address of svc in that family, unless svc requests
// another address in the meantime.
func appendFormer(addrs []netip.Addr, svc *cluster.Service, r allocator.Result) []netip.Addr {
	if svc.Assignment == nil || len(r.Assignments) == len(allocator.Wanted(svc)) {
		return addrs
	}
	for _, f := range allocator.Wanted(svc) {
		if slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool { return cluster.FamilyOf(a.Addr) == f }) {
			continue
		}
		last := svc.Assignment.LastOf(f)
		asksForOther := slices.ContainsFunc(svc.Requested, func(a netip.Addr) bool { return cluster.FamilyOf(a) == f && a != last })
		if last.IsValid() && !asksForOther {
			addrs = append(addrs, last)
		}
	}
	return addrs
}

// newRecord returns a permanent copy of d.record.
func (d *decider) newRecord() *cluster.Assignment {
	record := &d.records.take(1)[0]
	*record = d.record
	record.Addresses = d.assigned.take(len(d.record.Addresses))
	copy(record.Addresses, d.record.Addresses)
	record.Former = slices.Clone(d.record.Former)
	if len(record.Former) == 0 {
		record.Former = nil
	}
	return record
}

// lacked reports whether svc lacked an address at its last write.
func lacked(svc *cluster.Service) bool {
	if svc.Assignment != nil {
		return len(svc.Assignment.Problems) > 0
	}
	return svc.Condition != nil && !svc.Condition.True
}

// wasTold reports whether an Event about the refusal was sent before. If the refusal does not follow from the request
// of the Service itself, wasTold compares only the reasons, because other Services often change the details.
func wasTold(svc *cluster.Service, refusal *allocator.Refusal) bool {
	if !lacked(svc) {
		return false
	}
	if svc.Assignment == nil {
		before, known := reason.ParseAssignment(svc.Condition.Reason)
		return known && before == refusal.Reason
	}
	before := svc.Assignment.Problems
	if before[0].Reason != refusal.Reason {
		return false
	}
	return !refusal.Reason.AboutRequest() || slices.EqualFunc(before, refusal.Problems, cluster.Problem.Same)
}

// wasToldOfNode reports whether an Event about the annotations of svc without effect was sent before.
func wasToldOfNode(svc *cluster.Service) bool {
	return svc.Assignment != nil && svc.Assignment.IgnoredNode == cluster.Recorded(svc.PreferNodeValue)
}
