package layer2

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// loop holds the state of the goroutine of Run.
type loop struct {
	a     *Announcer
	ctx   context.Context
	tasks *sync.WaitGroup

	ports   map[int]*port // by interface index
	targets *[]Target
	ranges  *[]Range
	scope   *scope
	host    *HostState
	node    *[]netip.Addr
	layout  *layout
	refresh time.Duration
	rate    int64
	ping    bool
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
	targets := l.a.targets.Load()
	first := l.host == nil
	hostChanged := l.followHost(told, l.a.node.Load())
	targetsChanged := l.targets == nil || !slices.EqualFunc(*l.targets, *targets, Target.equal)
	var fresh map[netip.Addr]struct{}
	if targetsChanged {
		fresh = inherited(*cmp.Or(l.targets, new([]Target)), *targets)
		l.targets = targets
	}
	scopeChanged := false
	if ranges := l.a.ranges.Load(); targetsChanged || ranges != l.ranges {
		l.ranges = ranges
		scopeChanged = l.rescope()
	}
	if hostChanged || targetsChanged || scopeChanged {
		l.distribute(first, fresh)
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

// rescope computes the scope: the addresses in the ranges and in the targets. rescope reports whether the scope has
// changed.
func (l *loop) rescope() bool {
	held := make([]Range, len(*l.targets))
	for i, t := range *l.targets {
		held[i] = Range{t.Addr, t.Addr}
	}
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
	assigned := plan(*l.targets, l.layout)
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
		known := assigned[i.Index]
		t := &table{Interface: i, addrs: answered(known), known: known, macs: macs, scope: l.scope, asked: &l.a.inquiries}
		t.kernel = common(t.addrs, i.Local)
		if p == nil || !p.serves(i) {
			if p != nil {
				p.stop()
			} else if first {
				t.keepAnnounced(nil, inherited)
			}
			p = newPort(l.ctx, l.a, t, time.Duration(l.a.refresh.Load()))
			l.tasks.Go(p.run)
		} else {
			t.keepAnnounced(p.table.Load(), inherited)
			p.update(t)
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
