package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// stepAll steps every address with the inputs of the round, and with the results of probes that have come.
func (l *loop) stepAll(now time.Time) {
	results := l.pending.results
	l.pending.results = map[netip.Addr]ownership.Event{}
	for i := range l.placements {
		if addr := l.placements[i].Addr; l.addrs[addr] == nil {
			l.addrs[addr] = ownership.New(addr)
		}
	}
	for addr, a := range l.addrs {
		l.step(a, now, ownership.Event{Kind: ownership.Review})
		if result, is := results[addr]; is {
			l.step(a, time.Now(), result) // this process may have been stalled since the round began
		}
	}
	maps.DeleteFunc(l.addrs, func(addr netip.Addr, a *ownership.Address) bool {
		return a.Idle() && placement.Find(l.placements, addr) == nil
	})
}

// step steps one address and carries out its actions.
func (l *loop) step(a *ownership.Address, now time.Time, e ownership.Event) {
	in := ownership.Input{
		Event: e, Placement: placement.Find(l.placements, a.Addr), PrevOwner: l.prevOwners[a.Addr], Peers: l.table.View(),
		Self: ownership.Self{
			Name: l.opt.Self, Ready: l.self.ready, Settled: l.self.settled, Configured: l.snapshot.Config != nil,
			Informed: l.self.informed, Leaving: l.self.leaving,
		},
		Failback: l.failback(), Arrival: l.arrivals.byAddr[a.Addr], Heard: l.sightings.of(a.Addr),
		Kernel: l.self.kernelHas(a.Addr), LastDefense: l.lastDefense,
	}
	for _, action := range a.Step(now, in) {
		l.act(a, now, &in, action)
	}
}

// act carries out one action of an address.
func (l *loop) act(a *ownership.Address, now time.Time, in *ownership.Input, action ownership.Action) {
	log := l.opt.Log.With("ip", a.Addr, "state", a.State())
	switch action.Kind {
	case ownership.Ask:
		l.pending.asks = append(l.pending.asks, request{addr: a.Addr, probe: action.Probe, placement: in.Placement})
	case ownership.Announce:
		log.Warn("announcing an address that a peer has claimed", "node", action.Node)
		l.pending.announce = append(l.pending.announce, a.Addr)
	case ownership.Report:
		l.changed(action.Change, in.Placement)
	case ownership.Refute:
		log.Info("suspected member answers", "node", action.Node)
		if l.table.Refute(action.Node) && in.Event.Kind == ownership.Probed {
			l.metrics.refuted.Inc()
		}
		l.pending.again = true
	case ownership.ExchangeVersions:
		if l.table.Tell(action.Node, now) {
			l.opt.Peers.Tell(action.Node, l.table.Versions().Words())
		}
	case ownership.Dispute:
		l.metrics.conflicts[conflictPeer].Inc()
	case ownership.ForeignClaim:
		l.metrics.conflicts[conflictForeign].Inc()
	case ownership.ForeignHost:
		log.Warn("another host has an address of a Service", "mac", action.Host.MAC, "node", action.Host.Node)
		if p := in.Placement; p != nil {
			l.notifier.ForeignHost(now, a.Addr, action.Host, p)
		}
	case ownership.Sighted:
		l.sightings.note(a.Addr, ownership.Sighting{MAC: action.Host.MAC, At: now, Answer: true})
	case ownership.Defend:
		log.Warn("announcing an address that another host has claimed", "mac", action.Host.MAC)
		l.metrics.defences.Inc()
		l.lastDefense = now
		l.pending.announce = append(l.pending.announce, a.Addr)
	case ownership.Unprobed:
		log.Warn("address cannot be probed, and is not taken over before it can", "err", l.prober.failed[a.Addr])
	case ownership.SuccessorHeard:
		log.Info("successor heard", "node", action.Node)
	case ownership.Stopped:
		log.Info("stopped answering")
	case ownership.Free:
		log.Info("address is free again")
	}
}

// changed counts, logs and keeps a change of ownership.
func (l *loop) changed(c ownership.Change, p *placement.Placement) {
	l.metrics.changes[c.Kind][c.Cause].Inc()
	args := []any{"ip", c.Addr, "reason", c.Cause}
	if p != nil && c.Kind == ownership.Gained {
		args = append(args, "service", p.Services)
		l.notifier.Gained(c.At, c, p)
	}
	switch {
	case c.Peer != "" && c.Kind == ownership.Gained:
		args = append(args, "from", c.Peer)
	case c.Peer != "":
		args = append(args, "to", c.Peer)
	}
	if c.After > 0 {
		args = append(args, "after", c.After)
		l.metrics.failover.Observe(c.After.Seconds())
	}
	l.opt.Log.Info("ownership "+c.Kind.String(), args...)
	l.pending.changes = append(l.pending.changes, c)
}

// targets returns the whole set of addresses to answer for and to listen to.
func (l *loop) targets() []layer2.Target {
	targets := make([]layer2.Target, 0, len(l.placements))
	for i := range l.placements {
		p := &l.placements[i]
		if p.Reason != reason.Announced {
			continue
		}
		a := l.addrs[p.Addr]
		t := layer2.Target{Addr: p.Addr, Interfaces: p.Interfaces, Mode: layer2.Watch}
		if a.State().Answers() {
			t.Mode, t.Announced = layer2.Answer, a.Inherited()
		}
		targets = append(targets, t)
	}
	return targets
}

// held returns the addresses that this node has, sorted.
func (l *loop) held() (addrs []netip.Addr) {
	for addr, a := range l.addrs {
		if a.State().Holds() {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// suspendAfterStall suspends every address when this process was stalled: other nodes may have taken them. The announcer answers for none
// since it noticed. The result is the number of stalls to resume after.
func (l *loop) suspendAfterStall(now time.Time) uint64 {
	stalls := l.opt.Announcer.Standstills()
	if stalls == l.self.stalls {
		return stalls
	}
	l.self.stalls = stalls
	if held := l.held(); len(held) > 0 {
		l.opt.Log.Warn("this process was stalled: asking the wire whether its addresses are still its own", "addresses", len(held))
	}
	for _, a := range l.addrs {
		l.step(a, now, ownership.Event{Kind: ownership.Stalled})
	}
	l.opt.Announcer.Set(l.targets()) // an address that is answered for cannot be probed
	return stalls
}

// announcePending announces again the addresses that wait for that.
func (l *loop) announcePending() {
	if len(l.pending.announce) > 0 {
		l.opt.Announcer.Announce(l.pending.announce)
		l.pending.announce = nil
	}
}

// announceTaken announces again what this node has taken since a time. A member that was unreachable since then may still answer for it, and
// hears now who has it.
func (l *loop) announceTaken(since time.Time) {
	var taken []netip.Addr
	for addr, a := range l.addrs {
		if a.TookSince(since) {
			taken = append(taken, addr)
		}
	}
	l.opt.Announcer.Announce(taken)
}
