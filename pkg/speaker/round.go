package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// round makes one round of decisions and applies them.
func (l *loop) round(now time.Time) {
	l.opt.Hooks.Deciding(len(l.placements))
	l.self.assess(now)
	stalls := l.suspendAfterStall(now)
	l.begin(l.opt.Source.Snapshot())
	if n := l.snapshot.Node(l.opt.Self); n != nil {
		l.opt.Announcer.SetNodeAddrs(n.Addresses)
	}
	l.self.configure(l.snapshot.Config)
	l.decide(now)
	l.arrivals.update(now, l.self.state == membership.Ready, l.touched, l.placements, l.ledger.Services)
	l.route(now)
	l.stepOpen(now)
	l.opt.Announcer.Change(l.addrs.settle(l.placements))
	l.opt.Announcer.Resume(stalls)
	l.announcePending()
	l.askPending(now)
	l.proofs.ask(now, l.addrs, &l.snapshot, l.placements, l.table.Entries)
	l.self.tell(l.addrs, l.status.Load() == nil)
	l.notify(now)
	l.publish()
	l.addrs.close(l.touched)
	l.settled()
	l.plan(now)
	l.afterRound()
}

// suspendAfterStall suspends every address after a stall of this process: other nodes may have taken the addresses. The
// announcer has answered for no address since it noticed the stall. The result is the number of stalls to resume after.
func (l *loop) suspendAfterStall(now time.Time) uint64 {
	stalls, is := l.self.stalled()
	if !is {
		return stalls
	}
	if held := l.addrs.held; len(held) > 0 {
		l.opt.Log.Warn("this process was stalled: asking the wire whether its addresses are still its own",
			"addresses", len(held))
	}
	for _, a := range l.addrs.byAddr {
		l.step(a, now, ownership.Event{Kind: ownership.Stalled})
	}
	l.opt.Announcer.Change(l.addrs.settle(l.placements)) // an address in use by this node cannot be probed
	return stalls
}

// stepOpen steps every open address with the inputs of the round and the pending results of probes. After a change of
// an input that all addresses share, and after the loss of a claim, all addresses are open.
func (l *loop) stepOpen(now time.Time) {
	results := l.pending.takeResults()
	l.addrs.reopen(l.touched, l.placements)
	l.addrs.reopen(slices.Collect(maps.Keys(results)), l.placements)
	changed := l.shared.follow(l.self, l.table.View())
	if lost := l.mailbox.lostClaim.Swap(false); lost || changed {
		l.addrs.reopenAll()
	}
	for addr, a := range l.addrs.open {
		l.step(a, now, ownership.Event{Kind: ownership.Review})
		if result, is := results[addr]; is {
			l.step(a, time.Now(), result) // this process may have been stalled since the round began
		}
	}
	l.addrs.forget(l.placements)
}

// askPending starts the pending probes, because the announcer knows the states of all addresses now.
func (l *loop) askPending(now time.Time) {
	for _, r := range l.pending.takeAsks() {
		a := l.addrs.byAddr[r.addr]
		switch {
		case a == nil:
		case r.probe.Backup && !l.prober.admit(now):
			l.step(a, now, ownership.Event{Kind: ownership.Throttled})
		case r.probe.Backup:
			l.prober.start(r, l.prober.witnesses(l.opt.Self, r.addr, l.table.Entries()))
		default:
			l.prober.start(r, nil)
		}
	}
}

// notify sends the due Events.
func (l *loop) notify(now time.Time) {
	l.notifyKernels(now)
	ready := l.table.Ready()
	first := len(ready) == 0 || ready[0].Name == l.opt.Self
	events, unannounced := l.notifier.Review(now, notify.Round{
		Snapshot: l.snapshot, Placements: l.placements, Touched: l.touched, PrevOwner: l.prevOwner, First: first,
		Owned: l.addrs.holds, Foreign: l.addrs.foreignHost,
	})
	for _, p := range unannounced {
		if p.Reason == reason.NodeAddress {
			l.opt.Log.Info("a node's own address is not announced", "ip", p.Addr, "service", p.Services, "detail", p.Detail)
			continue
		}
		l.opt.Log.Warn("nobody answers", "ip", p.Addr, "service", p.Services, "reason", p.Reason, "detail", p.Detail)
	}
	var blocked []string
	var port uint16
	for _, u := range l.opt.Peers.Unreached() {
		if l.blocked(u) {
			blocked, port = append(blocked, u.Name), u.Addr.Port()
		}
	}
	events = append(events, l.notifier.GossipBlocked(l.snapshot, blocked, port)...)
	events = append(events, l.self.told.bonds.events(l.opt.Log, l.notifier, l.snapshot, l.opt.Announcer.Interfaces())...)
	events = append(events, l.routing.events(now, l.snapshot, first)...)
	for _, e := range events {
		l.opt.Event(e)
	}
}

// notifyKernels notifies people of the addresses for which the kernels of the nodes answer, because of kube-proxy.
func (l *loop) notifyKernels(now time.Time) {
	elected, other := l.self.told.kernels.review(l.opt.Self, l.placements, l.touched, l.opt.Announcer)
	for _, p := range elected {
		l.notifier.KernelsAnswer(now, p)
	}
	if other.IsValid() {
		l.opt.Event(l.notifier.NodeKernel(l.snapshot, other))
	}
	if len(elected) > 0 || other.IsValid() {
		l.opt.Log.Warn("the kernel answers for addresses: kube-proxy runs in IPVS mode without strictARP",
			"addresses", len(elected))
	}
}

// publish publishes the status of the round, and calls back after a change of the owned addresses or the foreign hosts.
func (l *loop) publish() {
	before := l.Status()
	l.opt.Announcer.Change(l.addrs.settle(l.placements)) // the probes that were refused since
	st := &Status{
		State: l.self.state, Since: l.self.changed, Lacks: l.self.lacks, Ready: l.self.ready, Placements: l.placements,
		Held: l.addrs.held, Foreign: l.addrs.foreign(), Addresses: l.addrs.facts,
		Changes:  lastChanges(before.Changes, l.pending.takeChanges()),
		routing:  l.routing.shown(),
		snapshot: l.snapshot, members: l.table.Ready(), entries: l.table.Entries(), view: l.table.View(),
	}
	l.status.Store(st)
	l.sightings.tidy(len(l.placements), func(a netip.Addr) bool { return placement.Find(l.placements, a) != nil })
	maps.DeleteFunc(l.prober.failed, func(a netip.Addr, _ error) bool { return l.addrs.byAddr[a] == nil })
	if !cluster.SameList(st.Held, before.Held) {
		l.opt.Hooks.Held(st.Held)
	}
	if !slices.Equal(st.Foreign, before.Foreign) {
		l.opt.Hooks.Foreign()
	}
}

// lastChanges returns the most recent changes, the oldest first, in a new slice.
func lastChanges(before, more []ownership.Change) []ownership.Change {
	if len(more) == 0 {
		return before
	}
	all := slices.Concat(before, more)
	return slices.Clone(all[max(0, len(all)-keptChanges):])
}
