package speaker

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

// defaultFailback is the failback delay without a configuration.
const defaultFailback = time.Minute

// loop is what the goroutine of Run works on.
type loop struct {
	*Speaker
	table    *peers.Table
	notifier *notify.Notifier
	prober   *prober
	self     self
	arrivals arrivals
	// snapshot, placements and prevOwners belong to the last round; prevOwners are the owners of the round before.
	snapshot   cluster.Snapshot
	placements []placement.Placement
	prevOwners map[netip.Addr]string
	// addrs are the addresses that Services have, or that must not be forgotten yet.
	addrs map[netip.Addr]*ownership.Address
	// pending are actions that wait for the announcer to know the states of all addresses.
	pending pending
	// deadline is when the loop acts although nothing has happened.
	deadline time.Time
	// lastDefense is when claims of foreign hosts were answered last.
	lastDefense time.Time
}

// pending are the actions of addresses that are carried out together.
type pending struct {
	asks     []request
	announce []netip.Addr
	results  map[netip.Addr]ownership.Event
	changes  []ownership.Change
	// again is true when another round must follow at once.
	again bool
}

func newLoop(s *Speaker, ctx context.Context) *loop {
	now := time.Now()
	l := &loop{
		Speaker: s, table: peers.NewTable(s.opt.Self), notifier: notify.New(s.opt.Self), prober: newProber(ctx, s),
		addrs: map[netip.Addr]*ownership.Address{}, pending: pending{results: map[netip.Addr]ownership.Event{}},
		// Another process of this node that handed over answers for what this one inherits: a stall before now concerns nothing.
		self: self{stalls: s.opt.Announcer.Standstills(), ready: s.opt.Predecessor.Since},
	}
	for _, a := range s.opt.Predecessor.Addrs {
		l.addrs[a] = ownership.Inherit(a)
	}
	l.table.Restore(s.opt.Predecessor.Members, now)
	return l
}

// run makes a round now and whenever there is news or time for one, until ctx is done or done returns true after a round.
func (l *loop) run(ctx context.Context, done func() bool) {
	for {
		l.round(time.Now())
		if done() {
			return
		}
		if l.pending.again {
			continue
		}
		timer := time.NewTimer(max(time.Until(l.deadline), 0))
		for news := false; !news; {
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
				news = true
			case <-l.opt.Wake:
				news = true
			case m := <-l.mailbox.claims:
				news = l.claimed(m, time.Now())
			case m := <-l.mailbox.suspicions:
				news = l.suspected(m, time.Now())
			case m := <-l.mailbox.versions:
				news = l.told(m, time.Now())
			case m := <-l.mailbox.probed:
				news = l.probed(m)
			}
		}
		timer.Stop()
		l.drain()
	}
}

// drain takes in all messages that have come meanwhile, so that they share a round.
func (l *loop) drain() {
	for {
		select {
		case m := <-l.mailbox.claims:
			l.claimed(m, time.Now())
		case m := <-l.mailbox.suspicions:
			l.suspected(m, time.Now())
		case m := <-l.mailbox.versions:
			l.told(m, time.Now())
		case m := <-l.mailbox.probed:
			l.probed(m)
		default:
			return
		}
	}
}

// claimed steps the address that another host has announced, and reports whether a round must follow.
func (l *loop) claimed(c layer2.Claim, now time.Time) (news bool) {
	a := l.addrs[c.Addr]
	if a == nil {
		return false
	}
	before := a.State()
	l.step(a, now, ownership.Event{Kind: ownership.Claimed, MAC: c.MAC})
	if l.pending.again {
		l.decide(now) // a suspicion was refuted: the claimant counts again
		l.step(a, now, ownership.Event{Kind: ownership.Claimed, MAC: c.MAC})
	}
	l.announcePending()
	next := a.Next()
	return a.State() != before || len(l.pending.asks) > 0 || !next.IsZero() && next.Before(l.deadline)
}

// suspected takes in a suspicion or a sign of life.
func (l *loop) suspected(x peers.Suspicion, now time.Time) (news bool) {
	recovered, changed := l.table.Suspect(x, now)
	if changed && x.Silent == 0 {
		l.opt.Log.Info("member is heard again", "node", x.Name)
		l.announceTaken(recovered)
	}
	return changed
}

// told takes in how far another member has seen the cluster.
func (l *loop) told(m versionsFrom, now time.Time) (news bool) {
	changed, reply := l.table.Heard(m.node, m.versions, now)
	if reply {
		l.opt.Peers.Tell(m.node, l.table.Versions().Words())
	}
	return changed
}

// probed keeps the result of a probe for the next round.
func (l *loop) probed(m probed) (news bool) {
	l.pending.results[m.addr] = m.event
	if m.err != nil {
		l.prober.failed[m.addr] = m.err
	}
	return true
}

// round decides and applies once.
func (l *loop) round(now time.Time) {
	l.pending.again = false
	l.assess(now)
	stalls := l.suspendAfterStall(now)
	l.snapshot = l.opt.Source.Snapshot()
	if n := l.snapshot.Node(l.opt.Self); n != nil {
		l.opt.Announcer.SetNodeAddrs(n.Addresses)
	}
	l.prevOwners = make(map[netip.Addr]string, len(l.placements))
	for i := range l.placements {
		l.prevOwners[l.placements[i].Addr] = l.placements[i].Owner
	}
	l.decide(now)
	l.arrivals.update(now, l.self.state == membership.Ready, l.placements, l.snapshot.Services, l.notifier.Unannounced)
	l.configure(l.snapshot.Config)
	l.stepAll(now)
	l.opt.Announcer.Set(l.targets())
	l.opt.Announcer.Resume(stalls)
	l.announcePending()
	l.askPending(now)
	l.report()
	l.notify(now)
	l.publish()
	l.deadline = l.next(now)
}

// decide brings the peers up to date and places all addresses.
func (l *loop) decide(now time.Time) {
	l.pending.again = false
	changes := l.table.Update(now, peers.Input{
		Members: l.opt.Peers.Members(), Self: l.self.member(l), Nodes: l.snapshot.Nodes, Versions: l.snapshot.Versions,
	})
	for _, name := range changes.Returned {
		l.opt.Log.Info("member is back", "node", name)
	}
	for _, name := range changes.Lost {
		l.opt.Log.Warn("member lost", "node", name)
	}
	for _, since := range changes.Recovered {
		l.announceTaken(since)
	}
	l.placements = placement.Decide(l.snapshot, l.table.Ready())
}

// next returns when the loop acts although nothing has happened.
func (l *loop) next(now time.Time) time.Time {
	next := now.Add(time.Hour)
	earlier := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	for _, a := range l.addrs {
		earlier(a.Next())
	}
	earlier(l.table.Next())
	earlier(l.notifier.Next())
	return next
}

// configure passes to the announcer what the configuration says about it. Without a valid one the announcer keeps its settings.
func (l *loop) configure(cfg *config.Config) {
	if cfg == nil || cfg == l.self.config {
		return
	}
	l.self.config = cfg
	var ranges []layer2.Range
	for _, pool := range cfg.Pools {
		for _, r := range pool.Ranges {
			ranges = append(ranges, layer2.Range(r))
		}
	}
	refresh := cfg.Layer2.Refresh
	if refresh == 0 {
		refresh = -1 // 0 means never in the configuration, and the default in the announcer
	}
	l.opt.Announcer.SetRanges(ranges)
	l.opt.Announcer.SetRefresh(refresh)
	l.opt.Announcer.SetRate(cfg.Layer2.Rate)
	l.opt.Announcer.SetPing(cfg.Layer2.Ping)
}

// failback returns the failback delay in force.
func (l *loop) failback() ownership.Failback {
	if l.self.config == nil {
		return ownership.Failback{Delay: defaultFailback}
	}
	return ownership.Failback{
		Delay: l.self.config.Layer2.Failback, Never: l.self.config.Layer2.Failback == config.FailbackNever,
	}
}

// notify sends the Events that are due.
func (l *loop) notify(now time.Time) {
	ready := l.table.Ready()
	events, unannounced := l.notifier.Review(now, notify.Round{
		Snapshot: l.snapshot, Placements: l.placements, PrevOwners: l.prevOwners,
		First:   len(ready) == 0 || ready[0].Name == l.opt.Self,
		Owned:   func(a netip.Addr) bool { return l.addrs[a] != nil && l.addrs[a].State().Holds() },
		Foreign: l.foreignHost,
	})
	for _, p := range unannounced {
		l.opt.Log.Warn("nobody answers", "ip", p.Addr, "service", p.Services, "reason", p.Reason, "detail", p.Detail)
	}
	unreached := l.opt.Peers.Unreached()
	names := make([]string, len(unreached))
	for i, u := range unreached {
		names[i] = u.Name
	}
	if len(unreached) > 0 {
		events = append(events, l.notifier.GossipBlocked(l.snapshot, slices.Compact(names), unreached[0].Addr.Port())...)
	}
	for _, e := range events {
		l.opt.Event(e)
	}
}
