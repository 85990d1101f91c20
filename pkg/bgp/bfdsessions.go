package bgp

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/bfd"
)

// bfdRetry is the delay between a failure of BFD and the next attempt to run BFD.
const bfdRetry = 5 * time.Second

// bfdSessions are the BFD sessions of all peers, kept by one Monitor. BFD that fails ends no BGP session.
type bfdSessions struct {
	speaker *Speaker
	options bfd.Options
	make    func(bfd.Options) Monitor
	// registry is nil without metrics.
	registry *registry
	// restart wakes the goroutine that runs the monitor, after Resume.
	restart chan struct{}

	// events are changes that were not passed on. missed is true when there was no room for one.
	events chan bfd.Status
	missed atomic.Bool

	// The mutex guards the fields below: the goroutine that runs the monitor, Set and Resume exchange it.
	mu      sync.Mutex
	monitor Monitor
	// paused is true between detach and resume.
	paused   bool
	detached []bfd.Detached
}

func newBFDSessions(o Options, s *Speaker, adopt []bfd.Detached) *bfdSessions {
	b := &bfdSessions{speaker: s, make: o.Monitor, restart: make(chan struct{}, 1), events: make(chan bfd.Status, 256)}
	if b.make == nil {
		b.make = func(o bfd.Options) Monitor { return bfd.New(o) }
	}
	b.options = bfd.Options{Log: o.Log, Changed: b.heard}
	if o.Registerer != nil {
		b.registry = &registry{Registerer: o.Registerer}
		b.options.Registerer = b.registry
	}
	b.renew(adopt)
	return b
}

// start runs the monitor until ctx ends. BFD that fails is tried again.
func (b *bfdSessions) start(ctx context.Context, tasks *sync.WaitGroup) {
	tasks.Go(func() { b.follow(ctx) })
	tasks.Go(func() {
		defer b.close()
		for ctx.Err() == nil {
			err := b.current().Run(ctx)
			var again <-chan time.Time
			if err != nil {
				b.speaker.shared.log.Warn("BFD does not run", "err", err, "retry", bfdRetry)
				again = time.After(bfdRetry)
			}
			select {
			case <-ctx.Done():
			case <-b.restart:
			case <-again:
				if !b.isPaused() {
					b.renew(nil)
					ring(b.speaker.shared.targets)
				}
			}
		}
	})
}

// current returns the monitor in use.
func (b *bfdSessions) current() Monitor {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.monitor
}

func (b *bfdSessions) isPaused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paused
}

// renew makes a new monitor, since one runs only once.
func (b *bfdSessions) renew(adopt []bfd.Detached) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.registry.clear()
	o := b.options
	o.Adopt = adopt
	b.monitor = b.make(o)
	b.paused = false
}

// set passes the sessions that the peers ask for to the monitor.
func (b *bfdSessions) set() {
	targets := []bfd.Target{} // not nil: no peer may be left
	for _, shown := range b.speaker.snapshots() {
		if shown.target != nil {
			targets = append(targets, *shown.target)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.paused {
		b.monitor.Set(targets)
	}
}

// heard takes a change of a session from the monitor, whose thread it must not delay.
func (b *bfdSessions) heard(s bfd.Status) {
	select {
	case b.events <- s:
	default:
		b.missed.Store(true) // and follow reads all states
	}
}

// follow passes changes on to the peers until ctx ends.
func (b *bfdSessions) follow(ctx context.Context) {
	states := map[bfd.Key]bfd.State{}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-b.events:
			b.pass(states, s)
			if len(b.events) == 0 && b.missed.Swap(false) {
				for _, s := range b.current().Status() {
					b.pass(states, s)
				}
			}
			b.speaker.shared.changed()
		}
	}
}

// pass tells the peers that a BFD session is for of its state. A router that shuts BFD down by configuration still
// forwards (RFC 5882, section 4.2).
func (b *bfdSessions) pass(states map[bfd.Key]bfd.State, s bfd.Status) {
	last, known := states[s.Key]
	states[s.Key] = s.State
	// A session of the previous process may have been up before the first change here; the diagnostic tells.
	wasUp := last == bfd.Up || !known && s.Diagnostic != 0
	down := wasUp && s.State == bfd.Down && s.RemoteState != bfd.AdminDown
	sp := b.speaker
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, w := range sp.workers {
		if t := w.shown.Load().target; t != nil && t.Key() == s.Key {
			w.mailbox.change(func(m *mail) {
				m.bfd = &s
				m.bfdDown = m.bfdDown || down
			})
		}
	}
}

// up reports whether a session is up.
func (b *bfdSessions) up(k bfd.Key) bool {
	return slices.ContainsFunc(b.current().Status(), func(s bfd.Status) bool { return s.Key == k && s.State == bfd.Up })
}

// fill adds the states of the BFD sessions to those of the BGP sessions.
func (b *bfdSessions) fill(list []Status, targets []*bfd.Target) {
	if !slices.ContainsFunc(targets, func(t *bfd.Target) bool { return t != nil }) {
		return
	}
	byKey := map[bfd.Key]bfd.Status{}
	for _, s := range b.current().Status() {
		byKey[s.Key] = s
	}
	for i, t := range targets {
		if t == nil {
			continue
		}
		if s, is := byKey[t.Key()]; is {
			list[i].BFD = &s
		}
	}
}

// detach stops the monitor, and adds the BFD sessions to the BGP sessions that they belong to.
func (b *bfdSessions) detach(list []Detached) {
	byName := map[string]bfd.Key{}
	for _, shown := range b.speaker.snapshots() {
		if shown.target != nil {
			byName[shown.status.Name] = shown.target.Key()
		}
	}
	b.mu.Lock()
	b.paused = true
	monitor := b.monitor
	b.mu.Unlock()
	detached := monitor.Detach()
	for i, d := range list {
		key, has := byName[d.Name]
		if !has {
			continue
		}
		n := slices.IndexFunc(detached, func(s bfd.Detached) bool { return s.Target.Key() == key })
		if n < 0 {
			continue
		}
		copied, err := copySession(detached[n])
		if err != nil {
			b.speaker.shared.log.Warn("BFD session cannot be handed over", "peer", d.Name, "err", err)
			continue
		}
		list[i].BFD = &copied
	}
	b.mu.Lock()
	b.detached = detached
	b.mu.Unlock()
}

// copySession returns a session with copies of the file descriptors, since the caller of Detach closes its own.
func copySession(d bfd.Detached) (bfd.Detached, error) {
	files := make([]*os.File, 0, len(d.Files))
	for _, f := range d.Files {
		c, err := copyFile(f)
		if err != nil {
			closeFiles(files)
			return bfd.Detached{}, fmt.Errorf("copy a BFD socket: %w", err)
		}
		files = append(files, c)
	}
	d.Files = files
	return d, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// resume continues the sessions with a new monitor.
func (b *bfdSessions) resume() {
	b.mu.Lock()
	adopt := b.detached
	b.detached = nil
	b.mu.Unlock()
	b.renew(adopt)
	ring(b.restart)
}

// close closes the sockets of sessions that another process has.
func (b *bfdSessions) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.detached {
		closeFiles(d.Files)
	}
	b.detached = nil
}

// registry registers the metrics of one monitor after the other.
type registry struct {
	prometheus.Registerer
	collectors []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (r *registry) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return r.Registerer.Register(c)
}

// MustRegister implements prometheus.Registerer.
func (r *registry) MustRegister(all ...prometheus.Collector) {
	r.collectors = append(r.collectors, all...)
	r.Registerer.MustRegister(all...)
}

// clear removes the metrics of the monitor that is replaced.
func (r *registry) clear() {
	if r == nil {
		return
	}
	for _, c := range r.collectors {
		r.Unregister(c)
	}
	r.collectors = nil
}
