package speaker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// watchInterval is how often this node looks at each of its neighbours.
	watchInterval = 100 * time.Millisecond
	// A neighbour is silent when it has answered none of so many questions, asked in such intervals. It is heard again after as
	// many looks in a row that it has answered.
	watchCount = 3
	watchPause = 80 * time.Millisecond
	// watchLate is how much longer than that a look may take. A node that is later is itself too slow to judge.
	watchLate = 60 * time.Millisecond
	// retellInterval is how often the others are told again of a neighbour that stays silent.
	retellInterval = time.Second
	// standstill is how long this process must not have run for others to have taken over what it holds.
	standstill = 400 * time.Millisecond
)

// ring watches this node's neighbours: of all ready members in the order of their names, taken as a ring, the one before and
// the one after this node. So each node is watched by two, at a cost that does not grow with the cluster. It is asked on the wire that clients use, for an
// address that its speaker answers for; one that owns none, or has no network in common with this node, by way of gossip.
type ring struct {
	*Speaker
	mu    sync.Mutex
	heard map[string]time.Time // when each neighbour was heard last
}

// watchRing watches until ctx is done.
func (s *Speaker) watchRing(ctx context.Context) {
	r := &ring{Speaker: s, heard: map[string]time.Time{}}
	following := map[string]context.CancelFunc{}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		names := neighbours(s.Self, s.Peers.Members())
		for name, stop := range following {
			if !slices.Contains(names, name) {
				stop()
				delete(following, name)
				r.forget(name)
			}
		}
		for _, name := range names {
			if following[name] == nil {
				var one context.Context
				one, following[name] = context.WithCancel(ctx)
				tasks.Go(func() { r.follow(one, name) })
			}
		}
		s.noteRunning(time.Now())
		select {
		case <-ctx.Done():
			for _, stop := range following {
				stop()
			}
			return
		case <-tick.C:
		}
	}
}

// neighbours returns the names of the ready members before and after self, none if self is not ready or alone.
func neighbours(self string, members []membership.Member) []string {
	var names []string
	for _, m := range members {
		if m.State == membership.Ready {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	i, ready := slices.BinarySearch(names, self)
	if n := len(names); ready && n > 1 {
		return slices.Compact([]string{names[(i+n-1)%n], names[(i+1)%n]})
	}
	return nil
}

// noteRunning notes that this process runs, and when it has stood still.
func (s *Speaker) noteRunning(now time.Time) {
	before := time.Unix(0, s.ran.Swap(now.UnixNano()))
	late := now.Sub(before) - watchInterval
	if before.UnixNano() == 0 || late < 0 {
		return
	}
	s.metrics.lateness.Observe(late.Seconds())
	if late > standstill {
		s.stood.Store(now.UnixNano())
	}
}

// stoodStill reports whether this process was stopped for a while just now, so that others may have taken over what it holds.
func (s *Speaker) stoodStill(now time.Time) bool {
	ran := s.ran.Load()
	return ran != 0 && now.Sub(time.Unix(0, ran)) > standstill || now.Sub(time.Unix(0, s.stood.Load())) < 2*time.Second
}

// look is what became of one look at a neighbour.
type look uint8

const (
	unclear look = iota
	alive
	silent
	// contested: this node has the address that the neighbour says it answers for.
	contested
)

// watch is what is known of one neighbour.
type watch struct {
	*ring
	name string
	// last is when it was heard last, told when the others were told last that it is silent. contest is since when it has said that
	// it answers for an address of this node, or when that was claimed last.
	last, told, contest time.Time
	// deaf is true when nothing was heard since last, whoever's fault it was; answers counts the looks since then that were
	// answered in a row.
	deaf    bool
	answers int
}

// follow looks at one neighbour again and again, and tells all members when it is silent.
func (r *ring) follow(ctx context.Context, name string) {
	w := &watch{ring: r, name: name, last: time.Now()}
	for ctx.Err() == nil {
		began := time.Now()
		result := r.look(ctx, name)
		now := time.Now()
		w.note(result, now.Sub(began), now)
		rest := time.NewTimer(max(0, watchInterval-now.Sub(began)))
		select {
		case <-ctx.Done():
			rest.Stop()
		case <-rest.C:
		}
	}
}

// note judges a look that has taken so long.
func (w *watch) note(result look, took time.Duration, now time.Time) {
	if result != alive {
		w.answers = 0
	}
	if result != contested {
		w.contest = time.Time{}
	}
	switch {
	case result == alive:
		w.heardFrom(w.name, now)
		if w.answers++; w.deaf && w.answers < watchCount {
			return // what was heard may have been an announcement by one that cannot hear
		}
		if w.deaf {
			w.tell(w.name, 0)
		}
		w.last, w.told, w.deaf = now, time.Time{}, false
	case result == contested:
		w.claim(now)
	case result == unclear:
	case took > watchCount*watchPause+watchLate:
		w.metrics.late.Inc()
	case now.Sub(w.told) >= retellInterval && w.sure(w.name, now):
		if w.told.IsZero() {
			w.Log.Warn("neighbour is silent", "node", w.name, "since", now.Sub(w.last))
		}
		w.told, w.deaf = now, true
		w.metrics.suspicions.Inc()
		w.tell(w.name, now.Sub(w.last))
	default:
		w.deaf = true
	}
}

// claim announces now and then an address that this node has and the neighbour goes on saying it has: neither hears the other, or
// else one of them would have given in. Once they do hear each other, it will. A planned move is over before.
func (w *watch) claim(now time.Time) {
	if w.contest.IsZero() {
		w.contest = now
	}
	if _, addr := w.beacon(w.name); now.Sub(w.contest) >= retellInterval && addr.IsValid() {
		w.contest = now
		w.Announcer.Announce([]netip.Addr{addr})
	}
}

// tell tells all members, this one among them, that nothing was heard from a neighbour for so long, or that it is heard again.
func (r *ring) tell(name string, silent time.Duration) {
	r.Peers.Suspect(name, silent)
	r.suspect(name, silent, false)
}

func (r *ring) heardFrom(name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard[name] = now
}

func (r *ring) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.heard, name)
}

// sure reports whether it is the neighbour that is cut off from the network, and not this node: the other neighbour is heard,
// or this one does not answer by way of gossip either.
func (r *ring) sure(name string, now time.Time) bool {
	r.mu.Lock()
	others := false
	for other, at := range r.heard {
		others = others || other != name && now.Sub(at) <= watchInterval+watchPause
	}
	r.mu.Unlock()
	return others || r.Peers.Ping(name) != nil
}

// look asks the neighbour until it answers, watchCount times at most.
func (r *ring) look(ctx context.Context, name string) look {
	mac, addr := r.beacon(name)
	if !addr.IsValid() {
		return r.ping(ctx, name)
	}
	f, err := r.Announcer.Probe(ctx, addr, layer2.ProbeOptions{To: layer2.MAC(mac), Count: watchCount, Interval: watchPause})
	switch {
	case slices.ContainsFunc(f.Heard, func(x layer2.Sighting) bool { return x.MAC == layer2.MAC(mac) && x.Form != layer2.Probing }):
		return alive
	case errors.Is(err, layer2.ErrHeld):
		return contested
	case err != nil || f.Outcome == layer2.Taken:
		return unclear // another one has the address
	}
	if nowMAC, now := r.beacon(name); nowMAC != mac || now != addr {
		return unclear // it has given the address away
	}
	return silent
}

// ping asks the neighbour by way of gossip.
func (r *ring) ping(ctx context.Context, name string) look {
	for range watchCount {
		if r.Peers.Ping(name) == nil {
			return alive
		}
		if ctx.Err() != nil {
			return unclear
		}
	}
	return silent
}

// beacon returns an address that the member answers for from the MAC address, on a network that this node is on too. It is
// invalid if there is none.
func (r *ring) beacon(name string) (membership.MAC, netip.Addr) {
	members := r.Peers.Members()
	i := slices.IndexFunc(members, func(m membership.Member) bool { return m.Name == name })
	if i < 0 {
		return membership.MAC{}, netip.Addr{}
	}
	for _, link := range members[i].Links {
		if link.Beacon.IsValid() && slices.ContainsFunc(r.Announcer.Interfaces(), func(own layer2.Interface) bool {
			return own.Up && own.Holds(link.Beacon)
		}) {
			return link.MAC, link.Beacon
		}
	}
	return membership.MAC{}, netip.Addr{}
}
