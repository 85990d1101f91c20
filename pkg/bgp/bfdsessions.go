package bgp

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/bfd"
)

// bfdRetry is how long the speaker waits before it tries again to run BFD, after BFD has failed.
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

	// The mutex guards the fields below: the monitor is exchanged after a failed handover, and calls heard from its own thread.
	mu      sync.Mutex
	monitor Monitor
	// paused is true between detach and resume.
	paused   bool
	detached []bfd.Detached
	// states are the newest states by session.
	states map[bfd.Key]bfd.State
}

func newBFDSessions(o Options, s *Speaker, adopt []bfd.Detached) *bfdSessions {
	b := &bfdSessions{speaker: s, make: o.Monitor, restart: make(chan struct{}, 1), states: map[bfd.Key]bfd.State{}}
	if b.make == nil {
		b.make = func(o bfd.Options) Monitor { return bfd.New(o) }
	}
	b.options = bfd.Options{Log: o.Log, Changed: b.heard, Adopt: adopt}
	if o.Registerer != nil {
		b.registry = &registry{Registerer: o.Registerer}
		b.options.Registerer = b.registry
	}
	b.monitor = b.make(b.options)
	return b
}

// start runs the monitor until ctx ends.
func (b *bfdSessions) start(ctx context.Context, tasks *sync.WaitGroup) {
	tasks.Go(func() {
		defer b.close()
		for ctx.Err() == nil {
			b.mu.Lock()
			monitor := b.monitor
			b.mu.Unlock()
			if err := monitor.Run(ctx); err != nil && ctx.Err() == nil {
				b.speaker.shared.log.Warn("BFD does not run", "err", err, "retry", bfdRetry)
			}
			select {
			case <-ctx.Done():
			case <-b.restart:
			case <-time.After(bfdRetry):
			}
		}
	})
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

// heard takes a change of a session from the monitor, and passes it on to the peers that the session is for.
func (b *bfdSessions) heard(s bfd.Status) {
	b.mu.Lock()
	last := b.states[s.Key]
	b.states[s.Key] = s.State
	b.mu.Unlock()
	down := last == bfd.Up && s.State == bfd.Down
	sp := b.speaker
	sp.mu.Lock()
	for _, w := range sp.workers {
		if t := w.shown.Load().target; t != nil && keyOf(*t) == s.Key {
			w.mailbox.change(func(m *mail) {
				m.bfd = &s
				m.bfdDown = m.bfdDown || down
			})
		}
	}
	sp.mu.Unlock()
	sp.shared.changed()
}

// fill adds the states of the BFD sessions to those of the BGP sessions.
func (b *bfdSessions) fill(list []Status, targets []*bfd.Target) {
	if !slices.ContainsFunc(targets, func(t *bfd.Target) bool { return t != nil }) {
		return
	}
	b.mu.Lock()
	monitor := b.monitor
	b.mu.Unlock()
	byKey := map[bfd.Key]bfd.Status{}
	for _, s := range monitor.Status() {
		byKey[s.Key] = s
	}
	for i, t := range targets {
		if t == nil {
			continue
		}
		if s, is := byKey[keyOf(*t)]; is {
			list[i].BFD = &s
		}
	}
}

// detach stops the monitor, and adds the BFD sessions to the BGP sessions that they belong to.
func (b *bfdSessions) detach(list []Detached) {
	byName := map[string]bfd.Key{}
	for _, shown := range b.speaker.snapshots() {
		if shown.target != nil {
			byName[shown.status.Name] = keyOf(*shown.target)
		}
	}
	b.mu.Lock()
	b.paused = true
	monitor := b.monitor
	b.mu.Unlock()
	detached := monitor.Detach() // which may wait for heard
	for i, d := range list {
		key, has := byName[d.Name]
		if !has {
			continue
		}
		n := slices.IndexFunc(detached, func(s bfd.Detached) bool { return keyOf(s.Target) == key })
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
	defer b.mu.Unlock()
	b.options.Adopt, b.detached = b.detached, nil
	b.registry.clear()
	b.monitor = b.make(b.options)
	b.paused = false
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
