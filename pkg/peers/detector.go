package peers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
)

// Detector watches the neighbours of this node: the ready members before and after this node in the order of their
// names. On the wire that clients use, Detector sends a heartbeat to each neighbour twenty times a second, and asks each
// neighbour once a second whether the neighbour answers. Detector asks at once when heartbeats are missing, and ten
// times a second where none arrive, and reports neighbours that do not answer. While a neighbour stays unreachable, the
// report is repeated once a second.
type Detector struct {
	o        DetectorOptions
	contacts contacts
}

// NewDetector returns a Detector. The Detector does nothing before Run.
func NewDetector(o DetectorOptions) *Detector {
	return &Detector{o: o, contacts: contacts{byName: map[string]*contact{}}}
}

// LastHeard returns the time of the last answer of the named neighbour, and false when the node is not a neighbour or
// has not answered yet.
func (d *Detector) LastHeard(name string) (time.Time, bool) { return d.contacts.lastHeard(name) }

// Run watches until ctx is done, and returns nil.
func (d *Detector) Run(ctx context.Context) error {
	r := &rounds{d: d, ctx: ctx, watchers: map[string]*watcher{}}
	defer r.end()
	r.beat(time.Now())
	defer d.o.Prober.OnBeat(r.beat)()
	<-ctx.Done()
	return nil
}

// rounds asks the neighbours. The beats of the Prober own a rounds between the first beat and the end.
type rounds struct {
	d   *Detector
	ctx context.Context
	// watchers holds the watcher of each neighbour, and tasks the goroutines of the watchers.
	watchers    map[string]*watcher
	tasks       sync.WaitGroup
	punctuality punctuality
	// began is the time of the last round, and next the time of the next round.
	began, next time.Time
}

// beat sends heartbeats, looks for answers and, ten times a second, starts a round. beat does not wait.
func (r *rounds) beat(now time.Time) {
	r.punctuality.beat(now)
	late := r.punctuality.lateness()
	r.d.o.Prober.SetStall(stallAfter(r.punctuality.known(now)))
	round := !now.Before(r.next.Add(-beatTolerance))
	if round {
		r.plan(now)
		members := r.d.o.Gossip.Members()
		r.adjust(members)
		r.address(members)
	}
	var most time.Duration
	for _, w := range r.watchers {
		w.send(now, late)
	}
	for _, w := range r.watchers {
		most = max(most, w.beat(now, round, late).total())
	}
	if round && most > 0 {
		r.d.o.Hooks.patience(most)
	}
}

// address finds the routes for heartbeats to the neighbours.
func (r *rounds) address(members []membership.Member) {
	self, _ := named(members, r.d.o.Self)
	for name, w := range r.watchers {
		neighbour, _ := named(members, name)
		w.address(heartbeatRoute(self, neighbour))
	}
}

// plan notes a round, and plans the next round. A late round does not delay the next round.
func (r *rounds) plan(now time.Time) {
	if !r.began.IsZero() {
		r.d.o.Hooks.lateness(max(0, now.Sub(r.began)-probeInterval))
	}
	r.began, r.next = now, r.next.Add(probeInterval)
	if r.next.Before(now) {
		r.next = now.Add(probeInterval)
	}
}

// adjust stops the watchers of former neighbours, and starts watchers of new neighbours.
func (r *rounds) adjust(members []membership.Member) {
	names := neighbours(r.d.o.Self, members, r.d.contacts.unreachable)
	for name, w := range r.watchers {
		if !slices.Contains(names, name) && !r.d.keeps(name) {
			w.end()
			delete(r.watchers, name)
			r.d.contacts.remove(name)
		}
	}
	for _, name := range names {
		if r.watchers[name] == nil {
			r.watchers[name] = newWatcher(r.ctx, name, &r.d.o, &r.d.contacts, &r.tasks)
		}
	}
}

// end stops all watchers, and waits for their goroutines.
func (r *rounds) end() {
	for _, w := range r.watchers {
		w.end()
	}
	r.tasks.Wait()
}

// keeps reports whether a former neighbour is still watched. An unreachable member is watched until the detector has
// reported the sign of life, and a node that gossip has lost until its Node is deleted.
func (d *Detector) keeps(name string) bool {
	if _, present := current(d.o.Gossip, name); present {
		return d.contacts.unreachable(name)
	}
	return d.o.HasNode(name)
}
