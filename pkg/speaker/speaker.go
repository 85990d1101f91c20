package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// leaveBound is how long a speaker that was told to stop waits for its successors at most.
const leaveBound = 2 * time.Second

// Source gives the cluster as it is known now.
type Source interface{ Snapshot() cluster.Snapshot }

// Peers are the speakers of the other nodes.
type Peers interface {
	// Members returns all known members sorted by name, this node among them.
	Members() []membership.Member
	// Settled is false until this node has heard from another one, or has tried all in vain. Before that it knows
	// nothing of who owns what.
	Settled() bool
	// SetState tells the others what to know of this node.
	SetState(membership.State, []membership.Link) error
	// Ping asks a member by way of gossip whether it lives.
	Ping(name string) error
	// Suspect tells the others that nothing has been heard from a member for so long, or, when that is 0, that it is heard
	// again.
	Suspect(name string, silent time.Duration)
	// Tell tells the member of this name how new is what this node knows of the cluster.
	Tell(name string, known [4]uint64)
}

// Options are what a Speaker works with. What comes after Registerer is optional, and so is that.
type Options struct {
	// Self is the name of this node.
	Self string
	// Wake gets a value whenever there is news from the source, the peers or the announcer.
	Wake       <-chan struct{}
	Source     Source
	Peers      Peers
	Announcer  *layer2.Announcer
	Event      func(cluster.Event)
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// AddressMetrics adds a series for each address that this node answers for.
	AddressMetrics bool
	// Succeeds is true when this process takes the place of another one of this node: Inherit are the addresses that one has
	// answered for until now, and Known the members that it knew.
	Succeeds bool
	Inherit  []netip.Addr
	Known    []membership.Member
	// Informed reports whether this node hears from the API server, as far as is known. Without it, it always does.
	Informed func() bool
	// Forwards reports whether what clients send to the addresses of Services gets from this node to the pods, as far as is known: a node
	// that has booted takes nothing before. Without it, it always does. A value in Wake tells of a change.
	Forwards func() bool
	// Held and Strangers are called when those in Status have changed. They must not block.
	Held      func([]netip.Addr)
	Strangers func()
}

// Speaker is the loop of one node.
type Speaker struct {
	Options
	heard      chan layer2.Claim
	suspicions chan suspicion
	words      chan word
	found      chan found
	reported   chan struct{}
	handOver   atomic.Bool
	metrics    *metrics
	status     atomic.Pointer[Status]
	sightings  sightings
	// neighbours has when each of them was heard last, by name.
	neighbours sync.Map

	// The rest is Run's alone.

	ctx   context.Context
	tasks *sync.WaitGroup
	// config is the one that the announcer was configured by.
	config *config.Config
	// decisions are the newest ones, sorted by address. owners are whom those before named.
	decisions []Decision
	owners    map[netip.Addr]string
	// since is when an address was first announced by some node, zero if that was before this speaker was ready; dated is true from
	// then on.
	since map[netip.Addr]time.Time
	dated bool
	// held are the addresses that the announcer was told to answer for.
	held map[netip.Addr]*holding
	// defences is when claims of strangers are answered next, zero for never, and defended when that was done last.
	defences, defended time.Time
	// pursued are the addresses that this node is to have, or may have to stand in for, and does not hold yet.
	pursued map[netip.Addr]*pursuit
	// ceded are the addresses that this node has given up to peers since the last step.
	ceded map[netip.Addr]time.Time
	// strangers are the addresses that hosts have which are no nodes.
	strangers map[netip.Addr]*stranger
	// dark are the addresses that nobody answers for.
	dark map[netip.Addr]dark
	// gains are the addresses that this step has taken; news are for Events.
	gains   map[netip.Addr]gain
	news    news
	members roll
	// knowledge is how new is what this node and others know of the cluster.
	knowledge knowledge
	// standIns are how many addresses may be asked for in another node's place.
	standIns *rate.Limiter
	// recent are the changes of ownership that are not in the status yet.
	recent []Change
	// standstills are those of the announcer after which the addresses that it answered for were made sure of.
	standstills uint64
	leaving     bool
	state       membership.State
	lacks       []string  // what keeps this node from being ready
	ready       time.Time // since when state is what it is
	links       []membership.Link
}

// New returns a Speaker, which does nothing before Run.
func New(o Options) *Speaker {
	if o.Strangers == nil {
		o.Strangers = func() {}
	}
	if o.Held == nil {
		o.Held = func([]netip.Addr) {}
	}
	s := &Speaker{
		Options: o,
		// What finds the channel full is dropped: claims are repeated, and so is what members tell.
		heard:      make(chan layer2.Claim, 4096),
		suspicions: make(chan suspicion, 64),
		words:      make(chan word, 64),
		found:      make(chan found),
		reported:   make(chan struct{}),
		tasks:      &sync.WaitGroup{},
		since:      map[netip.Addr]time.Time{},
		held:       map[netip.Addr]*holding{},
		pursued:    map[netip.Addr]*pursuit{},
		ceded:      map[netip.Addr]time.Time{},
		strangers:  map[netip.Addr]*stranger{},
		dark:       map[netip.Addr]dark{},
		gains:      map[netip.Addr]gain{},
		news:       news{departures: map[string]departure{}},
		members:    newRoll(),
		knowledge:  knowledge{of: map[string]known{}, told: map[string]notice{}},
		standIns:   rate.NewLimiter(standInRate, standInRate),
	}
	for _, a := range o.Inherit {
		s.held[a] = &holding{inherited: true}
	}
	for _, m := range o.Known {
		s.members.gone[m.Name] = departed{Member: m, sign: time.Now()}
		s.members.place(m)
	}
	s.metrics = newMetrics(o.Registerer, s)
	return s
}

// Heard tells of a claim on the wire. It never blocks.
func (s *Speaker) Heard(c layer2.Claim) {
	s.sightings.note(c, time.Now())
	select {
	case s.heard <- c:
	default:
	}
}

// Suspected tells that another member has heard nothing from the named one for so long, or, when that is 0, hears it again. It
// never blocks.
func (s *Speaker) Suspected(name string, silent time.Duration) { s.suspect(name, silent, true) }

func (s *Speaker) suspect(name string, silent time.Duration, shared bool) {
	select {
	case s.suspicions <- suspicion{name: name, silent: silent, sign: time.Now().Add(-silent), shared: shared}:
	default:
	}
}

// HandOver has Run end, when it is told to, without taking leave, for another process of this node answers for the same
// addresses from the same MAC addresses already. What the announcer answers for stays.
func (s *Speaker) HandOver() { s.handOver.Store(true) }

// HandedOver reports whether HandOver was called.
func (s *Speaker) HandedOver() bool { return s.handOver.Load() }

// Reported is closed when the peers have been told of this node for the first time.
func (s *Speaker) Reported() <-chan struct{} { return s.reported }

// Run decides and announces until ctx is cancelled. Then it leaves: it tells the others, goes on answering until they
// have taken over what it announced, at most leaveBound long, and returns nil.
func (s *Speaker) Run(ctx context.Context) error {
	var stop context.CancelFunc
	s.ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	defer s.tasks.Wait()
	defer stop()
	s.standstills = s.Announcer.Standstills() // whoever hands over a place answers for what is in it
	ring, stopRing := context.WithCancel(s.ctx)
	s.tasks.Go(func() { s.watchRing(ring) })
	s.loop(ctx, func() bool { return false })
	stopRing()
	if s.handOver.Load() {
		s.Log.Info("handing over", "addresses", len(s.held))
		return nil
	}
	s.Log.Info("leaving", "addresses", len(s.held))
	s.leaving = true
	bound, cancel := context.WithTimeout(s.ctx, leaveBound)
	defer cancel()
	s.loop(bound, func() bool { return len(s.held) == 0 })
	s.Announcer.Set(nil)
	return nil
}

// loop steps now and whenever there is news or something has come due, until ctx is done or done returns true after a step.
func (s *Speaker) loop(ctx context.Context, done func() bool) {
	for {
		s.step(time.Now())
		if done() {
			return
		}
		timer := time.NewTimer(s.untilDeadline())
		for news := false; !news; {
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-s.Wake:
				news = true
			case <-timer.C:
				news = true
			case c := <-s.heard:
				news = s.claimed(c, time.Now())
			case x := <-s.suspicions:
				news = s.hearOf(x, time.Now())
			case w := <-s.words:
				news = s.hearWord(w, time.Now())
			case f := <-s.found:
				news = f.arrive()
			}
		}
		timer.Stop()
		s.drain()
	}
}

// drain takes in all news that has come meanwhile, so that a step for each is not needed.
func (s *Speaker) drain() {
	for {
		select {
		case c := <-s.heard:
			s.claimed(c, time.Now())
		case x := <-s.suspicions:
			s.hearOf(x, time.Now())
		case w := <-s.words:
			s.hearWord(w, time.Now())
		case f := <-s.found:
			f.arrive()
		default:
			return
		}
	}
}

// untilDeadline returns how long it is to the next moment at which the loop has to act by itself.
func (s *Speaker) untilDeadline() time.Duration {
	next := time.Now().Add(time.Hour)
	earlier := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	for _, h := range s.held {
		earlier(h.until)
		if h.doubt != nil && !h.doubt.asking {
			earlier(h.doubt.next)
		}
	}
	for _, p := range s.pursued {
		if !p.asking {
			earlier(p.next)
		}
	}
	for a, x := range s.strangers {
		if s.pursued[a] == nil { // whose look tells of the stranger too
			earlier(x.due())
		}
	}
	for _, d := range s.dark {
		if !d.told {
			earlier(d.since.Add(darkDelay))
		}
	}
	earlier(s.defences)
	earlier(s.members.expiry())
	earlier(s.news.due())
	return max(time.Until(next), 0)
}

// step decides and applies once.
func (s *Speaker) step(now time.Time) {
	s.assess(now)
	standstills := s.doubtAfterStandstill(now)
	snap := s.Source.Snapshot()
	s.owners = make(map[netip.Addr]string, len(s.decisions))
	for i := range s.decisions {
		s.owners[s.decisions[i].Addr] = s.decisions[i].Owner
	}
	ready := s.decide(snap, now)
	s.countDepartures(now)
	s.date(snap, now)
	s.configure(snap.Config)
	targets, began := s.hold(now)
	s.Announcer.Set(targets)
	s.Announcer.Resume(standstills)
	s.defend(now)
	s.recheckStrangers(now)
	s.report()
	s.explain(began, ready, snap, now)
	s.publish(snap, ready)
}

// decide looks at the members and decides anew.
func (s *Speaker) decide(snap cluster.Snapshot, now time.Time) (ready []membership.Member) {
	ready = s.observe(snap, now)
	s.learn(knownOf(snap.Versions))
	s.decisions = Decide(snap, ready)
	return ready
}

// assess works out what the others are to know of this node's state.
func (s *Speaker) assess(now time.Time) {
	state := membership.Joining
	s.lacks = s.lacking()
	switch {
	case s.leaving:
		state = membership.Leaving
	case len(s.lacks) == 0:
		state = membership.Ready
	}
	if state != s.state {
		s.Log.Info("state of this speaker", "state", state, "was", s.state)
		s.state, s.ready = state, now
	}
}

// lacking returns what keeps this node from being ready, nil for nothing.
func (s *Speaker) lacking() (lacks []string) {
	if !s.Announcer.Ready() {
		lacks = append(lacks, "no socket is open on any interface yet")
	}
	if s.Succeeds {
		return lacks // the process before it has found out
	}
	if !s.Peers.Settled() {
		lacks = append(lacks, "the speakers of the other nodes have not been reached by gossip yet")
	}
	if s.Forwards != nil && !s.Forwards() {
		lacks = append(lacks, "kube-proxy has no rules on this node yet")
	}
	return lacks
}

// date notes when addresses are first announced. What Services had when this node became ready is old, and so is what they have
// of another load balancer, as long as they have had it: that the controller adopts it makes it no new one.
func (s *Speaker) date(snap cluster.Snapshot, now time.Time) {
	if s.state != membership.Ready || !s.dated {
		now, s.dated = time.Time{}, s.state == membership.Ready
	}
	since := make(map[netip.Addr]time.Time, len(s.decisions))
	note := func(a netip.Addr) {
		at, known := s.since[a]
		if !known {
			at = now
		}
		since[a] = at
	}
	for i := range s.decisions {
		if s.decisions[i].Reason == Announced {
			note(s.decisions[i].Addr)
		}
	}
	for _, svc := range snap.Services {
		if svc.Managed && svc.AllocatedFrom == "" {
			for _, a := range svc.Ingress {
				note(a)
			}
		}
	}
	s.since = since
}

// decision returns the newest one for addr, nil if there is none.
func (s *Speaker) decision(addr netip.Addr) *Decision {
	i, ok := slices.BinarySearchFunc(s.decisions, addr, func(d Decision, a netip.Addr) int { return d.Addr.Compare(a) })
	if !ok {
		return nil
	}
	return &s.decisions[i]
}

// configure hands the announcer what the configuration says of it. Without a valid one it goes on with its defaults.
func (s *Speaker) configure(cfg *config.Config) {
	if cfg == nil || cfg == s.config {
		return
	}
	s.config = cfg
	var ranges []layer2.Range
	for _, pool := range cfg.Pools {
		for _, r := range pool.Ranges {
			ranges = append(ranges, layer2.Range(r))
		}
	}
	refresh := cfg.Layer2.Refresh
	if refresh == 0 {
		refresh = -1 // 0 is never in the configuration, and the default here
	}
	s.Announcer.SetRanges(ranges)
	s.Announcer.SetRefresh(refresh)
	s.Announcer.SetRate(cfg.Layer2.Rate)
	s.Announcer.SetPing(cfg.Layer2.Ping)
}

// failback returns how long to wait before an address is taken from a node that may go on answering for it, and false if
// it never is.
func (s *Speaker) failback() (time.Duration, bool) {
	if s.config == nil {
		return defaultFailback, true
	}
	return s.config.Layer2.Failback, s.config.Layer2.Failback != config.FailbackNever
}
