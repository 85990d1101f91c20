package peers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Detector watches the neighbours of this node: the ready members before and after this node in the order of their
// names. Detector probes each neighbour ten times a second on the wire that clients use, and reports neighbours that do
// not answer. While a neighbour stays unreachable, the report is repeated once a second.
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
	var tasks sync.WaitGroup
	defer tasks.Wait()
	watchers := map[string]*watcher{}
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for ran := time.Now(); ; ran = time.Now() {
		d.adjust(ctx, watchers, &tasks)
		for _, w := range watchers {
			w.next()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.o.Hooks.lateness(max(0, time.Since(ran)-probeInterval))
		}
	}
}

// adjust stops the watchers of former neighbours, and starts watchers of new neighbours.
func (d *Detector) adjust(ctx context.Context, watchers map[string]*watcher, tasks *sync.WaitGroup) {
	names := neighbours(d.o.Self, d.o.Gossip.Members(), d.contacts.unreachable)
	for name, w := range watchers {
		if !slices.Contains(names, name) && !d.keeps(name) {
			w.stop()
			delete(watchers, name)
			d.contacts.remove(name)
		}
	}
	for _, name := range names {
		if watchers[name] != nil {
			continue
		}
		own, stop := context.WithCancel(ctx)
		w := newWatcher(name, &d.o, &d.contacts, stop)
		watchers[name] = w
		tasks.Go(func() { w.run(own) })
	}
}

// keeps reports whether a former neighbour is still watched. An unreachable member is watched until the detector has
// reported the sign of life, and a node that gossip has lost until its Node is deleted.
func (d *Detector) keeps(name string) bool {
	if _, present := current(d.o.Gossip, name); present {
		return d.contacts.unreachable(name)
	}
	return d.o.HasNode(name)
}
