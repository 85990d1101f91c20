package speaker

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
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
	// lostInterval is how often this node looks for a neighbour that gossip has given up: a multiple of that.
	lostInterval = 3 * watchInterval
	// watchLate is how much longer than that a look may take. A node that is later is itself too slow to judge.
	watchLate = 60 * time.Millisecond
	// mostBeside is how many members on each side a node looks at that hears none of the nearer ones.
	mostBeside = 8
	// retellInterval is how often the others are told again of a neighbour that stays silent.
	retellInterval = time.Second
)

// ring watches this node's neighbours: of all ready members in the order of their names, taken as a ring, the one before and
// the one after this node. So each node is watched by two, at a cost that does not grow with the cluster. A neighbour is asked on the wire that clients use, for an
// address that its speaker answers for; one that owns none, or has no network in common with this node, by way of gossip.
type ring struct {
	*Speaker
	mu    sync.Mutex
	known map[string]contact // each neighbour that was looked at
}

// contact is when a neighbour was heard last, since when it is heard without a look in vain, and whether nothing was heard after that.
type contact struct {
	last, since time.Time
	deaf        bool
}

// watchRing watches until ctx is done.
func (s *Speaker) watchRing(ctx context.Context) {
	r := &ring{Speaker: s, known: map[string]contact{}}
	following := map[string]follower{}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	ran := time.Now()
	for {
		members := s.Peers.Members()
		names := neighbours(s.Self, members, r.deafTo)
		for name, f := range following {
			// Whoever was called silent is looked at until it is heard: that must be told too.
			if present := find(members, name) != nil; !slices.Contains(names, name) && (present && !r.deafTo(name) || !present && !s.hasNode(name)) {
				f.stop()
				delete(following, name)
				r.forget(name)
			}
		}
		for _, name := range names {
			if _, ok := following[name]; !ok {
				one, stop := context.WithCancel(ctx)
				f := follower{stop: stop, tick: make(chan struct{}, 1)}
				following[name] = f
				tasks.Go(func() { r.follow(one, name, f.tick) })
			}
		}
		for _, f := range following {
			f.next()
		}
		select {
		case <-ctx.Done():
			for _, f := range following {
				f.stop()
			}
			return
		case <-tick.C:
			s.metrics.lateness.Observe(max(0, time.Since(ran)-watchInterval).Seconds())
			ran = time.Now()
		}
	}
}

// follower is a goroutine that looks at one neighbour at each tick: all of them at the same, for an idle process costs what it is
// woken.
type follower struct {
	stop context.CancelFunc
	tick chan struct{}
}

// next has it look again, at once when it is done with the look before.
func (f follower) next() {
	select {
	case f.tick <- struct{}{}:
	default:
	}
}

// hasNode reports whether the cluster has a Node of this name.
func (s *Speaker) hasNode(name string) bool {
	return slices.ContainsFunc(s.Source.Snapshot().Nodes, func(n cluster.Node) bool { return n.Name == name })
}

func find(members []membership.Member, name string) *membership.Member {
	i := slices.IndexFunc(members, func(m membership.Member) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &members[i]
}

// neighbours returns the names of the ready members before and after self, none if self is not ready or alone. Where one is silent
// it is those beyond it too, as many as are silent: so each side of a segment that has fallen in two finds who is left on it, and
// one that hears nobody at all is itself the one that is cut off.
func neighbours(self string, members []membership.Member, silent func(name string) bool) []string {
	var names []string
	for _, m := range members {
		if m.State == membership.Ready {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	i, ready := slices.BinarySearch(names, self)
	n := len(names)
	if !ready {
		return nil
	}
	var found []string
	for _, step := range []int{n - 1, 1} { // before and after
		heard, mute := 0, 0
		for k := 1; k <= min(n-1, mostBeside) && heard < max(1, mute); k++ {
			name := names[(i+k*step)%n]
			if silent(name) {
				mute++
			} else {
				heard++
			}
			if !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// look is what became of one look at a neighbour.
type look uint8

const (
	unclear look = iota
	// alive: it answers on the wire, or by way of gossip if it has nothing that could be asked for on the wire.
	alive
	// silent: it does not answer on the wire, but by way of gossip. It may be this node that is cut off.
	silent
	// dead: it does not answer at all.
	dead
)

// watch is what is known of one neighbour.
type watch struct {
	*ring
	name string
	// last is when it was heard last, told when the others were told last that it is silent.
	last, told time.Time
	// deaf is true when nothing was heard since last, whoever's fault it was; answers counts the looks since then that were
	// answered in a row.
	deaf    bool
	answers int
}

// follow looks at one neighbour at each tick, and tells all members when it is silent, and when it is heard again. It goes on
// after gossip has given the neighbour up: it may be cut off with all that it owns, and come back.
func (r *ring) follow(ctx context.Context, name string, tick <-chan struct{}) {
	w := &watch{ring: r, name: name, last: time.Now()}
	var known membership.Member
	ticks := 1
	for {
		for range ticks {
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
		}
		began := time.Now()
		member := find(r.Peers.Members(), name)
		if member != nil {
			known = *member
		}
		result := r.look(ctx, known, member != nil)
		now := time.Now()
		w.note(result, member != nil, now.Sub(began), now)
		ticks = 1
		if member == nil && result != alive {
			ticks = int(lostInterval / watchInterval)
		}
	}
}

// note judges a look that has taken so long.
func (w *watch) note(result look, present bool, took time.Duration, now time.Time) {
	defer func() { w.noteDeaf(w.name, w.deaf) }()
	if result != alive {
		w.answers = 0
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
	case result == unclear:
	case !present:
		w.deaf = true
	case took > watchCount*watchPause+watchLate:
		w.metrics.late.Inc()
	case now.Sub(w.told) >= retellInterval && (result == dead || w.hears(w.name, now.Add(-took), now)):
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

// tell tells all members, this one among them, that nothing was heard from a neighbour for so long, or that it is heard again.
func (r *ring) tell(name string, silent time.Duration) {
	r.Peers.Suspect(name, silent)
	r.suspect(name, silent, false)
}

func (r *ring) heardFrom(name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.known[name]
	if c.since.IsZero() || c.deaf {
		c.since = now
	}
	c.last = now
	r.known[name] = c
	r.neighbours.Store(name, now)
}

func (r *ring) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, name)
	r.neighbours.Delete(name)
}

func (r *ring) noteDeaf(name string, deaf bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.known[name]
	c.deaf = deaf
	r.known[name] = c
}

// deafTo reports whether this node looks at the named one and does not hear it.
func (r *ring) deafTo(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[name].deaf
}

// hears reports whether this node hears another one of those that it looks at, and did so when the look began: one that was cut off
// until now knows nothing of the others. If the other has nothing that could be asked for on the wire, a node that is cut off may take
// its neighbour for the one that is: what it takes over in vain it gives up when it hears that again.
func (r *ring) hears(besides string, began, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, c := range r.known {
		if other != besides && now.Sub(c.last) <= watchInterval+watchPause && !c.since.After(began) {
			return true
		}
	}
	return false
}

// look asks the neighbour until it answers, watchCount times at most.
func (r *ring) look(ctx context.Context, neighbour membership.Member, present bool) look {
	mac, addr := r.beacon(neighbour)
	if !addr.IsValid() {
		if !present {
			return unclear
		}
		return r.ping(ctx, neighbour.Name)
	}
	questions := watchCount
	if !present {
		questions = 1
	}
	// Whether it answers by way of gossip is known by the time that it is silent on the wire.
	gossip := make(chan error, 1)
	ask := time.AfterFunc(watchPause, func() { gossip <- r.Peers.Ping(neighbour.Name) })
	f, err := r.Announcer.Probe(ctx, addr, layer2.ProbeOptions{To: layer2.MAC(mac), Count: questions, Interval: watchPause})
	var unheard error
	if !ask.Stop() {
		unheard = <-gossip
	}
	switch {
	case slices.ContainsFunc(f.Heard, func(x layer2.Sighting) bool { return x.MAC == layer2.MAC(mac) && x.Form != layer2.Probing }):
		return alive
	case err != nil || f.Outcome == layer2.Taken:
		return unclear // another node has the address by now
	}
	if now := find(r.Peers.Members(), neighbour.Name); present && now != nil {
		if nowMAC, nowAddr := r.beacon(*now); nowMAC != mac || nowAddr != addr {
			return unclear // it has given the address away
		}
	}
	if present && unheard != nil {
		return dead
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
	return dead
}

// beacon returns an address that the member answers for from the MAC address, on a network that this node is on too. It is
// invalid if there is none.
func (r *ring) beacon(m membership.Member) (membership.MAC, netip.Addr) {
	for _, link := range m.Links {
		if link.Beacon.IsValid() && slices.ContainsFunc(r.Announcer.Interfaces(), func(own layer2.Interface) bool {
			return own.Up && own.Holds(link.Beacon)
		}) {
			return link.MAC, link.Beacon
		}
	}
	return membership.MAC{}, netip.Addr{}
}
