package speaker

import (
	"context"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

// loop is what the goroutine of Run works on. Its methods are in messages.go, which steps single addresses, in round.go, and in run.go.
type loop struct {
	*parts
	self     *self
	table    *peers.Table
	notifier *notify.Notifier
	prober   *prober
	addrs    addressSet
	arrivals arrivals
	pending  pending
	// snapshot, placements and prevOwners belong to the last round; prevOwners are the owners of the round before.
	snapshot   cluster.Snapshot
	placements []placement.Placement
	prevOwners map[netip.Addr]string
	// deadline is when the loop acts although nothing has happened.
	deadline time.Time
	// lastDefense is when claims of foreign hosts were answered last.
	lastDefense time.Time
}

func newLoop(ctx context.Context, p *parts) *loop {
	l := &loop{
		parts: p, self: newSelf(&p.opt), table: peers.NewTable(p.opt.Self), notifier: notify.New(p.opt.Self),
		prober: newProber(ctx, p.opt.Announcer, p.mailbox.probed), addrs: inherit(p.opt.Predecessor.Addrs),
	}
	l.table.Restore(p.opt.Predecessor.Members, time.Now())
	return l
}

// begin takes in a snapshot of the cluster, which a new round decides from.
func (l *loop) begin(snapshot cluster.Snapshot) {
	l.pending.begin()
	l.snapshot = snapshot
	l.prevOwners = make(map[netip.Addr]string, len(l.placements))
	for i := range l.placements {
		l.prevOwners[l.placements[i].Addr] = l.placements[i].Owner
	}
}

// decide brings the peers up to date and places all addresses.
func (l *loop) decide(now time.Time) {
	l.pending.begin()
	changes := l.table.Update(now, peers.Input{
		Members: l.opt.Peers.Members(), Self: l.self.member(l.addrs), Nodes: l.snapshot.Nodes, Versions: l.snapshot.Versions,
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

// announceTaken announces again what this node has taken since a time. A member that was unreachable since then may still answer for it, and
// hears now who has it.
func (l *loop) announceTaken(since time.Time) { l.opt.Announcer.Announce(l.addrs.takenSince(since)) }

// defended notes that claims of foreign hosts are answered.
func (l *loop) defended(now time.Time) { l.lastDefense = now }

// plan sets when the loop acts although nothing has happened.
func (l *loop) plan(now time.Time) {
	l.deadline = l.addrs.next(now.Add(time.Hour))
	for _, at := range []time.Time{l.table.Next(), l.notifier.Next()} {
		if !at.IsZero() && at.Before(l.deadline) {
			l.deadline = at
		}
	}
}
