package ownership

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// FuzzStep applies events and changes of the inputs in any order, two bytes each, and checks the invariants after each
// event; see monkey.check.
func FuzzStep(f *testing.F) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		data := make([]byte, 400)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &monkey{scene: newScene(), now: epoch}
		if len(data)%2 == 1 {
			m.a, m.held = Inherit(m.addr), true
		}
		for ; len(data) >= 2; data = data[1:] {
			if m.change(data[0], data[1]) {
				data = data[1:]
				continue
			}
			if e, is := m.event(data[0], data[1]); is {
				m.check(t, e)
				data = data[1:]
			}
		}
	})
}

// monkey calls Step with random events and inputs.
type monkey struct {
	*scene
	now time.Time
	// held is true from a report of gaining the address to a report of losing the address. running is true while the
	// last probe has no result.
	held, running bool
}

// change changes an input and reports whether the input has changed.
func (m *monkey) change(what, how byte) bool {
	self, flag := &m.in.Self, how%4 != 0
	name := sceneNames[how%4 : how%4+1]
	p := m.peers[name]
	switch what % 32 {
	case 0, 1, 2:
		m.now = m.now.Add(time.Duration(how) * time.Millisecond)
	case 3, 4:
		m.now = m.now.Add(time.Duration(how) * 100 * time.Millisecond)
	case 5:
		if next := m.a.Next(); next.After(m.now) && next.Before(Never) {
			m.now = next
		}
	case 6:
		var names []string
		for i := range 4 {
			if how&(1<<i) != 0 {
				names = append(names, sceneNames[i:i+1])
			}
		}
		m.mayHave(names...)
	case 7:
		m.prefer = name
	case 8:
		m.in.Placement = nil
	case 9:
		m.peers[name] = peers.Peer{Name: name, Standing: peers.Standing(how / 4 % 3),
			State: membership.State(how / 16 % 3), Lost: how > 200}
	case 10:
		p.Suspected, p.Lost, p.SuspectedByOthers = flag, flag, how%8 > 4
		m.losses++
		m.peers[name] = p
	case 11:
		p.Newer = flag
		m.peers[name] = p
	case 12:
		self.Settled = flag
	case 13:
		self.Configured, self.Informed = flag, how%8 < 6
	case 14:
		self.Leaving = !flag
	case 15:
		m.in.Kernel = !flag
	case 16:
		m.in.Failback = Failback{Delay: time.Duration(how%8) * time.Second, Never: how%8 == 0}
	case 17:
		m.in.Arrival = Arrival{Since: m.now, Came: m.now}
		m.in.Path = Path(how % 4)
	case 18:
		m.in.Arrival = Arrival{}
	case 19:
		m.in.Heard = Sighting{macOf(name), m.now, true}
	default:
		return false
	}
	return true
}

// event returns a possible next event.
func (m *monkey) event(what, how byte) (e Event, is bool) {
	name := "abcdxy"[how%6 : how%6+1]
	switch what % 32 {
	case 20, 21:
		return Event{Kind: Review}, true
	case 22, 23:
		return Event{Kind: Claimed, MAC: macOf(name)}, name != m.in.Self.Name
	case 24:
		return Event{Kind: Stalled}, true
	case 25:
		running := m.running
		m.running = false
		return Event{Kind: Throttled}, running && m.a.State() == Backup
	case 26:
		e = m.found(layer2.Finding{Outcome: layer2.Silent})
	case 27:
		e = m.found(rival(name))
	case 28:
		e = m.found(replies(name))
	case 29:
		e = m.found(replies(name, "x"))
	case 30:
		e = m.found(layer2.Finding{})
	case 31:
		e = m.found(layer2.Finding{Outcome: layer2.Silent})
		e.Number -= uint64(how % 3)
	}
	e.Finding.Last = m.now.Add(-time.Duration(how/16) * 20 * time.Millisecond)
	return e, m.running
}

// check applies an event and checks the invariants: the table fires only in the named states, one probe runs at a time,
// nothing is due afterwards, reports alternate, this node answers only after a probe, and a second review of the same
// inputs changes nothing.
func (m *monkey) check(t *testing.T, e Event) {
	before, asked, lines := m.a.State(), m.asked, len(m.fired)
	if e.Kind == Probed && e.Number == m.asked {
		m.running = false
	}
	actions := m.step(m.now, e)
	state := before
	for _, line := range m.fired[lines:] {
		if !table[line].from.has(state) {
			t.Fatalf("line %d fires in %s", line+1, state)
		}
		if to := table[line].to; to != same && to != more {
			state = to
		}
	}
	if state != m.a.State() {
		t.Fatalf("in %s, and the table says %s", m.a.State(), state)
	}
	if m.a.State().Answers() && !before.Answers() && e.Kind != Probed {
		t.Fatalf("%s from %s without a probe", m.a.State(), before)
	}
	for _, a := range actions {
		m.observe(t, a, asked)
	}
	if m.held && !m.a.State().Holds() {
		t.Fatalf("%s without a report: %v", m.a.State(), actions)
	}
	next := m.a.Next()
	if !next.IsZero() && !next.After(m.now) {
		t.Fatalf("%s is due %v ago after %v", m.a.State(), m.now.Sub(next), actions)
	}
	owner := m.in.PrevOwner
	if again := m.step(m.now, Event{}); len(again) > 0 || m.a.State() != state || !m.a.Next().Equal(next) {
		t.Fatalf("a second review in %s changes %s until %v to %v", state, outcome(m.a, again), next.Sub(epoch), again)
	}
	m.in.PrevOwner = owner
	for _, a := range actions {
		switch a.Kind {
		case Defend:
			m.in.LastDefense = m.now
		case Sighted:
			m.in.Heard = Sighting{a.Host.MAC, m.now, m.in.Heard.Unasked && m.in.Heard.MAC == a.Host.MAC}
		}
	}
}

// observe checks one action. asked is the number of the previous probe.
func (m *monkey) observe(t *testing.T, a Action, asked uint64) {
	switch a.Kind {
	case Ask:
		if a.Probe.Number == asked || m.running && a.Probe.Number == asked+1 {
			t.Fatalf("probe %d begins while probe %d runs", a.Probe.Number, asked)
		}
		m.running = true
	case Report:
		gained := a.Change.Kind == Gained
		if gained && m.held {
			t.Fatalf("gained twice: %v", a)
		}
		m.held = gained
	}
}
