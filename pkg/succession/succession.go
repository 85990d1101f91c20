package succession

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// handOverBound limits the wait for the next process to confirm the place.
	handOverBound = 5 * time.Second
	// retryPause is the pause between requests for the place while the process with the place is not compatible.
	retryPause = time.Second
	// refreshInterval is the interval between comparisons of the configuration in use with the configuration in the
	// place.
	refreshInterval = time.Second
)

// Answerer answers for addresses while this process is not active. The caller calls the methods one at a time.
type Answerer interface {
	// Answer answers for the given addresses and for no others. Answer returns when all addresses are answered for, or
	// after a bound.
	Answer(ctx context.Context, addrs []netip.Addr)
	// Silence stops answering.
	Silence()
}

// Work runs gossip and the loop of the active process.
type Work interface {
	// Gossip takes part in the gossip until ctx ends, and leaves at the end unless HandOver was called.
	Gossip(ctx context.Context) error
	// Decide runs the loop until ctx ends. Then Decide leaves, or returns at once if HandOver was called.
	Decide(ctx context.Context) error
	// HandOver announces that the next process continues all work.
	HandOver()
	// Detach stops using the sessions with routers, and returns the sessions for the next process. Neither process uses
	// the sessions until the next process adopts them, so Detach returns soon after its ctx ends.
	Detach(ctx context.Context) []bgp.Detached
	// Withdraw takes the detached sessions back, because the next process is gone, and ends all sessions in the same
	// way as a process without a follower.
	Withdraw(ctx context.Context)
	// Held returns the addresses of this process.
	Held() []netip.Addr
	// Members returns the members of the gossip.
	Members() []membership.Member
	// Ready returns nil, or the reason why this process is not ready. Since returns the time of readiness, and zero
	// before.
	Ready() error
	Since() time.Time
}

// Config gives access to the configuration in use.
type Config interface {
	// ConfigText returns the text of the configuration in use and the resourceVersion of its ConfigMap. Both are zero
	// without a configuration.
	ConfigText() (text string, version uint64)
	// Offer passes a configuration in use by another process of this node. A process that has seen no valid
	// configuration uses the offer.
	Offer(text string, version uint64)
}

// Options configures a Succession.
type Options struct {
	// Self is the name of this node. Place is the name of the place, the same for all processes that follow each other.
	Self, Place string
	Answerer    Answerer
	// Wait waits for the needs of the work, until ctx ends. Before that, this process does not look for another
	// process.
	Wait func(ctx context.Context) error
	// Start makes the work of the active process. The work calls held with its addresses after each change.
	Start func(i Inheritance, held func([]netip.Addr)) (Work, error)
	// Config may be nil. Then this process hands over no configuration.
	Config Config
	// Adopt receives the sessions of the previous process, before Start, and begins to use the sessions at once. Adopt
	// is called at most once. A nil function means that this process has no sessions with routers.
	Adopt func(Inheritance, []bgp.Detached)
	Log   *slog.Logger
}

// Succession takes the place of the node for one process, and later hands the place over or leaves.
type Succession struct {
	options Options
	begin   func(ctx context.Context, place string) (holder, follower, error)

	mu    sync.Mutex // guards phase and work
	phase Phase
	work  Work
}

// holder and follower are the two sides of pkg/handover. Tests replace both.
type holder interface {
	Set(handover.Place)
	Followed() bool
	HandOver(ctx context.Context, detach func() []handover.Session) error
	Serve(ctx context.Context) error
}

type follower interface {
	Places() <-chan handover.Offer
	Answering(handover.Offer)
	Run(ctx context.Context) error
	End() handover.End
	Lost() error
}

// New returns a Succession in the phase waiting. The Succession does nothing before Run.
func New(o Options) *Succession {
	return &Succession{options: o, begin: func(ctx context.Context, place string) (holder, follower, error) {
		h, s, err := handover.Begin(ctx, place, handover.Options{Log: o.Log})
		if h != nil {
			return h, nil, nil
		}
		return nil, s, err
	}}
}

// Phase returns the phase of this process.
func (s *Succession) Phase() Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

// Ready returns nil when this process counts as ready, or the reason why not.
func (s *Succession) Ready() error {
	s.mu.Lock()
	phase, work := s.phase, s.work
	s.mu.Unlock()
	switch {
	case work != nil:
		return work.Ready()
	case phase == Standby:
		return nil
	}
	return errors.New("waiting for the cluster, this Node or the gossip key; the log says which")
}

// enter changes the phase after an event.
func (s *Succession) enter(e event) {
	s.mu.Lock()
	before := s.phase
	s.phase = before.next(e)
	after := s.phase
	s.mu.Unlock()
	if after != before {
		s.options.Log.Debug("phase of this process", "phase", after, "was", before)
	}
}

// Run takes the place, works until leave is done, and hands the place over or leaves. The end of ctx stops everything
// at once.
func (s *Succession) Run(ctx, leave context.Context) error {
	defer s.enter(runEnded)
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leave, cancel)()
	if err := s.options.Wait(starting); err != nil {
		if leave.Err() != nil {
			return nil
		}
		return err
	}
	place, inherited, err := s.waitForPlace(starting)
	if place == nil {
		return err
	}
	return s.takePart(ctx, leave, place, inherited)
}

// waitForPlace waits until this process has the place of its node. While another process has the place, this process
// answers for the same addresses too, so that no pause in the answers occurs when the other process ends. waitForPlace
// returns nil when ctx ends before.
func (s *Succession) waitForPlace(ctx context.Context) (holder, Inheritance, error) {
	var i Inheritance
	for {
		place, before, err := s.begin(ctx, s.options.Place)
		switch {
		case place != nil:
			return place, i, nil
		case ctx.Err() != nil:
			return nil, i, nil
		case err == nil:
			s.enter(placeTaken)
			end, last, runErr := s.follow(ctx, before)
			s.options.Log.Info("the process before this one", "end", end, "addresses", len(last.Addrs))
			switch end {
			case handover.HandedOver, handover.Vanished:
				i = inherit(last, s.options.Self)
				continue
			case handover.Replaced:
				s.options.Answerer.Silence()
				return nil, i, errors.New("another process of this node follows instead of this one")
			case handover.Stopped:
				return nil, i, nil
			}
			err = runErr
		}
		// The other process will leave in the ordinary way, and the other nodes take over.
		s.options.Answerer.Silence()
		s.enter(notUnderstood)
		s.options.Log.Warn("waiting for the process before this one to end, without taking over from it", "err", err)
		select {
		case <-ctx.Done():
			return nil, i, nil
		case <-time.After(retryPause):
		}
	}
}

// follow answers for the same addresses as the process with the place, until that process ends.
func (s *Succession) follow(ctx context.Context, before follower) (handover.End, handover.Place, error) {
	ran := make(chan error, 1)
	go func() { ran <- before.Run(ctx) }()
	var place handover.Place
	for offer := range before.Places() {
		s.adopt(offer) // before Answer, because the routers wait
		if c := offer.Place.Config; s.options.Config != nil && c != place.Config {
			// before Answer, because the configuration determines the interfaces to answer on
			s.options.Config.Offer(c.Text, c.Version)
		}
		place = offer.Place
		s.options.Answerer.Answer(ctx, place.Addrs)
		before.Answering(offer)
		s.enter(answering)
	}
	err := <-ran
	if lost := before.Lost(); lost != nil {
		s.options.Log.Warn("sessions of the previous process were lost on the way", "err", lost)
	}
	return before.End(), place, err
}
