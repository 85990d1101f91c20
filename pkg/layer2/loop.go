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

// loop is what the goroutine of Run owns.
type loop struct {
	a     *Announcer
	ctx   context.Context
	tasks *sync.WaitGroup

	ports   map[int]*port // by interface index
	targets *[]Target
	ranges  *[]Range
	scope   *scope
	told    *[]Interface
	refresh time.Duration
	rate    int64
	ping    bool
}

// reconcile takes over what was set and told since the last time, and does nothing if that is nothing new.
func (l *loop) reconcile() {
	told := l.a.told.Load()
	if told == nil {
		return // the first list of interfaces is still to come, and nothing of what was set is lost until then
	}
	again := l.a.again.take()   // before the targets: what was set before it was to be announced is there then
	resume := l.a.resume.Load() // before them too, for the same reason
	defer l.a.pulse.resumed.Store(resume)
	targets := l.a.targets.Load()
	first := l.told == nil
	interfacesChanged := first || !slices.EqualFunc(*l.told, *told, Interface.equal)
	if interfacesChanged {
		l.logChanges(*told)
		l.told = told
		l.a.interfaces.Store(told)
		l.a.wake()
	}
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
	if interfacesChanged || targetsChanged || scopeChanged {
		l.distribute(first, fresh)
	}
	if refresh := time.Duration(l.a.refresh.Load()); refresh != l.refresh {
		l.refresh = refresh
		for _, p := range l.ports {
			p.setRefresh(refresh)
		}
	}
	if rate := l.a.rate.Load(); rate != l.rate {
		l.rate = rate
		for _, p := range l.ports {
			p.bell.ring()
		}
	}
	if ping := l.a.ping.Load(); ping != l.ping {
		l.ping = ping
		for _, p := range l.ports {
			p.bell.ring()
		}
	}
	if len(again) > 0 {
		for _, p := range l.ports {
			p.announce(again)
		}
	}
}

// rescope works out which addresses frames may concern us with, and reports whether these are others than before.
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

// distribute gives every interface that is up a port, and every port its table. Of the inherited addresses, those are not
// announced whose interface is none that has just come up: one that was up in the first list of all, or had its port before.
func (l *loop) distribute(first bool, inherited map[netip.Addr]struct{}) {
	assigned := plan(*l.targets, *l.told)
	macs := make(map[MAC]struct{}, len(*l.told))
	for _, i := range *l.told {
		macs[i.MAC] = struct{}{}
	}
	kept := make(map[int]*port, len(l.ports))
	for _, i := range *l.told {
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

// logChanges says which interfaces came, went, or changed what their neighbours see of them.
func (l *loop) logChanges(list []Interface) {
	old := map[int]Interface{}
	if l.told != nil {
		for _, i := range *l.told {
			old[i.Index] = i
		}
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
