package speaker

import (
	"log/slog"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

// step steps one address and carries out its actions.
func (l *loop) step(a *ownership.Address, now time.Time, e ownership.Event) {
	l.addrs.note(a)
	in := l.input(a, e)
	for _, action := range a.Step(now, in) {
		l.act(a, now, &in, action)
	}
}

// input returns the inputs of one address.
func (l *loop) input(a *ownership.Address, e ownership.Event) ownership.Input {
	p := placement.Find(l.placements, a.Addr)
	return ownership.Input{
		Event: e, Self: l.self.facts(), Placement: p, Path: l.proofs.path(a, p, &l.snapshot),
		PrevOwner: l.prevOwner(a.Addr), Peers: l.table.View(), Failback: l.self.failback(),
		Arrival: l.arrivals.byAddr[a.Addr], Heard: l.sightings.of(a.Addr),
		Kernel: l.self.kernelHas(a.Addr), LastDefense: l.addrs.lastDefense,
	}
}

// act carries out one action of an address.
func (l *loop) act(a *ownership.Address, now time.Time, in *ownership.Input, action ownership.Action) {
	switch action.Kind {
	case ownership.Ask:
		l.pending.ask(request{addr: a.Addr, probe: action.Probe, placement: in.Placement})
	case ownership.Announce:
		l.pending.announce(a.Addr)
	case ownership.Defend:
		l.pending.announce(a.Addr)
		l.metrics.defences.Inc()
		l.addrs.defended(now)
	case ownership.Report:
		l.changed(action.Change, in.Placement)
	case ownership.Refute:
		if l.table.Refute(action.Node) && in.Event.Kind == ownership.Probed {
			l.metrics.refuted.Inc()
		}
		l.pending.repeat()
	case ownership.ExchangeVersions:
		if l.table.Tell(action.Node, now) {
			l.opt.Peers.Tell(action.Node, l.table.Versions().Words())
		}
	case ownership.Dispute:
		l.metrics.conflicts[conflictPeer].Inc()
	case ownership.ForeignClaim:
		l.metrics.conflicts[conflictForeign].Inc()
	case ownership.ForeignHost:
		// An address for which the kernels of all nodes answer has an Event of its own; see notifyKernels.
		told := action.Host.Node != "" && l.opt.Announcer.ProxyAnswers(a.Addr)
		if p := in.Placement; p != nil && !told {
			l.notifier.ForeignHost(now, a.Addr, action.Host, p, l.opt.Announcer.Proxied(a.Addr))
		}
	case ownership.Sighted:
		l.sightings.note(a.Addr, ownership.Sighting{MAC: action.Host.MAC, At: now})
	}
	l.logAction(a, action)
}

// logAction logs the actions that concern people. Most actions are not logged, so only these build a logger.
func (l *loop) logAction(a *ownership.Address, action ownership.Action) {
	log := func() *slog.Logger { return l.opt.Log.With("ip", a.Addr, "state", a.State()) }
	switch action.Kind {
	case ownership.Announce:
		log().Warn("announcing an address that a peer has claimed", "node", action.Node)
	case ownership.Refute:
		log().Info("suspected member answers", "node", action.Node)
	case ownership.ForeignHost:
		log().Warn("another host has an address of a Service", "mac", action.Host.MAC, "node", action.Host.Node)
	case ownership.Defend:
		log().Warn("announcing an address that another host has claimed", "mac", action.Host.MAC)
	case ownership.Unprobed:
		log().Warn("address cannot be probed, and is not taken over before it can", "err", l.prober.failed[a.Addr])
	case ownership.SuccessorHeard:
		log().Info("successor heard", "node", action.Node)
	case ownership.Stopped:
		log().Info("stopped answering")
	case ownership.Free:
		log().Info("address is free again")
	}
}

// changed counts, logs and stores a change of ownership.
func (l *loop) changed(c ownership.Change, p *placement.Placement) {
	l.metrics.changes[c.Kind][c.Cause].Inc()
	if c.Kind == ownership.Gained {
		refusals{l}.tookUnproven(c.At, c.Addr, p)
	}
	args := []any{"ip", c.Addr, "reason", c.Cause}
	switch {
	case c.Peer != "" && c.Kind == ownership.Gained:
		args = append(args, "from", c.Peer)
	case c.Peer != "":
		args = append(args, "to", c.Peer)
	}
	if p != nil && c.Kind == ownership.Gained {
		args = append(args, "service", p.Services)
		l.notifier.Gained(c.At, c, p)
	}
	if c.After > 0 {
		args = append(args, "after", c.After)
		l.metrics.failover.Observe(c.After.Seconds())
	}
	l.opt.Log.Info("ownership "+c.Kind.String(), args...)
	l.pending.change(c)
}

// claimed steps an address after an announcement of another host, and reports whether a round must follow.
func (l *loop) claimed(c layer2.Claim, now time.Time) (news bool) {
	a := l.addrs.byAddr[c.Addr]
	if a == nil {
		return false
	}
	before := a.State()
	l.step(a, now, ownership.Event{Kind: ownership.Claimed, MAC: c.MAC})
	if l.pending.again {
		l.decide(now) // an answer refuted a suspicion: the rank of the claimant counts again
		l.step(a, now, ownership.Event{Kind: ownership.Claimed, MAC: c.MAC})
	}
	l.announcePending()
	next := a.Next()
	return a.State() != before || len(l.pending.asks) > 0 || !next.IsZero() && next.Before(l.deadline)
}

// announcePending repeats the announcements of all pending addresses.
func (l *loop) announcePending() {
	if addrs := l.pending.takeAnnouncements(); len(addrs) > 0 {
		l.opt.Announcer.Announce(addrs)
	}
}

// suspected processes a suspicion or a sign of life, and reports whether a round must follow.
func (l *loop) suspected(x peers.Suspicion, now time.Time) (news bool) {
	recovered, changed := l.table.Suspect(x, now)
	if changed && x.Silent == 0 {
		l.opt.Log.Info("member is heard again", "node", x.Name)
		l.announceTaken(recovered)
	}
	return changed
}

// told processes the versions of another member, and reports whether a round must follow.
func (l *loop) told(m versionsFrom, now time.Time) (news bool) {
	changed, reply := l.table.Heard(m.node, m.versions, now)
	if reply {
		l.opt.Peers.Tell(m.node, l.table.Versions().Words())
	}
	return changed
}

// probed stores the result of a probe for the next round.
func (l *loop) probed(m probed) {
	l.prober.note(m.addr, m.err)
	l.pending.result(m.addr, m.event)
}
