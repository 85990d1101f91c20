package layer2

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

// loop holds the state of the goroutine of Run.
type loop struct {
	a     *Announcer
	ctx   context.Context
	tasks *sync.WaitGroup

	ports   map[int]*port // by interface index
	targets byaddr.Map[Target]
	ranges  *[]Range
	// ranged is the scope of ranges alone, scope that of ranges and targets.
	ranged, scope *scope
	host          *HostState
	node          *[]netip.Addr
	layout        *layout
	refresh       time.Duration
	rate          int64
	ping          bool
}

// reconcile applies all changes since the last call. reconcile does nothing without a change.
func (l *loop) reconcile() {
	told := l.a.told.Load()
	if told == nil {
		return // no state of the host yet: all settings wait for the first state
	}
	again := l.a.again.take()   // before the targets, so that the targets include every Set before the call of Announce
	resume := l.a.resume.Load() // before the targets, for the same reason
	defer l.a.pulse.resumed.Store(resume)
	targets, changed := l.a.targets.take()
	first := l.host == nil
	hostChanged := l.followHost(told, l.a.node.Load())
	fresh := inherited(l.targets, targets, changed)
	l.targets = targets
	scopeChanged := false
	if ranges := l.a.ranges.Load(); ranges != l.ranges || slices.ContainsFunc(changed, l.outside) {
		l.ranges = ranges
		scopeChanged = l.rescope()
	}
	switch {
	case hostChanged || scopeChanged:
		l.distribute(first, fresh)
	case len(changed) > 0:
		l.redistribute(changed, fresh)
	}
	l.followOptions()
	if len(again) > 0 {
		for _, p := range l.ports {
			p.announce(again)
		}
	}
}

// followHost applies the state of the host and the Node's addresses. followHost reports whether the change affects the
// tables.
func (l *loop) followHost(told *HostState, node *[]netip.Addr) bool {
	before, first := l.host, l.host == nil
	if first {
		before = &HostState{}
	}
	links := first || !slices.EqualFunc(before.Interfaces, told.Interfaces, Interface.equal)
	macs := !slices.Equal(before.MACs, told.MACs)
	if links || node != l.node {
		l.node = node
		l.layout = newLayout(told.Interfaces, *node)
		l.a.layout.Store(l.layout)
		links = true
	}
	if first || !before.equal(*told) {
		l.logChanges(before.Interfaces, told.Interfaces)
		l.host = told
		l.a.host.Store(told)
		l.a.wake()
	}
	return links || macs
}

// followOptions makes the ports apply the current refresh interval, rate and ping switch.
func (l *loop) followOptions() {
	if refresh := time.Duration(l.a.refresh.Load()); refresh != l.refresh {
		l.refresh = refresh
		for _, p := range l.ports {
			p.setRefresh(refresh)
		}
	}
	rate, ping := l.a.rate.Load(), l.a.ping.Load()
	if rate != l.rate || ping != l.ping {
		l.rate, l.ping = rate, ping
		for _, p := range l.ports {
			p.bell.ring()
		}
	}
}

// outside reports whether the ranges lack the address, so that the address itself decides whether it is in the scope.
func (l *loop) outside(addr netip.Addr) bool { return !l.ranged.contains(addr) }

// rescope computes the scope: the addresses in the ranges and in the targets. rescope reports whether the scope has
// changed.
func (l *loop) rescope() bool {
	held := make([]Range, 0, l.targets.Len())
	for addr := range l.targets.All() {
		held = append(held, Range{addr, addr})
	}
	l.ranged = newScope(*l.ranges)
	next := newScope(*l.ranges, held)
	if l.scope != nil && l.scope.equal(next) {
		return false
	}
	l.scope = next
	return true
}

// distribute gives every interface that is up a port, and every port its table. An inherited address is not announced,
// except on an interface that has just come up, without a port and not in the first state of the host.
func (l *loop) distribute(first bool, inherited map[netip.Addr]struct{}) {
	assigned := plan(l.targets.Values(), l.layout)
	macs := make(map[MAC]struct{}, len(l.host.MACs))
	for _, m := range l.host.MACs {
		macs[m] = struct{}{}
	}
	kept := make(map[int]*port, len(l.ports))
	for _, i := range l.host.Interfaces {
		p := l.ports[i.Index]
		if !i.Up {
			continue
		}
		d := newDraft(&table{Interface: i, macs: macs, scope: l.scope, asked: &l.a.inquiries, nodes: &l.a.nodes}, nil, nil)
		stays := p != nil && p.serves(i)
		if stays {
			d.old, d.inherited = p.table.Load(), inherited
		} else if p == nil && first {
			d.inherited = inherited
		}
		for addr, mode := range assigned[i.Index] {
			d.assign(addr, mode)
		}
		t := d.finish()
		switch {
		case stays:
			p.update(t)
		default:
			if p != nil {
				p.stop()
			}
			p = newPort(l.ctx, l.a, t, time.Duration(l.a.refresh.Load()))
			l.tasks.Go(p.run)
		}
		kept[i.Index] = p
	}
	for index, p := range l.ports {
		if kept[index] == nil {
			p.stop()
		}
	}
	l.ports = kept
	l.a.ports.Store(new(slices.Collect(maps.Values(kept))))
}

// redistribute gives every port a table with the changed addresses, after a change of nothing but the targets.
func (l *loop) redistribute(changed []netip.Addr, inherited map[netip.Addr]struct{}) {
	drafts := make(map[int]*draft, len(l.ports))
	for index, p := range l.ports {
		old := p.table.Load()
		drafts[index] = newDraft(new(*old), old, inherited)
	}
	var chosen []int
	for _, addr := range changed {
		for _, d := range drafts {
			d.drop(addr)
		}
		t, is := l.targets.Get(addr)
		if !is {
			continue
		}
		chosen = l.layout.serving(t, chosen[:0])
		for _, at := range chosen {
			if d := drafts[l.layout.links[at].Index]; d != nil { // nil for an interface that is down
				d.assign(addr, t.Mode)
			}
		}
	}
	for index, d := range drafts {
		l.ports[index].update(d.finish())
	}
}

// logChanges logs interfaces that appeared, disappeared, or changed in a way visible to neighbours.
func (l *loop) logChanges(before, list []Interface) {
	old := map[int]Interface{}
	for _, i := range before {
		old[i.Index] = i
	}
	for _, i := range list {
		before, known := old[i.Index]
		delete(old, i.Index)
		if known && before.Name == i.Name && before.MAC == i.MAC && before.Up == i.Up && before.Flaps == i.Flaps {
			continue
		}
		l.a.log.Info("interface changed", "interface", i.Name, "mac", i.MAC, "up", i.Up, "prefixes", i.Prefixes)
	}
	for _, i := range old {
		l.a.log.Info("interface gone", "interface", i.Name, "mac", i.MAC)
		if !slices.ContainsFunc(list, func(j Interface) bool { return j.Name == i.Name }) {
			l.a.metrics.forget(i.Name)
		}
	}
}
