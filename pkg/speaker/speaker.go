package speaker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// leaveBound limits the time for which a leaving speaker waits for its successors.
const leaveBound = 2 * time.Second

// Speaker announces the addresses of Services on one node.
type Speaker struct {
	*parts
	handOver atomic.Bool
	// routing is the routing of the loop that Run has ended for a handover.
	routing atomic.Pointer[routing]
	// audit checks the results of each round of the loop; nil outside tests.
	audit func(*loop)
}

// New returns a Speaker. The Speaker does nothing before Run.
func New(o Options) *Speaker {
	s := &Speaker{parts: newParts(o)}
	s.detector = peers.NewDetector(peers.DetectorOptions{
		Self: o.Self, Gossip: o.Peers, Prober: o.Announcer, Log: o.Log, HasNode: s.hasNode, Report: s.observed,
		Hooks: peers.Hooks{
			LateProbe: s.metrics.late.Inc,
			Lateness:  func(d time.Duration) { s.metrics.lateness.Observe(d.Seconds()) },
			Patience:  func(d time.Duration) { s.metrics.patience.Set(d.Seconds()) },
		},
	})
	return s
}

// Heard receives a claim from the wire. Heard never blocks.
func (s *Speaker) Heard(c layer2.Claim) {
	s.sightings.note(c.Addr, ownership.Sighting{MAC: c.MAC, At: time.Now(), Unasked: !c.Answer})
	s.mailbox.claim(c)
}

// Suspected receives a suspicion from another member: the time since the last sign of the named member, or 0 when the
// member is heard again. Suspected never blocks.
func (s *Speaker) Suspected(name string, silent time.Duration) {
	s.mailbox.suspect(peers.NewSuspicion(name, silent, true, time.Now()))
}

// observed receives a finding of this node's own failure detector, and tells all members.
func (s *Speaker) observed(x peers.Suspicion) {
	if x.Silent > 0 {
		s.metrics.suspicions.Inc()
	}
	s.opt.Peers.Suspect(x.Name, x.Silent)
	s.mailbox.suspect(x)
}

// Told receives the versions of another member. Told never blocks.
func (s *Speaker) Told(node string, versions [8]uint64) {
	s.mailbox.tell(versionsFrom{node, cluster.VersionsOf(versions)})
}

// HandOver makes a later end of Run skip the leaving, because another process of this node already answers for the same
// addresses from the same MAC addresses. The announcer goes on answering.
func (s *Speaker) HandOver() { s.handOver.Store(true) }

// HandedOver reports whether HandOver was called.
func (s *Speaker) HandedOver() bool { return s.handOver.Load() }

// Ready returns nil when this node is ready, or the reason why not.
func (s *Speaker) Ready() error {
	switch st := s.Status(); {
	case st.State == membership.Ready:
		return nil
	case st.State == membership.Leaving:
		return fmt.Errorf("%s: told to stop", st.State)
	case len(st.Lacks) == 0:
		return errors.New("the first look at the cluster is still to come")
	default:
		return fmt.Errorf("%s: %s", st.State, strings.Join(st.Lacks, "; "))
	}
}

// Since returns the time at which this process or the previous one became ready; zero before.
func (s *Speaker) Since() time.Time { return s.Status().Ready }

// Run decides and announces until ctx is cancelled. Then the speaker leaves: the speaker tells the others, goes on
// answering until successors have taken over its addresses, at most for leaveBound, and returns nil. Routers first
// receive the routes with the community GRACEFUL_SHUTDOWN, and after the configured time the withdrawal.
func (s *Speaker) Run(ctx context.Context) error {
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := newLoop(base, s.parts)
	if s.audit != nil {
		l.afterRound = func() { s.audit(l) }
	}
	defer l.prober.tasks.Wait()
	defer stop()
	detecting, stopDetector := context.WithCancel(base)
	l.prober.tasks.Go(func() { s.detector.Run(detecting) })
	l.prober.tasks.Go(func() { s.patroller.run(detecting) })
	l.run(ctx, func() bool { return false })
	stopDetector()
	if s.handOver.Load() {
		s.routing.Store(l.routing)
		s.opt.Log.Info("handing over", "addresses", len(l.addrs.held))
		return nil
	}
	s.opt.Log.Info("leaving", "addresses", len(l.addrs.held))
	l.self.leave()
	l.routing.leave()
	bound, cancel := context.WithTimeout(base, leaveBound+l.routing.drain())
	defer cancel()
	l.run(bound, func() bool { return len(l.addrs.held) == 0 && l.routing.left() })
	s.opt.Announcer.Set(nil)
	l.routing.finish(base)
	return nil
}

// Withdraw takes up the sessions with routers again that were detached for another process, and withdraws all routes as
// a speaker does that leaves. Run has returned after HandOver. Withdraw returns when the routers have received the
// withdrawal, or when ctx ends.
func (s *Speaker) Withdraw(ctx context.Context) {
	if r := s.routing.Load(); r != nil && r.opt.Routers != nil {
		r.opt.Routers.Resume()
		r.withdraw(ctx)
	}
}

// hasNode reports whether the cluster has a Node of this name.
func (s *Speaker) hasNode(name string) bool {
	snapshot := s.opt.Source.Snapshot()
	return snapshot.Node(name) != nil
}
