package ownership

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// version describes how far a node has seen the cluster: changed is the newest change, and complete the version up to
// which the node has seen every change.
type version struct{ changed, complete int }

func (v version) behind(o version) bool { return o.changed > v.complete }

// machine is one node: an Address, its inputs, and a caller of Step that carries out all actions.
type machine struct {
	*scene
	w    *wire
	name string
	// base lists the nodes that may have the address in the view of this machine, reachable or not.
	base []string
	// seen is the version of this machine. knows holds the versions of the others.
	seen  version
	knows map[string]version
	up    bool
	// unaware is true while the address has not come to the machine's Services.
	unaware bool
	// stalled is true while the process gets no CPU. pending holds the missed work.
	stalled bool
	pending []func()
	query   *query
	timer   int // counts timers; only the last timer counts
	tenure  int // counts the starts of answering
}

func (m *machine) mac() layer2.MAC { return macOf(m.name) }

// answers reports whether the machine answers for the address. A stalled machine does not.
func (m *machine) answers() bool { return m.up && !m.stalled && m.a.State().Answers() }

// soon does something now, or after the end of a stall.
func (m *machine) soon(do func()) {
	switch {
	case !m.up:
	case m.stalled:
		m.pending = append(m.pending, do)
	default:
		do()
	}
}

// boot starts the machine with an empty memory.
func (m *machine) boot() {
	m.up, m.stalled, m.pending, m.query = true, false, nil, nil
	m.a, m.in.Heard, m.in.PrevOwner, m.in.Arrival = New(m.addr), Sighting{}, "", Arrival{}
	m.in.Path = PathUnknown
	m.in.Self.Ready = m.w.now
	m.knows = map[string]version{}
	m.timer++
	m.review()
}

// arrive shows the address of a Service to the machine.
func (m *machine) arrive() {
	m.unaware, m.in.Arrival = false, Arrival{Since: m.w.now, Came: m.w.now}
	if m.in.Path = Path(m.w.rng.IntN(4)); m.in.Path == PathMissing && m.w.chance(0.5) {
		m.w.in(m.w.upTo(RulesBound), func() { m.in.Path = PathThere; m.review() })
	}
	m.review()
}

// review follows the inputs. The candidates of the election are the eligible nodes that are reachable, and this machine
// itself. Members without a configuration are excluded while another eligible member has one. A machine without a
// configuration cannot judge that.
func (m *machine) review() {
	reachable := func(name string) bool {
		p := m.peers[name]
		return name == m.name || p.IsReady() && !p.Suspected
	}
	configured := func(name string) bool {
		i := slices.IndexFunc(m.w.machines, func(o *machine) bool { return o.name == name })
		return m.w.machines[i].in.Self.Configured
	}
	var members, eligible, fits []string
	for _, o := range m.w.machines {
		if reachable(o.name) {
			members = append(members, o.name)
		}
	}
	for _, lenient := range []bool{false, true} {
		for _, name := range members {
			if len(eligible) == 0 && (slices.Contains(m.base, name) || !m.in.Self.Configured) &&
				(lenient || !m.in.Self.Configured || configured(name) || !slices.ContainsFunc(members, configured)) {
				fits = append(fits, name)
			}
		}
		eligible, fits = append(eligible, fits...), nil
	}
	if m.unaware {
		m.in.Placement = nil
	} else if !slices.Equal(eligible, m.eligible) || m.in.Placement == nil ||
		m.in.Placement.Preferred != (m.prefer == m.in.Placement.Owner) {
		m.mayHave(eligible...)
	}
	m.soon(func() { m.step(Event{}) })
}

// step applies an event and carries out the actions of Step.
func (m *machine) step(e Event) {
	for name, p := range m.peers {
		p.Newer = p.IsReady() && m.seen.behind(m.knows[name])
		p.Unconfigured = p.IsReady() && slices.ContainsFunc(m.w.machines, func(o *machine) bool { return o.name == name && !o.in.Self.Configured })
		m.peers[name] = p
	}
	answered := m.a.State().Answers()
	for _, a := range m.scene.step(m.w.now, e) {
		m.do(a, e)
	}
	if !answered && m.a.State().Answers() && !m.a.Inherited() {
		m.announceRounds()
	}
	m.w.judge.observe(m.w)
	m.timer++
	if next, timer := m.a.Next(), m.timer; !next.IsZero() && next.Before(Never) {
		m.w.in(next.Sub(m.w.now), func() {
			if m.timer == timer {
				m.soon(func() { m.step(Event{}) })
			}
		})
	}
}

func (m *machine) do(a Action, e Event) {
	switch a.Kind {
	case Ask:
		m.w.probe(m, a.Probe)
	case Announce, Defend:
		m.announceRounds()
	case Report:
		m.w.judge.report(m, a.Change)
	case Refute:
		m.suspect(a.Node, false)
		if e.Kind == Claimed {
			m.step(e)
		}
	case ExchangeVersions:
		for _, o := range m.w.others(m) {
			if o.name == a.Node {
				m.w.tell(m, o)
			}
		}
	case Sighted:
		m.in.Heard = Sighting{a.Host.MAC, m.w.now, m.in.Heard.Unasked && m.in.Heard.MAC == a.Host.MAC}
	}
}

// announceRounds announces like layer2, as long as the machine answers. Another call begins the rounds anew.
func (m *machine) announceRounds() {
	m.tenure++
	tenure := m.tenure
	for _, after := range []time.Duration{0, 200 * time.Millisecond, time.Second, 2500 * time.Millisecond,
		5 * time.Second, layer2.DefaultRefresh} {
		m.w.in(after, func() {
			if m.tenure == tenure && m.answers() {
				m.w.announce(m)
			}
		})
	}
}

func (m *machine) claimed(by *machine) {
	m.in.Heard = Sighting{by.mac(), m.w.now, true}
	m.step(Event{Kind: Claimed, MAC: by.mac()})
}

// suspect begins or ends a suspicion. A member that is heard again learns the owner of the address from this machine.
func (m *machine) suspect(name string, is bool) {
	m.change(name, func(p *peers.Peer) {
		if is && !p.Suspected {
			m.losses++
			p.LastSign = m.w.now
		}
		p.Suspected, p.Lost = is, is
	})
	if !is && m.a.TookSince(m.peers[name].LastSign) && m.answers() {
		m.announceRounds()
	}
	m.review()
}

// lose removes a member from gossip; meet adds a ready member.
func (m *machine) lose(name string) {
	m.change(name, func(p *peers.Peer) {
		if p.Standing == peers.Member && !p.Suspected {
			m.losses++
			p.LastSign = m.w.now
		}
		p.Standing, p.Suspected, p.Lost = peers.Unreached, false, true
	})
	m.review()
}

func (m *machine) meet(o *machine) {
	was := m.peers[o.name]
	m.peers[o.name] = peers.Peer{
		Name: o.name, Standing: peers.Member, State: membership.Ready, Ready: o.in.Self.Ready.Truncate(time.Second),
		SeenReady: m.w.now,
	}
	if was.Lost && m.a.TookSince(was.LastSign) && m.answers() {
		m.announceRounds()
	}
	m.review()
}

// crash stops the machine. The other machines suspect it soon, and gossip loses it; the machine comes back after a
// while.
func (m *machine) crash(down time.Duration) {
	m.up = false
	m.timer++
	for _, o := range m.w.others(m) {
		m.w.in(300*time.Millisecond+m.w.upTo(50*time.Millisecond), func() { o.suspect(m.name, !m.up) })
		m.w.in(1200*time.Millisecond+m.w.upTo(200*time.Millisecond), func() { o.lose(m.name) })
	}
	m.w.judge.observe(m.w)
	m.w.in(down, func() {
		m.boot()
		for _, o := range m.w.others(m) {
			m.w.in(m.w.upTo(300*time.Millisecond), func() { o.meet(m) })
			m.w.in(m.w.upTo(300*time.Millisecond), func() { m.meet(o) })
		}
	})
}

// stall takes the CPU from the process for a while.
func (m *machine) stall(d time.Duration) {
	if !m.up || m.stalled {
		return
	}
	m.stalled = true
	m.w.judge.observe(m.w)
	m.w.in(d, func() {
		if !m.stalled {
			return // the machine crashed meanwhile
		}
		m.stalled = false
		missed := m.pending
		m.pending = nil
		m.step(Event{Kind: Stalled})
		for _, do := range missed {
			do()
		}
	})
}
