package speaker

import (
	"context"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/routes"
)

const (
	// withdrawPause is the time between the withdrawal of the routes and the end of the sessions, for routers that first
	// gather changes.
	withdrawPause = 200 * time.Millisecond
	// withdrawBound limits the wait for routers that read slowly.
	withdrawBound = time.Second
)

// Routers keeps sessions with routers. [bgp.Speaker] implements Routers.
type Routers interface {
	// Set replaces the peers and their routes.
	Set([]bgp.Peer)
	// Status returns the state of each peer in the order of Set.
	Status() []bgp.Status
	// Flushed waits until each router with an established session was sent all that the last Set changes.
	Flushed(context.Context) error
	// Resume continues after the sessions were detached for another process that did not take them over.
	Resume()
}

// Routing holds the collaborators for announcements to routers. Without Routers this node announces nothing to routers.
type Routing struct {
	Routers Routers
	// Password returns the password in an entry of a Secret, or an error that says to people why there is none.
	Password func(config.SecretKey) (string, error)
	// Uptime returns the time since the node booted.
	Uptime func() time.Duration
}

// routing announces routes: it decides, finds the routers of this node, and passes both on. The goroutine of the loop
// owns routing.
type routing struct {
	opt     Routing
	planner routes.Planner
	delays  delays
	// inputs belong to the last decision. table is the decision, announced its routes for each peer, and again the time
	// of the next decision if no input changes before.
	inputs    routingInputs
	table     routes.Table
	announced [][]bgp.Route
	again     time.Time
	sessions  []routerSession
	gateways  gateways
	stopping  bool
	notes     *notify.Sessions
}

func newRouting(self string, o Routing) *routing {
	return &routing{opt: o, notes: notify.NewSessions(self)}
}

// routingInputs are the inputs of a decision.
type routingInputs struct {
	snapshot cluster.Snapshot
	// members lists the members able to answer now.
	members []membership.Member
	local
}

// update decides on the routes of this node if an input has changed, and passes them on with the sessions of this node.
func (r *routing) update(now time.Time, in routingInputs) {
	in.password, in.uptime = r.opt.Password, r.opt.Uptime()
	if !in.same(&r.inputs) || !r.again.IsZero() && !now.Before(r.again) {
		r.decide(now, in)
	}
	r.inputs = in
	sessions := r.find(&in.local)
	if slices.EqualFunc(sessions, r.sessions, routerSession.equal) {
		return
	}
	r.sessions = sessions
	r.opt.Routers.Set(peersOf(sessions))
}

// concerned reports whether the configuration has anything for routers, or had. A node that has never had a
// configuration leaves the sessions of the previous process alone.
func (r *routing) concerned(cfg *config.Config) bool {
	if r.opt.Routers == nil {
		return false
	}
	return len(r.table.Peers)+len(r.table.Addresses)+len(r.sessions) > 0 || cfg != nil &&
		(len(cfg.Peers) > 0 || slices.ContainsFunc(cfg.Pools, func(p config.Pool) bool { return p.BGP }))
}

// rest has nothing to decide before the inputs change.
func (r *routing) rest() { r.again = time.Time{} }

// same reports whether a decision from both inputs is the same. Snapshots share what has not changed.
func (i *routingInputs) same(o *routingInputs) bool {
	return i.ready == o.ready && i.snapshot.Config == o.snapshot.Config &&
		cluster.SameList(i.snapshot.Services, o.snapshot.Services) && cluster.SameList(i.snapshot.Others, o.snapshot.Others) &&
		cluster.SameList(i.snapshot.Nodes, o.snapshot.Nodes) && slices.EqualFunc(i.members, o.members, sameMember)
}

func sameMember(x, y membership.Member) bool {
	return x.Name == y.Name && x.State == y.State && x.Configured == y.Configured
}

// decide makes a new decision.
func (r *routing) decide(now time.Time, in routingInputs) {
	nodes := placement.NewNodes(in.snapshot, in.members)
	r.delays.begin(now, in.ready, in.snapshot.Config != nil, r.table.Addresses)
	table, again := r.planner.Step(now, nodes, routes.Input{
		Snapshot: in.snapshot, Ready: in.members, Self: in.self, Pending: r.delays.pending,
	}, r.stopping)
	r.again = r.delays.end(again)
	r.announced = convertAll(table, r.table, r.announced)
	r.table = table
}

// find returns the sessions of this node, in the order of the configuration.
func (r *routing) find(l *local) (sessions []routerSession) {
	r.gateways = l.gateways(r.gateways)
	taken := map[string]bool{}
	for i, p := range r.table.Peers {
		for _, s := range l.sessionsOf(p.Config, r.announced[i], r.gateways) {
			if name := s.peer.Name; name != "" && taken[name] {
				s.peer, s.problem = bgp.Peer{}, "another peer has a session with the name "+name
			}
			taken[s.peer.Name] = true
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// equal reports whether two sessions need no call of Set.
func (s routerSession) equal(o routerSession) bool {
	x, y := s.peer, o.peer
	same := cluster.SameList(x.Routes, y.Routes)
	x.Routes, y.Routes = nil, nil
	return same && s.config == o.config && s.problem == o.problem && reflect.DeepEqual(x, y)
}

// peersOf returns the sessions that exist.
func peersOf(sessions []routerSession) []bgp.Peer {
	list := make([]bgp.Peer, 0, len(sessions))
	for i := range sessions {
		if sessions[i].peer.Name != "" {
			list = append(list, sessions[i].peer)
		}
	}
	return list
}

// next returns the time of the next update if no input changes before; zero for never.
func (r *routing) next() time.Time {
	if at := r.notes.Next(); r.again.IsZero() || !at.IsZero() && at.Before(r.again) {
		return at
	}
	return r.again
}

// events returns the due Events about the sessions of this node. first means that this node also sends the Events about
// the configuration.
func (r *routing) events(now time.Time, snapshot cluster.Snapshot, first bool) []cluster.Event {
	if r.opt.Routers == nil || r.stopping {
		return nil
	}
	sessions := make([]notify.Session, 0, len(r.sessions))
	for _, s := range statuses(r.sessions, r.opt.Routers.Status()) {
		sessions = append(sessions, notify.Session{
			Name: s.Name, Up: s.State == bgp.Established, Reason: s.Reason.String(), Message: s.Message,
		})
	}
	events := r.notes.Review(now, snapshot, sessions)
	if cfg := snapshot.Config; cfg != nil && first {
		names := withoutNode(cfg, snapshot.Nodes)
		events = append(events, r.notes.PeersWithoutNode(now, snapshot.ConfigState.Object, names)...)
	}
	return events
}

// withoutNode returns the names of the peers whose node selectors fit no node.
func withoutNode(cfg *config.Config, nodes []cluster.Node) (names []string) {
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		selected := func(n cluster.Node) bool { return fits(p.NodeSelectors, n.Labels) }
		if len(p.NodeSelectors) > 0 && !slices.ContainsFunc(nodes, selected) {
			names = append(names, p.Name)
		}
	}
	return names
}

func fits(selectors []labels.Selector, has labels.Set) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(has) })
}

// shown returns what the status shows.
func (r *routing) shown() routingStatus { return routingStatus{r.table, r.sessions} }

// leave starts the withdrawal of all routes. left reports whether it is complete.
func (r *routing) leave() {
	if !r.stopping && len(r.table.Peers) > 0 {
		r.again = time.Now() // so that the next update decides
	}
	r.stopping = true
}

func (r *routing) left() bool {
	return len(r.table.Peers) == 0 || r.stopping && r.planner.Phase() == routes.Withdrawn
}

// drain returns how long the withdrawal takes.
func (r *routing) drain() time.Duration {
	if cfg := r.inputs.snapshot.Config; cfg != nil && len(r.table.Peers) > 0 {
		return cfg.BGP.Drain
	}
	return 0
}

// finish waits until the routers have received the withdrawal, or ctx ends.
func (r *routing) finish(ctx context.Context) {
	if len(r.table.Peers) == 0 {
		return
	}
	bound, cancel := context.WithTimeout(ctx, withdrawBound)
	defer cancel()
	_ = r.opt.Routers.Flushed(bound) // a router that does not read learns from the end of the session
	wait(ctx, withdrawPause)
}

// withdraw withdraws all routes with the inputs of the last round, after the end of the loop. withdraw returns when the
// routers have received the withdrawal, or ctx ends.
func (r *routing) withdraw(ctx context.Context) {
	for r.leave(); !r.left() && ctx.Err() == nil; {
		now := time.Now()
		if r.update(now, r.inputs); !r.left() {
			wait(ctx, r.again.Sub(now))
		}
	}
	r.finish(ctx)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Inherit passes the peers of this node and their routes on for the sessions of the previous process, before this
// process has a loop: the routers wait. Nothing is withdrawn before the loop is ready. members lists the members known
// to the previous process.
func Inherit(o Routing, self string, announcer *layer2.Announcer, snapshot cluster.Snapshot,
	members []membership.Member) {
	r := newRouting(self, o)
	if !r.concerned(snapshot.Config) {
		return
	}
	me := membership.Member{Name: self, State: membership.Ready, Configured: true}
	r.update(time.Now(), routingInputs{
		snapshot: snapshot, members: append([]membership.Member{me}, members...),
		local: local{self: self, node: snapshot.Node(self), interfaces: announcer.Interfaces()},
	})
}
