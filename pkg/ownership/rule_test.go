package ownership

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// newJudge returns node a at the moment epoch. Nodes a and b may have the address. Of the other nodes, i may not have
// the address, l leaves, s is suspected, f is gone, and x is a foreign host.
func newJudge() *scene {
	s := newScene()
	s.mayHave("a", "b")
	s.in.Failback.Delay = 30 * time.Second
	s.peers = map[string]peers.Peer{}
	for _, name := range strings.Split("bilsf", "") {
		s.peers[name] = member(name)
	}
	s.change("l", func(p *peers.Peer) { p.State = membership.Leaving })
	s.change("s", func(p *peers.Peer) { p.Suspected, p.Lost = true, true })
	s.change("f", func(p *peers.Peer) { p.Standing, p.Lost = peers.Unreached, true })
	return s
}

// change changes the view of a peer.
func (s *scene) change(name string, how func(*peers.Peer)) {
	p := s.peers[name]
	how(&p)
	s.peers[name] = p
}

// asking lets node a ask for the address since 80 ms. The attempt began a second ago.
func (s *scene) asking() {
	s.step(epoch.Add(-time.Second), Event{})
	s.a.probing.asked = epoch.Add(-80 * time.Millisecond)
}

// TestRule shows the rule of taking over for each kind of answer: whether node a takes the address, and if not, the
// time of the next question.
func TestRule(t *testing.T) {
	nobody := layer2.Finding{Outcome: layer2.Silent}
	long := epoch.Add(-time.Second)
	never := func(s *scene) { s.in.Failback = Failback{Never: true} }
	prefer := func(s *scene) { s.prefer = "a"; s.mayHave("a", "b") }
	newer := func(name string) func(*scene) {
		return func(s *scene) { s.change(name, func(p *peers.Peer) { p.Newer = true }) }
	}
	confirmed := func(s *scene) { s.a.attempt.confirmed = true }
	began := func(ago time.Duration) func(*scene) { return func(s *scene) { s.a.attempt.since = epoch.Add(-ago) } }
	met := func(ago time.Duration) func(*scene) { return func(s *scene) { s.a.attempt.conflict = epoch.Add(-ago) } }
	for _, c := range []struct {
		name    string
		before  []func(*scene)
		finding layer2.Finding
		want    string
	}{
		{"nobody", nil, nobody, "Owner: Report gained new"},
		{"another that asks too", nil, layer2.Finding{Outcome: layer2.Contested}, "Owner: Report gained new"},
		{"a member that goes first and asks too", []func(*scene){newer("b")}, rival("b"), "Probing until 50ms"},
		{"a member that goes first and asks too, a second time",
			[]func(*scene){newer("b"), func(s *scene) { s.a.attempt.gaveWay = true }},
			rival("b"), "Owner: Report gained new"},
		{"a member that comes after and asks too", nil, rival("b"), "Owner: Report gained new"},
		{"a foreign host that asks too", nil, rival("x"), "Owner: Report gained new"},
		{"a member that asks too, while this node has no configuration",
			[]func(*scene){func(s *scene) { s.in.Self.Configured = false }}, rival("b"), "Probing until 50ms"},
		{"nobody, but another host has claimed it meanwhile",
			[]func(*scene){func(s *scene) { s.a.probing.claimed = epoch }}, nobody, "Probing: Ask"},
		{"nobody, but long ago", nil, layer2.Finding{Outcome: layer2.Silent, Last: long}, "Probing: Ask"},
		{"nobody, but long ago, again and again", []func(*scene){func(s *scene) { s.a.probing.stale = mostStale }},
			layer2.Finding{Outcome: layer2.Silent, Last: long}, "Owner: Report gained new"},
		{"another that asks too, but long ago", nil, layer2.Finding{Outcome: layer2.Contested, Last: long},
			"Probing: Ask"},
		{"not asked", nil, layer2.Finding{}, "Probing until 50ms: Unprobed"},
		{"nobody of whom one was asked", []func(*scene){func(s *scene) { s.a.probing.to = macOf("f") }}, nobody,
			"Probing: Ask and linger"},
		{"the station that was mute when asked alone", []func(*scene){func(s *scene) { s.a.probing.mute = macOf("f") }},
			replies("f"), "Owner: Report gained new"},
		{"a member", nil, replies("b"), "Deferred until 200ms"},
		{"a member, a second time", []func(*scene){confirmed}, replies("b"), "Deferred until 29s"},
		{"a member, after the delay", []func(*scene){began(30 * time.Second)}, replies("b"),
			"Owner: Report gained failback b"},
		{"a member, without a delay", []func(*scene){func(s *scene) { s.in.Failback.Delay = 0 }}, replies("b"),
			"Owner: Report gained failback b"},
		{"a member and a foreign host", nil, replies("x", "b"), "Deferred until 200ms"},
		{"a member, while a Service prefers this node", []func(*scene){prefer}, replies("b"),
			"Owner: Report gained wish b"},
		{"a member, while a Service prefers this node, which is just back",
			[]func(*scene){prefer, func(s *scene) { s.in.Self.Ready = epoch }}, replies("b"), "Deferred until 200ms"},
		{"a member, while a Service prefers this node, failback never", []func(*scene){prefer, never}, replies("b"),
			"Owner: Report gained wish b"},
		{"a member, failback never", []func(*scene){never, confirmed}, replies("b"), "Deferred until 1m0s"},
		{"a leaving member", []func(*scene){never}, replies("l"), "Owner: Report gained left l"},
		{"a member without the right", []func(*scene){never}, replies("i"), "Deferred until 100ms: ExchangeVersions i"},
		{"a member without the right, for long enough", []func(*scene){never, func(s *scene) {
			s.a.attempt.holder, s.a.attempt.disallowed = "i", epoch.Add(-settleDelay)
		}}, replies("i"), "Owner: ExchangeVersions i, Report gained ineligible i"},
		{"a member without the right that has seen more", []func(*scene){newer("i")}, replies("i"),
			"Deferred until 200ms: ExchangeVersions i"},
		// Once a second: no rightful node has the address, by the inputs of this node.
		{"a member without the right that has seen more, a second time", []func(*scene){newer("i"), confirmed},
			replies("i"), "Deferred until 1s: ExchangeVersions i"},
		{"a member that was without the right and has it",
			[]func(*scene){never, func(s *scene) { s.a.attempt.disallowed = epoch.Add(-time.Minute) }},
			replies("b"), "Deferred until 200ms"},
		{"a member, while this node has no configuration",
			[]func(*scene){confirmed, func(s *scene) { s.in.Self.Configured = false }},
			replies("i"), "Deferred until 1s: ExchangeVersions i"},
		{"a member that became ready with this node", []func(*scene){func(s *scene) {
			s.in.Self.Ready = epoch.Add(-time.Second)
			s.change("b", func(p *peers.Peer) { p.Ready = epoch.Add(-6 * time.Second) })
		}}, replies("b"), "Owner: Report gained spread b"},
		{"a member that became ready long before this node", []func(*scene){func(s *scene) {
			s.in.Self.Ready = epoch.Add(-time.Second)
			s.change("b", func(p *peers.Peer) { p.Ready = epoch.Add(-12 * time.Second) })
		}}, replies("b"), "Deferred until 200ms"},
		{"a member after a dispute",
			[]func(*scene){confirmed, func(s *scene) { s.a.attempt.yielded = epoch.Add(-time.Second) }}, replies("b"),
			"Deferred until 1s"},
		{"a suspected member", nil, replies("s"), "Probing: Refute s, Ask"},
		{"an unreached node", nil, replies("f"), "Probing until 50ms"},
		{"an unreached node, for long", []func(*scene){func(s *scene) { s.a.probing.retries = 20 }}, replies("f"),
			"Probing until 1s"},
		{"a foreign host", nil, replies("x"), "Conflict until 1s: ForeignClaim, ForeignHost x"},
		{"a foreign host, for long", []func(*scene){met(foreignPatience)}, replies("x"),
			"Owner until 1m0s: ForeignClaim, ForeignHost x, Report gained new"},
		{"a foreign host that has a new address, for long", []func(*scene){met(foreignPatience), func(s *scene) {
			s.in.Arrival.Since = epoch.Add(-foreignPatience - time.Second)
		}}, replies("x"), "Conflict until 1s: ForeignClaim, ForeignHost x"},
		{"a member that has a new address and has not announced it",
			[]func(*scene){func(s *scene) { s.in.Arrival.Came = epoch.Add(-2 * time.Second) }},
			replies("b"), "Conflict until 1s"},
		{"a member that has a new address and has announced it", []func(*scene){func(s *scene) {
			s.in.Arrival.Came = epoch.Add(-2 * time.Second)
			s.in.Heard = Sighting{macOf("b"), epoch.Add(-time.Second), true}
		}}, replies("b"), "Deferred until 200ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newJudge()
			s.asking()
			for _, before := range c.before {
				before(s)
			}
			if c.finding.Last.IsZero() {
				c.finding.Last = epoch
			}
			if got := outcome(s.a, s.step(epoch, s.found(c.finding))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestBackupRule shows the rule for a backup for each kind of answer: whether the backup takes the address, and if not,
// the time of the next question.
func TestBackupRule(t *testing.T) {
	nobody := layer2.Finding{Outcome: layer2.Silent}
	had := func(name string) func(*scene) {
		return func(s *scene) {
			s.in.Arrival, s.in.Heard = Arrival{}, Sighting{macOf(name), epoch.Add(-time.Minute), true}
			s.change(name, func(p *peers.Peer) { p.SeenReady = epoch.Add(-time.Minute + time.Second) })
		}
	}
	answered := func(s *scene) { s.a.attempt.answered = true }
	for _, c := range []struct {
		name    string
		setup   func(*scene) // before this node asks
		during  func(*scene) // while it asks
		finding layer2.Finding
		take    bool
		// again is the minimum time until this node asks again. answered is true when the next silence does not count
		// at once.
		again    time.Duration
		answered bool
	}{
		{name: "nobody", finding: nobody, take: true},
		{name: "nobody, but another host has claimed it meanwhile", finding: nobody, again: backupDelay,
			during: func(s *scene) { s.a.probing.claimed = epoch }},
		{name: "nobody, but long ago", finding: layer2.Finding{Outcome: layer2.Silent, Last: epoch.Add(-time.Second)}},
		{name: "nobody after an answer", finding: nobody, again: backupConfirm, during: answered},
		{name: "nobody after an answer, a second time", finding: nobody, take: true,
			during: func(s *scene) { s.a.attempt.answered, s.a.attempt.confirmed = true, true }},
		{name: "nobody, where a member may have it", finding: nobody, again: backupConfirm, setup: had("c")},
		{name: "nobody, where a lost member had it", finding: nobody, take: true, setup: had("f")},
		{name: "another that asks too", finding: layer2.Finding{Outcome: layer2.Contested}, again: backupDelay},
		{name: "not asked", finding: layer2.Finding{}, again: backupDelay},
		{name: "a member", finding: replies("c"), again: backupDelay, answered: true},
		{name: "a leaving member", finding: replies("l"), again: backupDelay, answered: true},
		{name: "an unreached node", finding: replies("f"), again: backupDelay, answered: true},
		{name: "a foreign host", finding: replies("x"), again: backupDelay, answered: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newJudge()
			s.in.Self.Name, s.in.Arrival = "b", Arrival{Since: epoch.Add(-time.Minute)}
			s.peers["a"], s.peers["c"] = member("a"), member("c")
			s.mayHave("a", "b", "c") // so b is second in rank
			if c.setup != nil {
				c.setup(s)
			}
			s.step(epoch.Add(-3*time.Second), Event{})
			s.step(epoch.Add(-80*time.Millisecond), Event{})
			if s.a.State() != Backup || !s.a.probing.asking {
				t.Fatalf("%s, asking %t", s.a.State(), s.a.probing.asking)
			}
			if c.during != nil {
				c.during(s)
			}
			if c.finding.Last.IsZero() {
				c.finding.Last = epoch
			}
			actions := s.step(epoch, s.found(c.finding))
			if take := s.a.State() == Owner; take != c.take || c.answered && !s.a.attempt.answered {
				t.Fatalf("got %s, answered %t", outcome(s.a, actions), s.a.attempt.answered)
			}
			if again := s.a.probing.next.Sub(epoch); !c.take && (again < c.again || again > c.again+backupJitter) {
				t.Errorf("asks again after %v, want %v", again, c.again)
			}
			if c.answered && (actions[0].Kind != Sighted || actions[0].Host.MAC != c.finding.Heard[0].MAC) {
				t.Errorf("got %v", actions)
			}
		})
	}
}

// TestVacancy distinguishes an address without a known owner from an address that its owner may keep.
func TestVacancy(t *testing.T) {
	recent := func(s *scene) { s.in.Arrival.Since = epoch.Add(-time.Second) }
	for _, c := range []struct {
		name   string
		heard  string
		ago    time.Duration
		before func(*scene)
		from   string
		vacant bool
	}{
		{name: "old, and nobody was heard since this node is ready"},
		{name: "old, and the election named a node that is lost", before: func(s *scene) { s.in.PrevOwner = "f" },
			from: "f", vacant: true},
		{name: "old, and the election named a node that may have it", before: func(s *scene) { s.in.PrevOwner = "b" },
			from: "b"},
		{name: "new", before: recent, vacant: true},
		{name: "new, and heard before it came", heard: "b", ago: time.Minute, before: recent, vacant: true},
		{name: "new, and heard", heard: "b", before: recent, from: "b"},
		{name: "new, and a foreign host was heard", heard: "x", before: recent, vacant: true},
		{name: "a member", heard: "b", from: "b"},
		{name: "an unreached node", heard: "f", from: "f", vacant: true},
		{name: "a suspected member", heard: "s", from: "s", vacant: true},
		{name: "a member without the right", heard: "i", from: "i", vacant: true},
		{name: "a member without the right that has seen more", heard: "i", from: "i",
			before: func(s *scene) { s.change("i", func(p *peers.Peer) { p.Newer = true }) }},
		{name: "a member, but a process before this one of it", heard: "b", ago: time.Minute,
			before: func(s *scene) { s.change("b", func(p *peers.Peer) { p.SeenReady = epoch }) }, from: "b",
			vacant: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newJudge()
			s.in.PrevOwner = ""
			if c.before != nil {
				c.before(s)
			}
			if c.heard != "" {
				s.in.Heard = Sighting{macOf(c.heard), epoch.Add(-c.ago), true}
			}
			s.in.Peers = peers.NewView(s.peers, s.stations(), 0)
			if from, vacant := vacancy(&step{a: s.a, in: &s.in, now: epoch}); from != c.from || vacant != c.vacant {
				t.Errorf("from %q, vacant %t", from, vacant)
			}
		})
	}
}

// TestDispute lets two nodes go on claiming, both first in rank by their own inputs: exactly one yields, whatever the
// names, and no node yields at once. Claims far apart are no such dispute.
func TestDispute(t *testing.T) {
	for addr := range strings.SplitSeq("10.0.0.1 10.0.0.2 10.0.0.3 fd00::1 fd00::2", " ") {
		gaveIn := 0
		for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
			claims := func(number int, apart time.Duration) (yielded int) {
				s := newScene()
				s.addr = netip.MustParseAddr(addr)
				s.a = Inherit(s.addr)
				s.in.Self.Name = pair[0]
				s.peers = map[string]peers.Peer{pair[1]: member(pair[1])}
				s.mayHave(pair[0])
				for n := range number {
					s.step(epoch.Add(time.Duration(n)*apart), Event{Kind: Claimed, MAC: macOf(pair[1])})
					if s.a.State() != Owner {
						return n + 1
					}
				}
				return 0
			}
			switch n := claims(mostDisputes+1, time.Second); n {
			case 0:
			case mostDisputes + 1:
				gaveIn++
			default:
				t.Errorf("%s gives %s to %s at claim %d", pair[0], addr, pair[1], n)
			}
			if claims(10, disputeWindow+time.Second) != 0 {
				t.Errorf("%s gives %s to %s, which claims it now and then", pair[0], addr, pair[1])
			}
		}
		if gaveIn != 1 {
			t.Errorf("%d of two gave %s to the other, want one", gaveIn, addr)
		}
	}
}

// TestWhoLeftHasNoClaims delivers a last claim of a leaving node: this node keeps the address when the leaving node is
// back soon. A node that has not left in between gets the address.
func TestWhoLeftHasNoClaims(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		s := newJudge()
		s.a, s.in.Self.Name, s.peers["a"] = Inherit(s.addr), "b", member("a")
		s.mayHave("b")
		s.step(epoch, Event{Kind: Claimed, MAC: macOf("a")})
		if leaves {
			s.change("a", func(p *peers.Peer) { p.State = membership.Leaving })
			if s.step(epoch, Event{}); s.a.State() != Owner {
				t.Fatal("released while the other node leaves")
			}
		}
		s.change("a", func(p *peers.Peer) { p.State = membership.Ready })
		s.mayHave("a", "b")
		s.step(epoch.Add(drainBound/2), Event{})
		if kept := s.a.State() == Owner; kept != leaves {
			t.Errorf("left in between %t: kept %t", leaves, kept)
		}
	}
}

// TestWaitIsCutShort lets a node wait for the end of failback, or without end. When a Service or a new configuration
// prefers this node, this node takes the address at once. A node that is just back waits for failback even if a Service
// prefers the node, unless failback is never.
func TestWaitIsCutShort(t *testing.T) {
	for _, failback := range []Failback{{Delay: 10 * time.Minute}, {Never: true}} {
		for name, change := range map[string]func(*scene){
			"preferred":  func(s *scene) { s.prefer = "a"; s.mayHave("a", "b") },
			"configured": func(s *scene) { s.in.Failback = Failback{} },
		} {
			s := newJudge()
			s.in.Failback, s.in.Self.Ready = failback, epoch
			now := epoch
			for range 3 {
				s.step(now, Event{})
				s.step(now.Add(40*time.Millisecond), s.found(replies("b")))
				now = now.Add(10 * time.Second)
			}
			if s.a.State() != Deferred {
				t.Fatalf("%s %v: %s", name, failback, s.a.State())
			}
			change(s)
			s.step(now, Event{})
			s.step(now.Add(40*time.Millisecond), s.found(replies("b")))
			if moves := name == "configured" || failback.Never; (s.a.State() == Owner) != moves {
				t.Errorf("%s %v: %s", name, failback, s.a.State())
			}
		}
	}
}

// TestNewAddressWaitsForRules checks that the first probe of a new address waits for the rules of kube-proxy, and other
// probes do not.
func TestNewAddressWaitsForRules(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrival Arrival
		path    Path
		next    time.Duration // zero for at once
	}{
		{"old", Arrival{}, PathUnknown, 0},
		{"new", Arrival{Since: epoch, Came: epoch}, PathUnasked, RulesDelay},
		{"new, with a proven path", Arrival{Since: epoch, Came: epoch}, PathThere, 0},
		{"new, with a path that is known to be missing", Arrival{Since: epoch, Came: epoch}, PathMissing, RulesBound},
		{"old, with a path that is known to be missing", Arrival{}, PathMissing, 0},
		{"with endpoints after half of the delay", Arrival{Since: epoch, Came: epoch.Add(-RulesDelay / 2)}, PathUnknown,
			RulesDelay / 2},
		{"with endpoints after long", Arrival{Since: epoch, Came: epoch.Add(-time.Minute)}, PathUnknown, 0},
		{"with endpoints again", Arrival{Since: epoch.Add(-time.Minute)}, PathUnknown, 0},
	} {
		s := newScene()
		s.in.Arrival, s.in.Path = c.arrival, c.path
		s.step(epoch, Event{})
		if c.next == 0 {
			if !s.a.probing.asking {
				t.Errorf("%s: not asked at once", c.name)
			}
			continue
		}
		if next := s.a.Next().Sub(epoch); s.a.probing.asking || next != c.next {
			t.Errorf("%s: asks after %v, want %v", c.name, next, c.next)
		}
	}
}
