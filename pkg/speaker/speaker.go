package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// yieldBound is how long this node goes on answering for an address that another node is to have, without having
	// heard that node announce it. Gossip takes a few tenths of a second to reach the other node.
	yieldBound = time.Second
	// leaveBound is how long a speaker that was told to stop waits for its successors at most.
	leaveBound = 2 * time.Second
	// defendDelay is how long after another host's claim an address is announced again, if it is this node's then: a
	// claim may be a successor's, of whom gossip will tell within this time.
	defendDelay = time.Second
	// defendInterval is DEFEND_INTERVAL of RFC 5227, section 1.1: the least time between two such announcements.
	defendInterval = 10 * time.Second
)

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
}

// Options are what a Speaker works with. All but Registerer are required.
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
}

// Speaker is the loop of one node.
type Speaker struct {
	Options
	heard   chan netip.Addr
	metrics *metrics
	status  atomic.Pointer[Status]

	// The rest is Run's alone.

	// config is the one that the announcer was configured by.
	config *config.Config
	// held are the addresses that the announcer was told to answer for.
	held map[netip.Addr]*holding
	// dark are the addresses that nobody answers for.
	dark map[netip.Addr]dark
	// members are the states last seen; lost are those that vanished without a leave.
	members map[string]membership.State
	lost    map[string]bool
	leaving bool
	state   membership.State
	links   []membership.Link
}

// holding is an address that this node answers for.
type holding struct {
	// until is when a yielded address is given up, unheard; zero while this node owns the address.
	until time.Time
	// claimed is when another host claimed the address last, zero if none did or the claim was answered.
	claimed time.Time
	// defended is when such a claim was answered last.
	defended time.Time
}

func (h *holding) owned() bool { return h.until.IsZero() }

// defence returns when the last claim is to be answered, and false if there is none to answer.
func (h *holding) defence() (time.Time, bool) {
	if !h.owned() || h.claimed.IsZero() {
		return time.Time{}, false
	}
	at := h.claimed.Add(defendDelay)
	if next := h.defended.Add(defendInterval); next.After(at) {
		at = next
	}
	return at, true
}

// New returns a Speaker, which does nothing before Run.
func New(o Options) *Speaker {
	s := &Speaker{
		Options: o,
		// A claim that finds the channel full is dropped: the bound on yielding covers it.
		heard:   make(chan netip.Addr, 4096),
		held:    map[netip.Addr]*holding{},
		dark:    map[netip.Addr]dark{},
		members: map[string]membership.State{},
		lost:    map[string]bool{},
	}
	s.metrics = newMetrics(o.Registerer, s)
	return s
}

// Heard tells that another host has claimed addr on the wire. It never blocks.
func (s *Speaker) Heard(addr netip.Addr) {
	select {
	case s.heard <- addr:
	default:
	}
}

// Status is what the loop did last. It is never changed after it was published.
type Status struct {
	// State is what the others were told of this node.
	State membership.State
	// Decisions are for all addresses, sorted.
	Decisions []Decision
}

// Status returns what the loop did last, and a zero value before it has begun.
func (s *Speaker) Status() Status {
	if st := s.status.Load(); st != nil {
		return *st
	}
	return Status{}
}

// Run decides and announces until ctx is cancelled. Then it leaves: it tells the others, goes on answering until they
// have taken over what it announced, at most leaveBound long, and returns nil.
func (s *Speaker) Run(ctx context.Context) error {
	s.loop(ctx, func() bool { return false })
	s.Log.Info("leaving", "addresses", len(s.held))
	s.leaving = true
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveBound)
	defer cancel()
	s.loop(bound, func() bool { return len(s.held) == 0 })
	s.Announcer.Set(nil)
	return nil
}

// loop steps now and at each wake-up, claim and deadline, until ctx is done or done returns true after a step.
func (s *Speaker) loop(ctx context.Context, done func() bool) {
	for {
		s.step(time.Now())
		if done() {
			return
		}
		timer := time.NewTimer(s.untilDeadline())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.Wake:
		case addr := <-s.heard:
			if h := s.held[addr]; h != nil {
				h.claimed = time.Now()
				if !h.owned() {
					h.until = h.claimed // its successor has announced it
				}
			}
		case <-timer.C:
		}
		timer.Stop()
	}
}

// untilDeadline returns how long it is to the next moment at which the loop has to act by itself.
func (s *Speaker) untilDeadline() time.Duration {
	next := time.Hour
	for _, h := range s.held {
		if at, claimed := h.defence(); claimed {
			next = min(next, time.Until(at))
		} else if !h.owned() {
			next = min(next, time.Until(h.until))
		}
	}
	for _, d := range s.dark {
		if !d.told {
			next = min(next, time.Until(d.since.Add(darkDelay)))
		}
	}
	return max(next, 0)
}

// step decides and applies once.
func (s *Speaker) step(now time.Time) {
	s.report()
	snap := s.Source.Snapshot()
	ready := s.observe(s.Peers.Members())
	decisions := Decide(snap, ready)
	s.status.Store(&Status{State: s.state, Decisions: decisions})
	s.configure(snap.Config)
	targets, gained := s.hold(decisions, now)
	s.Announcer.Set(targets)
	s.defend(now)
	s.explain(decisions, gained, ready, snap, now)
}

// report tells the others of this node's state and links when they have changed.
func (s *Speaker) report() {
	state := membership.Joining
	switch {
	case s.leaving:
		state = membership.Leaving
	case s.Announcer.Ready() && s.Peers.Settled():
		state = membership.Ready
	}
	var links []membership.Link
	for _, i := range s.Announcer.Interfaces() {
		links = append(links, membership.Link{Name: i.Name, MAC: membership.MAC(i.MAC)})
	}
	same := func(a, b membership.Link) bool { return a.Name == b.Name && a.MAC == b.MAC }
	if state != s.state || !slices.EqualFunc(links, s.links, same) {
		s.Log.Info("state of this speaker", "state", state, "was", s.state)
		s.state, s.links = state, links
		if err := s.Peers.SetState(state, links); err != nil {
			s.Log.Error("the other speakers cannot be told of this one", "err", err)
		}
	}
}

// observe returns the names of the members that are ready, sorted. When a member is back that had vanished without a
// leave, all that this node owns is announced again: each side of a partition took over what the other had.
func (s *Speaker) observe(members []membership.Member) []string {
	var ready []string
	now := make(map[string]membership.State, len(members))
	returned := false
	for _, m := range members {
		state := m.State
		if m.Name == s.Self {
			state = s.state // what gossip says of this node lags behind
		}
		now[m.Name] = state
		if state != membership.Ready {
			continue
		}
		ready = append(ready, m.Name)
		if s.lost[m.Name] {
			delete(s.lost, m.Name)
			returned = true
			s.Log.Info("member is back", "node", m.Name)
		}
	}
	for name, state := range s.members {
		if _, ok := now[name]; !ok && state == membership.Ready {
			s.lost[name] = true
			s.Log.Warn("member lost", "node", name)
		}
	}
	s.members = now
	if returned {
		var owned []netip.Addr
		for a, h := range s.held {
			if h.owned() {
				owned = append(owned, a)
			}
		}
		s.Announcer.Announce(owned)
	}
	return ready
}

// hold brings held up to the decisions. It returns what to answer for, and which of it this node has begun to own.
func (s *Speaker) hold(decisions []Decision, now time.Time) (targets []layer2.Target, began []netip.Addr) {
	held := make(map[netip.Addr]*holding, len(s.held))
	for _, d := range decisions {
		h := s.held[d.Addr]
		switch {
		case d.Reason != Announced || h == nil && d.Owner != s.Self:
			continue
		case d.Owner == s.Self:
			if h == nil || !h.owned() {
				h = &holding{}
				began = append(began, d.Addr)
				s.changed(gained, d)
			}
		case h.owned():
			s.changed(yielded, d)
			// Of two that became ready at the same moment, the other one has announced the address already.
			if now.Sub(h.claimed) < yieldBound {
				continue
			}
			h.until = now.Add(yieldBound)
		case !h.until.After(now):
			continue
		}
		held[d.Addr] = h
		targets = append(targets, layer2.Target{Addr: d.Addr, Interfaces: d.Interfaces})
	}
	for a, h := range s.held {
		if held[a] != nil {
			continue
		}
		if h.owned() {
			s.metrics.changes.WithLabelValues(withdrawn.String()).Inc()
		}
		s.Log.Info("stopped answering", "ip", a)
	}
	s.held = held
	return targets, began
}

// defend announces again what this node owns and another host has claimed. After a false alarm about this node the other
// host was a peer, which has yielded by now; clients are to know that.
func (s *Speaker) defend(now time.Time) {
	var claimed []netip.Addr
	for a, h := range s.held {
		if at, is := h.defence(); is && !at.After(now) {
			claimed = append(claimed, a)
			h.claimed, h.defended = time.Time{}, now
			s.Log.Warn("announcing an address that another host has claimed", "ip", a)
		}
	}
	if len(claimed) > 0 {
		s.metrics.defences.Add(float64(len(claimed)))
		s.Announcer.Announce(claimed)
	}
}

func (s *Speaker) changed(c change, d Decision) {
	s.metrics.changes.WithLabelValues(c.String()).Inc()
	s.Log.Info("ownership "+c.String(), "ip", d.Addr, "service", d.Services, "node", d.Owner, "reason", d.Reason)
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
