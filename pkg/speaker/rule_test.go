package speaker

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// The stations of a courtroom. Node a judges.
var (
	readyMAC      = layer2.MAC{2, 1}
	leavingMAC    = layer2.MAC{2, 2}
	ineligibleMAC = layer2.MAC{2, 3}
	suspectedMAC  = layer2.MAC{2, 4}
	formerMAC     = layer2.MAC{2, 5}
	strangerMAC   = layer2.MAC{2, 6}
)

type noSnapshot struct{}

func (noSnapshot) Snapshot() cluster.Snapshot { return cluster.Snapshot{} }

// hearers notes who is told of what this node knows.
type hearers struct {
	Peers
	told []string
}

func (h *hearers) Tell(name string, _ [4]uint64) { h.told = append(h.told, name) }

// newJudge returns the speaker of node a, which was ready an hour ago, and a decision of now that names it.
func newJudge(now time.Time, failback time.Duration) (*Speaker, *Decision) {
	s := New(Options{Self: "a", Log: slog.New(slog.DiscardHandler), Source: noSnapshot{}, Peers: &hearers{}, Event: func(cluster.Event) {}})
	s.config = &config.Config{Layer2: config.Layer2{Failback: failback}}
	s.ready = now.Add(-time.Hour)
	member := func(name string, state membership.State, mac layer2.MAC) membership.Member {
		s.members.stations[membership.MAC(mac)] = name
		m := membership.Member{Name: name, State: state, Links: []membership.Link{{Name: "eth0", MAC: membership.MAC(mac)}}}
		s.members.present[name] = m
		return m
	}
	member("ready", membership.Ready, readyMAC)
	member("leaving", membership.Leaving, leavingMAC)
	member("ineligible", membership.Ready, ineligibleMAC)
	member("suspected", membership.Ready, suspectedMAC)
	former := member("former", membership.Ready, formerMAC)
	delete(s.members.present, "former")
	s.members.gone["former"] = departed{Member: former}
	s.members.suspected["suspected"] = suspicion{name: "suspected", until: now.Add(suspicionLife)}
	d := Decision{Addr: addr4, Owner: "a", candidates: []election.Candidate{election.NewCandidate("a"), election.NewCandidate("ready")}}
	s.decisions = []Decision{d}
	s.since[addr4] = now.Add(-time.Hour)
	return s, &s.decisions[0]
}

// TestRule shows the one rule each kind of answer: whether the address is taken at once, and if not, when the wire is asked again.
func TestRule(t *testing.T) {
	const failback = 30 * time.Second
	heard := func(macs ...layer2.MAC) (f layer2.Finding) {
		f.Outcome = layer2.Taken
		for _, mac := range macs {
			f.Heard = append(f.Heard, layer2.Sighting{MAC: mac, Form: layer2.Reply})
		}
		return f
	}
	asking := func(mac layer2.MAC) layer2.Finding {
		return layer2.Finding{Outcome: layer2.Contested, Heard: []layer2.Sighting{{MAC: mac, Form: layer2.Probing}}}
	}
	long := time.Now().Add(-time.Second)
	second := func(_ *Speaker, d *Decision, _ *pursuit, _ time.Time) { d.candidates[1] = d.candidates[1].Weighing(1) }
	knowing := func(s *Speaker, _ *Decision, _ *pursuit, now time.Time) {
		s.hearWord(word{"ineligible", known{1}}, now)
	}
	for _, c := range []struct {
		name     string
		failback time.Duration
		finding  layer2.Finding
		before   func(*Speaker, *Decision, *pursuit, time.Time)
		take     bool
		again    time.Duration
	}{
		{name: "nobody", finding: layer2.Finding{Outcome: layer2.Silent}, take: true},
		{name: "another that asks as well", finding: layer2.Finding{Outcome: layer2.Contested}, take: true},
		{name: "a member that goes before and asks as well", finding: asking(readyMAC), again: firstLook, before: second},
		{name: "a member that goes before and asks as well, a second time", finding: asking(readyMAC), take: true,
			before: func(s *Speaker, d *Decision, p *pursuit, now time.Time) { second(s, d, p, now); p.gaveWay = true }},
		{name: "a member that comes after and asks as well", finding: asking(readyMAC), take: true,
			before: func(_ *Speaker, d *Decision, _ *pursuit, _ time.Time) { d.candidates[0] = d.candidates[0].Weighing(1) }},
		{name: "a stranger that asks as well", finding: asking(strangerMAC), take: true, before: second},
		{name: "nobody, but somebody has claimed it meanwhile", finding: layer2.Finding{Outcome: layer2.Silent},
			before: func(_ *Speaker, _ *Decision, p *pursuit, now time.Time) { p.claimed = now }},
		{name: "nobody, but that was long ago", finding: layer2.Finding{Outcome: layer2.Silent, Last: long}},
		{name: "nobody, but that was long ago, again and again", finding: layer2.Finding{Outcome: layer2.Silent, Last: long}, take: true,
			before: func(_ *Speaker, _ *Decision, p *pursuit, _ time.Time) { p.stale = staleFindings }},
		{name: "another that asks as well, but that was long ago", finding: layer2.Finding{Outcome: layer2.Contested, Last: long}},
		{name: "nobody could be asked", again: firstLook},
		{name: "nobody of whom one was asked", finding: layer2.Finding{Outcome: layer2.Silent},
			before: func(_ *Speaker, _ *Decision, p *pursuit, _ time.Time) { p.to = formerMAC }},
		{name: "the one that was mute when asked alone", finding: heard(formerMAC), take: true,
			before: func(_ *Speaker, _ *Decision, p *pursuit, _ time.Time) { p.mute = formerMAC }},
		{name: "a member", failback: failback, finding: heard(readyMAC), again: confirmDelay},
		{name: "a member, a second time", failback: failback, finding: heard(readyMAC), again: failback - time.Second,
			before: func(_ *Speaker, _ *Decision, p *pursuit, _ time.Time) { p.confirmed = true }},
		{name: "a member, after the delay", failback: failback, finding: heard(readyMAC), take: true,
			before: func(_ *Speaker, _ *Decision, p *pursuit, now time.Time) { p.since = now.Add(-failback) }},
		{name: "a member, without a delay", finding: heard(readyMAC), take: true},
		{name: "a member and a stranger", failback: failback, finding: heard(strangerMAC, readyMAC), again: confirmDelay},
		{name: "a member, while this node is wished for", failback: failback, finding: heard(readyMAC), take: true,
			before: func(_ *Speaker, d *Decision, _ *pursuit, _ time.Time) { d.Wished = true }},
		{name: "a member, while this node is wished for and just back", failback: failback, finding: heard(readyMAC), again: confirmDelay,
			before: func(s *Speaker, d *Decision, _ *pursuit, now time.Time) { d.Wished, s.ready = true, now }},
		{name: "a member, while this node is wished for, failback never", failback: config.FailbackNever, finding: heard(readyMAC), take: true,
			before: func(_ *Speaker, d *Decision, _ *pursuit, _ time.Time) { d.Wished = true }},
		{name: "a member, failback never", failback: config.FailbackNever, finding: heard(readyMAC), again: reassurance,
			before: func(_ *Speaker, _ *Decision, p *pursuit, _ time.Time) { p.confirmed = true }},
		{name: "a leaving member", failback: config.FailbackNever, finding: heard(leavingMAC), take: true},
		{name: "a member without the right", failback: config.FailbackNever, finding: heard(ineligibleMAC), again: settleDelay},
		{name: "a member without the right, for so long", failback: config.FailbackNever, finding: heard(ineligibleMAC), take: true,
			before: func(_ *Speaker, _ *Decision, p *pursuit, now time.Time) { p.disallowed = now.Add(-settleDelay) }},
		{name: "a member without the right that knows more", finding: heard(ineligibleMAC), again: confirmDelay, before: knowing},
		{name: "a member without the right that knows more, a second time", finding: heard(ineligibleMAC), again: reassurance,
			before: func(s *Speaker, d *Decision, p *pursuit, now time.Time) { knowing(s, d, p, now); p.confirmed = true }},
		{name: "a member that was without the right and has it", failback: config.FailbackNever, finding: heard(readyMAC), again: confirmDelay,
			before: func(_ *Speaker, _ *Decision, p *pursuit, now time.Time) { p.disallowed = now.Add(-time.Minute) }},
		{name: "a suspected member", failback: failback, finding: heard(suspectedMAC)},
		{name: "a former member", finding: heard(formerMAC), again: firstLook},
		{name: "a former member, for long", finding: heard(formerMAC), again: lastLook,
			before: func(_ *Speaker, _ *Decision, p *pursuit, _ time.Time) { p.looks = 20 }},
		{name: "a stranger", finding: heard(strangerMAC), again: lastLook},
		{name: "a stranger, for long", finding: heard(strangerMAC), take: true,
			before: func(_ *Speaker, _ *Decision, p *pursuit, now time.Time) { p.strange = now.Add(-strangerBound) }},
		{name: "a stranger that has a new address, for long", finding: heard(strangerMAC), again: lastLook,
			before: func(s *Speaker, d *Decision, p *pursuit, now time.Time) {
				p.strange = now.Add(-strangerBound)
				s.since[d.Addr] = p.strange.Add(-time.Second)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Now()
			s, d := newJudge(now, c.failback)
			p := &pursuit{addr: addr4, since: now.Add(-time.Second), asked: now.Add(-80 * time.Millisecond)}
			if c.before != nil {
				c.before(s, d, p, now)
			}
			if c.finding.Last.IsZero() {
				c.finding.Last = now
			}
			take := s.judge(d, p, &found{pursuit: p, Finding: c.finding}, now)
			if take != c.take {
				t.Fatalf("taken %t, want %t", take, c.take)
			}
			told := s.Peers.(*hearers).told
			if without := strings.Contains(c.name, "without the right") && !strings.Contains(c.name, "has it"); without != slices.Equal(told, []string{"ineligible"}) {
				t.Errorf("told are %v", told)
			}
			again := p.next.Sub(now)
			if c.again > 24*time.Hour && again > 24*time.Hour {
				return
			}
			if !take && again != c.again {
				t.Errorf("asked again after %v, want %v", again, c.again)
			}
		})
	}
}

// TestRefuted has a suspected member answer: it is judged by the next decisions, which count it in.
func TestRefuted(t *testing.T) {
	now := time.Now()
	s, d := newJudge(now, config.FailbackNever)
	p := &pursuit{addr: addr4, since: now}
	f := &found{pursuit: p, Finding: layer2.Finding{Outcome: layer2.Taken, Heard: []layer2.Sighting{{MAC: suspectedMAC, Form: layer2.Reply}}}}
	s.judge(d, p, f, now)
	if _, still := s.members.suspected["suspected"]; still || p.finding != f || !p.disallowed.IsZero() {
		t.Errorf("still suspected %t, finding kept %t, disallowed %v", still, p.finding == f, p.disallowed)
	}
}

// TestLoses has two nodes that each take themselves for the first go on claiming: exactly one gives in, whatever their names, and
// neither does so at once. Claims that are far apart are no such dispute.
func TestLoses(t *testing.T) {
	for _, a := range []netip.Addr{addr4, addr4.Next(), addr6, addr6.Next()} {
		now := time.Now()
		gaveIn := 0
		for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
			s := New(Options{Self: pair[0], Log: slog.New(slog.DiscardHandler)})
			h, d := &holding{}, &Decision{Addr: a}
			for n := 1; n <= disputeClaims+1; n++ {
				h.dispute(now.Add(time.Duration(n) * time.Second))
				if lost := s.loses(d, h, pair[1]); lost && n <= disputeClaims {
					t.Errorf("%s gives %s to %s at claim %d", pair[0], a, pair[1], n)
				} else if lost {
					gaveIn++
				}
			}
			calm := &holding{}
			for n := range 10 {
				calm.dispute(now.Add(time.Duration(n) * (disputeWindow + time.Second)))
				if s.loses(d, calm, pair[1]) {
					t.Errorf("%s gives %s to %s, which claims it now and then", pair[0], a, pair[1])
				}
			}
		}
		if gaveIn != 1 {
			t.Errorf("%d of two gave %s to the other, want one", gaveIn, a)
		}
	}
}

// TestWhoLeftHasNoClaims hears a last answer of a node that leaves, and keeps the address when that node is back before long. A node
// that has not left in between gets it.
func TestWhoLeftHasNoClaims(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		now := time.Now()
		s, d := newJudge(now, 0)
		h := &holding{took: now}
		h.contend("leaving", now)
		if leaves && !s.keep(d, h, now) {
			t.Fatal("given up while the other one leaves")
		}
		back := s.members.present["leaving"]
		back.State = membership.Ready
		s.members.present["leaving"] = back
		d.candidates = slices.Insert(d.candidates, 1, election.NewCandidate("leaving").Weighing(1)) // they are sorted
		if kept := s.keep(d, h, now.Add(yieldBound/2)); kept != leaves {
			t.Errorf("left in between %v: kept %v", leaves, kept)
		}
	}
}

// TestKnownMembersAreNoStrangers starts a speaker in the place of another one: who that knew is known by the MAC address, before gossip
// tells of anybody.
func TestKnownMembersAreNoStrangers(t *testing.T) {
	mac := membership.MAC{2, 0, 0, 0, 0, 9}
	s := New(Options{Self: "a", Log: slog.New(slog.DiscardHandler), Known: []membership.Member{
		{Name: "b", State: membership.Ready, Links: []membership.Link{{MAC: mac}}},
	}})
	if name, is := s.members.whose(layer2.MAC(mac)); name != "b" || is != isFormer {
		t.Errorf("%v is %q, standing %d, want b, who was a member", mac, name, is)
	}
}
