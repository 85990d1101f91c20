package controller

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// ledger is an incremental planner: its method decide returns the same plan as Decide, but examines only the open
// Services. A Service is open if it has changed, lacks something, was written by the last plan or needs a write, or has
// an address in common with another open Service. All other Services are settled: a settled Service has everything that
// the Service asks for, its condition says so, and no open Service shows its addresses. A new decision about a settled
// Service would therefore give the same result. When anything but the Services changes, all Services become open.
type ledger struct {
	// ground is the snapshot of the last decision. alloc holds the addresses of the settled Services, and is nil before
	// the first decision. settled counts the settled Services. open holds the open Services, in no order.
	ground  cluster.Snapshot
	alloc   *allocator.Allocator
	settled int
	open    []*cluster.Service
}

// decide returns the same plan as Decide.
func (l *ledger) decide(snapshot cluster.Snapshot, resting []allocator.Rest) Plan {
	if snapshot.Config == nil {
		return Plan{}
	}
	if l.alloc != nil && sameGround(&l.ground, &snapshot) {
		l.reopen(cluster.Changes(l.ground.Services, snapshot.Services))
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

// reopen opens the changed Services, and all Services that have an address in common with an open Service.
func (l *ledger) reopen(changed []cluster.Change) {
	gone := make(map[*cluster.Service]struct{}, len(changed))
	for _, c := range changed {
		switch {
		case c.Was == nil:
		case l.alloc.IsSettled(c.Was):
			l.release(c.Was)
		default:
			gone[c.Was] = struct{}{}
		}
	}
	open := make([]*cluster.Service, 0, len(l.open)+len(changed))
	for _, svc := range l.open {
		if _, is := gone[svc]; !is {
			open = append(open, svc)
		}
	}
	for _, c := range changed {
		if c.Is != nil {
			open = append(open, c.Is)
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

// sameGround reports whether the two snapshots agree in all inputs of Decide but the Services.
func sameGround(x, y *cluster.Snapshot) bool {
	return x.Config == y.Config &&
		slices.EqualFunc(x.Nodes, y.Nodes, func(x, y cluster.Node) bool {
			return x.Name == y.Name && slices.Equal[[]netip.Addr](x.Addresses, y.Addresses) &&
				slices.Equal[[]netip.Addr](x.External, y.External)
		}) &&
		slices.EqualFunc(x.Namespaces, y.Namespaces, func(x, y cluster.Namespace) bool {
			return x.Name == y.Name && maps.Equal(x.Labels, y.Labels)
		}) &&
		slices.Equal(x.Taken, y.Taken) && slices.Equal(x.Claims, y.Claims) && slices.Equal(x.Subnets, y.Subnets) && slices.Equal(x.Conflicts, y.Conflicts)
}
