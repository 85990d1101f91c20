package bgp

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/session"
)

// Options are the parameters of a Speaker. All but Log are optional.
type Options struct {
	Log *slog.Logger
	// Registerer registers the metrics of BGP and BFD.
	Registerer prometheus.Registerer
	// Changed is called after each change of Status, from any goroutine. It must not block, nor call the Speaker.
	Changed func()
	// Adopt holds the sessions of the previous process. The first Set continues the sessions of its peers, and ends the
	// others.
	Adopt []Detached
	// Network replaces the kernel's network, and Monitor the BFD sessions on it, in tests.
	Network Network
	Monitor func(bfd.Options) Monitor
}

// Monitor keeps BFD sessions, as *bfd.Monitor does.
type Monitor interface {
	Set([]bfd.Target)
	Status() []bfd.Status
	Run(context.Context) error
	Detach() []bfd.Detached
}

// Speaker keeps a session with each peer that it is given, and announces the routes there.
type Speaker struct {
	shared shared
	bfd    *bfdSessions
	// wake wakes Run.
	wake chan struct{}

	// The mutex guards the fields below: Run owns the workers, while the other methods read the lists from any
	// goroutine.
	mu         sync.Mutex
	wanted     []Peer
	generation uint64
	// workers keep the sessions, by name.
	workers map[string]*worker
	// adopt are the sessions of the previous process that no Set was called for yet, by name.
	adopt map[string]Detached
	// detached is true between Detach and Resume.
	detached bool
	// wasSet is true after the first Set that Run has seen.
	wasSet bool
	began  time.Time
}

// shared are the parts of a Speaker that its workers use.
type shared struct {
	log     *slog.Logger
	network Network
	metrics *metrics
	random  func() float64
	// changed is called after each change of a Status.
	changed func()
	// targets wakes the goroutine that passes the BFD targets on.
	targets chan struct{}
	// bfdUp reports whether a BFD session is up.
	bfdUp func(bfd.Key) bool
	// progress wakes those who wait for messages to be sent.
	progress *broadcast
}

// New returns a Speaker without peers. Run does the work.
func New(o Options) *Speaker {
	s := &Speaker{wake: make(chan struct{}, 1), workers: map[string]*worker{}, adopt: map[string]Detached{},
		began: time.Now()}
	s.shared = shared{log: o.Log, network: o.Network, random: rand.Float64, changed: o.Changed,
		targets:  make(chan struct{}, 1),
		progress: newBroadcast(), metrics: newMetrics(o.Registerer, s.snapshots)}
	if o.Network == nil {
		s.shared.network = newKernelNetwork()
	}
	if o.Changed == nil {
		s.shared.changed = func() {}
	}
	var adopt []bfd.Detached
	for _, d := range o.Adopt {
		s.adopt[d.Name] = d
		if d.BFD != nil {
			adopt = append(adopt, *d.BFD)
		}
	}
	s.bfd = newBFDSessions(o, s, adopt)
	s.shared.bfdUp = s.bfd.up
	return s
}

// Set replaces the peers and their routes. It never blocks. A peer with other parameters gets a new session, and the
// sessions of the others are not touched. Names must be unique. The caller must not change the routes afterwards.
func (s *Speaker) Set(peers []Peer) {
	s.mu.Lock()
	s.wanted = slices.Clone(peers)
	s.generation++
	s.mu.Unlock()
	ring(s.wake)
}

// Status returns the state of all peers in the order of Set. The result belongs to the caller.
func (s *Speaker) Status() []Status {
	s.mu.Lock()
	list := make([]Status, 0, len(s.wanted))
	targets := make([]*bfd.Target, 0, len(s.wanted))
	for _, p := range s.wanted {
		status, target := Status{Name: p.Name, Since: s.began}, (*bfd.Target)(nil)
		if w := s.workers[p.Name]; w != nil {
			shown := w.shown.Load()
			status, target = shown.status, shown.target
		}
		list, targets = append(list, status), append(targets, target)
	}
	s.mu.Unlock()
	s.bfd.fill(list, targets)
	return list
}

// snapshots returns the state of the sessions for metrics.
func (s *Speaker) snapshots() []*snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*snapshot
	for _, p := range s.wanted {
		if w := s.workers[p.Name]; w != nil {
			list = append(list, w.shown.Load())
		}
	}
	return list
}

// Run keeps the sessions until ctx ends, and then ends each session with a Cease: as a Hard Reset where graceful
// restart was negotiated (RFC 8538), so that the routers remove the routes at once. Sessions that Detach has returned
// stay open. Run returns nil.
func (s *Speaker) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	s.bfd.start(ctx, &tasks)
	crew := &crew{speaker: s, tasks: &tasks, ended: make(chan *worker), endpoints: map[*worker]endpoint{},
		retiring: map[*worker]bool{}}
	for {
		select {
		case <-ctx.Done():
			crew.dismiss()
			return nil
		case <-s.wake:
			crew.arrange(ctx)
		case w := <-crew.ended:
			crew.left(w)
			crew.arrange(ctx)
		case <-s.shared.targets:
			s.bfd.set()
		}
	}
}

// crew are the workers of a running Speaker. It belongs to the goroutine of Run.
type crew struct {
	speaker *Speaker
	tasks   *sync.WaitGroup
	ended   chan *worker
	// endpoints are the routers of the workers.
	endpoints map[*worker]endpoint
	// retiring are the workers whose peers are gone, until their last messages are sent.
	retiring map[*worker]bool
}

// arrange starts and stops workers until they match the wanted peers.
func (c *crew) arrange(ctx context.Context) {
	s := c.speaker
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.detached || s.generation == 0 {
		return
	}
	wanted := map[string]bool{}
	for _, p := range s.wanted {
		wanted[p.Name] = true
	}
	for name, w := range s.workers {
		if !wanted[name] {
			delete(s.workers, name)
			c.retire(w)
		}
	}
	c.endOrphans(ctx, wanted)
	for _, p := range s.wanted {
		if w := s.workers[p.Name]; w != nil {
			generation := s.generation
			c.endpoints[w] = endpointOf(p)
			w.mailbox.change(func(m *mail) { m.peer, m.generation = &p, generation })
		} else if !c.blocked(p) {
			var d *Detached
			if adopted, is := s.adopt[p.Name]; is {
				delete(s.adopt, p.Name)
				d = &adopted
			}
			s.workers[p.Name] = c.hire(ctx, p, d, !s.wasSet)
		}
	}
	s.wasSet = true
	ring(s.shared.targets)
	s.shared.progress.wake()
}

// blocked reports whether the session with a router has to wait for the end of another one with the same router, or of
// the same name.
func (c *crew) blocked(p Peer) bool {
	for w := range c.retiring {
		if w.name == p.Name || c.endpoints[w] == endpointOf(p) {
			return true
		}
	}
	return false
}

// hire starts a worker.
func (c *crew) hire(ctx context.Context, p Peer, d *Detached, restarted bool) *worker {
	w := newWorker(&c.speaker.shared, p, c.speaker.generation, d, restarted)
	c.endpoints[w] = endpointOf(p)
	c.tasks.Go(func() {
		w.run(ctx)
		select {
		case c.ended <- w:
		case <-ctx.Done():
		}
	})
	return w
}

// retire has a worker end its session.
func (c *crew) retire(w *worker) {
	c.retiring[w] = true
	w.mailbox.change(func(m *mail) { m.stop = new(session.Deconfigured) })
}

// left forgets a worker that has ended.
func (c *crew) left(w *worker) {
	delete(c.retiring, w)
	delete(c.endpoints, w)
	c.speaker.shared.metrics.forget(w.name)
}

// endOrphans ends the sessions of the previous process without a peer in the configuration.
func (c *crew) endOrphans(ctx context.Context, wanted map[string]bool) {
	s := c.speaker
	for name, d := range s.adopt {
		if wanted[name] {
			continue
		}
		delete(s.adopt, name)
		p, err := orphan(d)
		if err != nil {
			s.shared.log.Warn("BGP session of the previous process cannot be ended", "peer", name, "err", err)
			d.File.Close()
			continue
		}
		c.retire(c.hire(ctx, p, &d, false))
	}
}

// dismiss ends all sessions. Run waits for the workers.
func (c *crew) dismiss() {
	s := c.speaker
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		w.mailbox.change(func(m *mail) { m.stop = new(session.HardReset) })
	}
	for name, d := range s.adopt {
		delete(s.adopt, name)
		d.File.Close()
	}
}
