package speaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// leaveBound is how long a speaker that was told to stop waits for its successors at most.
const leaveBound = 2 * time.Second

// Speaker announces the addresses of Services on one node.
type Speaker struct {
	opt       Options
	mailbox   mailbox
	detector  *peers.Detector
	sightings sightings
	metrics   *metrics
	status    atomic.Pointer[Status]
	// reported is closed when the peers were told of this node for the first time.
	reported chan struct{}
	handOver atomic.Bool
}

// mailbox carries news to the loop. A message that finds its channel full is dropped: claims are repeated, and so are suspicions and versions.
type mailbox struct {
	claims     chan layer2.Claim
	suspicions chan peers.Suspicion
	versions   chan versionsFrom
	// probed has the results of probes. It is not buffered: the prober waits for the loop.
	probed chan probed
}

// versionsFrom is how far another member has seen the cluster.
type versionsFrom struct {
	node     string
	versions cluster.Versions
}

// New returns a Speaker, which does nothing before Run.
func New(o Options) *Speaker {
	s := &Speaker{
		opt: o.withDefaults(),
		mailbox: mailbox{
			claims: make(chan layer2.Claim, 4096), suspicions: make(chan peers.Suspicion, 64), versions: make(chan versionsFrom, 64),
			probed: make(chan probed),
		},
		reported: make(chan struct{}),
	}
	s.metrics = newMetrics(o.Registerer, s)
	s.detector = peers.NewDetector(peers.DetectorOptions{
		Self: o.Self, Gossip: o.Peers, Prober: o.Announcer, Log: o.Log, HasNode: s.hasNode, Report: s.observed,
		Hooks: peers.Hooks{
			LateProbe: s.metrics.late.Inc, Lateness: func(d time.Duration) { s.metrics.lateness.Observe(d.Seconds()) },
		},
	})
	return s
}

// Heard receives a claim from the wire. It never blocks.
func (s *Speaker) Heard(c layer2.Claim) {
	s.sightings.note(c.Addr, ownership.Sighting{MAC: c.MAC, At: time.Now(), Answer: c.Answer})
	select {
	case s.mailbox.claims <- c:
	default:
	}
}

// Suspected receives from another member that nothing was heard of the named one for a time, or, when that is 0, that it is heard again.
// It never blocks.
func (s *Speaker) Suspected(name string, silent time.Duration) {
	s.suspect(peers.NewSuspicion(name, silent, true, time.Now()))
}

// observed receives what this node's own detector has found out, and tells all members.
func (s *Speaker) observed(x peers.Suspicion) {
	if x.Silent > 0 {
		s.metrics.suspicions.Inc()
	}
	s.opt.Peers.Suspect(x.Name, x.Silent)
	s.suspect(x)
}

func (s *Speaker) suspect(x peers.Suspicion) {
	select {
	case s.mailbox.suspicions <- x:
	default:
	}
}

// Told receives how far another member has seen the cluster. It never blocks.
func (s *Speaker) Told(node string, versions [8]uint64) {
	select {
	case s.mailbox.versions <- versionsFrom{node, cluster.VersionsOf(versions)}:
	default:
	}
}

// HandOver makes Run end, when it is told to, without taking leave, because another process of this node answers for the same addresses
// from the same MAC addresses already. The announcer goes on answering.
func (s *Speaker) HandOver() { s.handOver.Store(true) }

// HandedOver reports whether HandOver was called.
func (s *Speaker) HandedOver() bool { return s.handOver.Load() }

// Reported is closed when the peers were told of this node for the first time.
func (s *Speaker) Reported() <-chan struct{} { return s.reported }

// Run decides and announces until ctx is cancelled. Then the speaker leaves: it tells the others, goes on answering until they have taken
// over what it announced, at most leaveBound long, and returns nil.
func (s *Speaker) Run(ctx context.Context) error {
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := newLoop(s, base)
	defer l.prober.tasks.Wait()
	defer stop()
	detecting, stopDetector := context.WithCancel(base)
	l.prober.tasks.Go(func() { s.detector.Run(detecting) })
	l.run(ctx, func() bool { return false })
	stopDetector()
	if s.handOver.Load() {
		s.opt.Log.Info("handing over", "addresses", len(l.held()))
		return nil
	}
	s.opt.Log.Info("leaving", "addresses", len(l.held()))
	l.self.leaving = true
	bound, cancel := context.WithTimeout(base, leaveBound)
	defer cancel()
	l.run(bound, func() bool { return len(l.held()) == 0 })
	s.opt.Announcer.Set(nil)
	return nil
}

// hasNode reports whether the cluster has a Node of this name.
func (s *Speaker) hasNode(name string) bool {
	snapshot := s.opt.Source.Snapshot()
	return snapshot.Node(name) != nil
}
