package speaker

import (
	"context"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/peers"
)

// loop holds the state of the goroutine in Run. Three files have its methods: messages.go steps single addresses,
// round.go makes rounds, and run.go waits.
type loop struct {
	*parts
	self     *self
	table    *peers.Table
	notifier *notify.Notifier
	prober   *prober
	addrs    *addressSet
	arrivals arrivals
	routing  *routing
	pending  pending
	proofs   proofs
	decision
	shared sharedInputs
	// deadline is the time of the next round if nothing happens before.
	deadline time.Time
	// afterRound is called at the end of each round.
	afterRound func()
}

func newLoop(ctx context.Context, p *parts) *loop {
	l := &loop{
		parts: p, self: newSelf(&p.opt), table: peers.NewTable(p.opt.Self), notifier: notify.New(p.opt.Self),
		prober: newProber(ctx, p.opt.Announcer, p.mailbox.probed), addrs: inherit(p.opt.Predecessor.Addrs),
		routing: newRouting(p.opt.Self, p.opt.Routing), afterRound: func() {},
	}
	l.proofs = newProofs(&p.opt, l.prober, p.mailbox.proofs, &p.answering)
	l.table.Restore(p.opt.Predecessor.Members, time.Now())
	return l
}

// begin stores a snapshot of the cluster for a new round.
func (l *loop) begin(snapshot cluster.Snapshot) {
	l.pending.begin()
	l.look(snapshot)
}

// decide updates the peer table and places all addresses.
func (l *loop) decide(now time.Time) {
	l.pending.begin()
	changes := l.table.Update(now, peers.Input{
		Members: l.opt.Peers.Members(), Self: l.self.member(l.addrs), Nodes: l.snapshot.Nodes,
		Versions: l.snapshot.Versions,
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
	l.opt.Announcer.SetNodes(l.table.View().MACs())
	l.place(l.table.Ready())
}

// route decides on the routes of this node, and passes them on.
func (l *loop) route(now time.Time) {
	if !l.routing.concerned(l.snapshot.Config) || l.opt.Predecessor.Succeeds && !l.self.wasReady {
		l.routing.rest() // what Inherit has passed on stays, until this process can decide
		return
	}
	l.routing.update(now, routingInputs{
		snapshot: l.snapshot, members: l.table.Ready(),
		local: local{
			self: l.opt.Self, node: l.snapshot.Node(l.opt.Self), interfaces: l.opt.Announcer.Interfaces(),
			ready: l.self.state == membership.Ready,
		},
	})
}

// announceTaken repeats the announcements of all addresses taken since a time. A member that was unreachable since then
// may still answer for an address, and learns the owner from the announcement.
func (l *loop) announceTaken(since time.Time) { l.opt.Announcer.Announce(l.addrs.takenSince(since)) }

// plan sets the deadline of the next round.
func (l *loop) plan(now time.Time) {
	l.deadline = l.addrs.next(now.Add(time.Hour))
	for _, at := range []time.Time{l.table.Next(), l.notifier.Next(), l.routing.next(), l.proofs.next} {
		if !at.IsZero() && at.Before(l.deadline) {
			l.deadline = at
		}
	}
}
