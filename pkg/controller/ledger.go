package controller

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// ledger decides as Decide does, again and again, and looks only at the Services that a decision may be about. Those are the
// ones that have changed, those that lack something or that something was or is to be written of, and all that have an
// address in common with one of them. Any other is settled: it has what it asks for, its condition says so, and no other
// Service shows what it has, so that it would be told the same. When anything but Services changes, all are looked at.
type ledger struct {
	// ground is the snapshot that was decided on last, alloc what is settled of it, and nil before that; settled counts
	// these Services. open are the others, in no order.
	ground  cluster.Snapshot
	alloc   *allocator.Allocator
	settled int
	open    []*cluster.Service
}

// decide returns what Decide returns.
func (l *ledger) decide(snapshot cluster.Snapshot, resting []allocator.Rest) Plan {
	if snapshot.Config == nil {
		return Plan{}
	}
	if l.alloc != nil && sameGround(&l.ground, &snapshot) {
		l.reopen(changes(l.ground.Services, snapshot.Services))
		l.alloc.Begin(snapshot.Services, resting)
	} else {
		l.alloc, l.settled, l.open = allocator.New(snapshot, resting), 0, snapshot.Services
	}
	l.ground = snapshot
	d := newDecider(snapshot, l.alloc)
	d.plan.Services[reason.Assigned] = l.settled
	unmanaged, claims := d.decide(l.open)
	l.alloc.End()
	l.open = unmanaged
	for i := range claims {
		if c := &claims[i]; c.settled {
			l.alloc.Settle(c.svc)
			l.settled++
		} else {
			l.open = append(l.open, c.svc)
		}
	}
	return d.plan
}

// reopen opens what has changed, and all that has an address in common with what is open.
func (l *ledger) reopen(changed []change) {
	gone := make(map[*cluster.Service]struct{}, len(changed))
	for _, c := range changed {
		switch {
		case c.was == nil:
		case l.alloc.IsSettled(c.was):
			l.release(c.was)
		default:
			gone[c.was] = struct{}{}
		}
	}
	open := make([]*cluster.Service, 0, len(l.open)+len(changed))
	for _, svc := range l.open {
		if _, is := gone[svc]; !is {
			open = append(open, svc)
		}
	}
	for _, c := range changed {
		if c.is != nil {
			open = append(open, c.is)
		}
	}
	for i := 0; i < len(open); i++ {
		for _, addr := range open[i].Ingress {
			for svc := l.alloc.Settled(addr); svc != nil; svc = l.alloc.Settled(addr) {
				l.release(svc)
				open = append(open, svc)
			}
		}
	}
	l.open = open
}

func (l *ledger) release(svc *cluster.Service) {
	l.alloc.Release(svc)
	l.settled--
}

// sameGround is true when two snapshots differ in nothing that decides but their Services.
func sameGround(x, y *cluster.Snapshot) bool {
	return x.Config == y.Config &&
		slices.EqualFunc(x.Nodes, y.Nodes, func(x, y cluster.Node) bool {
			return x.Name == y.Name && slices.Equal[[]netip.Addr](x.Addresses, y.Addresses)
		}) &&
		slices.EqualFunc(x.Namespaces, y.Namespaces, func(x, y cluster.Namespace) bool {
			return x.Name == y.Name && maps.Equal(x.Labels, y.Labels)
		}) &&
		slices.Equal(x.Taken, y.Taken) && slices.Equal(x.Claims, y.Claims) && slices.Equal(x.Subnets, y.Subnets) && slices.Equal(x.Conflicts, y.Conflicts)
}
