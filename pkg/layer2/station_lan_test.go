package layer2_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// neighbour adds a node that answers for the addresses.
func (l *lab) neighbour(name string, at netip.Prefix, addrs ...netip.Addr) *lantest.NIC {
	l.t.Helper()
	node := l.lan.Node(name)
	nic := node.Add("eth0", at)
	a := layer2.New(layer2.Options{Network: node})
	var targets []layer2.Target
	for _, addr := range addrs {
		targets = append(targets, layer2.Target{Addr: addr, Interfaces: []string{"*"}})
	}
	a.Set(targets)
	done := make(chan error, 1)
	go func() { done <- a.Run(l.t.Context()) }()
	l.t.Cleanup(func() { <-done })
	l.pass(10 * time.Second) // the announcements are over
	return nic
}

// TestStation asks a station that answers, is cut off, and answers again.
func TestStation(t *testing.T) {
	registry := prometheus.NewRegistry()
	inProbeLab(t, layer2.Options{Registerer: registry}, func(t *testing.T, l *lab) {
		nic := l.neighbour("other", netip.MustParsePrefix("192.0.2.2/24"), free4, free6)
		for _, addr := range []netip.Addr{free4, free6} {
			s := l.a.Station(addr, nic.MAC())
			if !s.Is(addr, nic.MAC()) || s.Is(vip4, nic.MAC()) || s.Is(addr, l.eth0.MAC()) {
				t.Errorf("%s: Is does not know the station", addr)
			}
			if at := s.Answered(); !at.IsZero() {
				t.Errorf("%s: answered at %v before the first question", addr, at)
			}
			for i := range 4 {
				cut := i == 1
				l.lan.Cut("other/eth0", cut)
				l.pass(100 * ms)
				before, asked := s.Answered(), time.Now()
				if !s.Ask(asked) {
					t.Fatalf("%s: question %d not sent", addr, i)
				}
				l.pass(100 * ms)
				switch at := s.Answered(); {
				case cut && !at.Equal(before):
					t.Errorf("%s: question %d answered at %v by a station that is cut off", addr, i, at.Sub(asked))
				case !cut && !at.Equal(asked):
					t.Errorf("%s: question %d answered at %v, want at once", addr, i, at.Sub(asked))
				}
			}
			s.Close()
			asked := time.Now()
			if _, err := l.a.Probe(t.Context(), addr, layer2.ProbeOptions{To: nic.MAC()}); err != nil || s.Answered().Equal(asked) {
				t.Errorf("%s: %v, and a closed station notes an answer at %v", addr, err, s.Answered().Sub(asked))
			}
		}
		for _, protocol := range []string{"ARP", "NDP"} {
			// Two answered questions before another question, and the probe.
			if n := counted(t, registry, "lanlord_layer2_probes_total", "taken", protocol); n != 3 {
				t.Errorf("%v questions of %s counted as answered, want 3", n, protocol)
			}
		}
	})
}

// TestStationRefuses lets no question pass that Probe would not send now.
func TestStationRefuses(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		nic := l.neighbour("other", netip.MustParsePrefix("192.0.2.2/24"), free4)
		s := l.a.Station(free4, nic.MAC())
		for _, c := range []struct {
			name   string
			change func()
			want   bool
		}{
			{"at rest", func() {}, true},
			{"the interface is down", func() { l.eth0.SetUp(false) }, false},
			{"the interface is up again", func() { l.eth0.SetUp(true) }, true},
			{"no answer would be heard", func() { l.a.SetRanges(nil) }, false},
			{"answers are heard again", func() { l.a.SetRanges(labRanges) }, true},
			{"first announcements wait for the rate", func() { l.a.SetRate(4); l.set(manyAddrs(100)...) }, false},
			{"the announcements are over", func() { l.a.SetRate(0); l.pass(10 * time.Second) }, true},
		} {
			c.change()
			l.pass(100 * ms)
			if got := s.Ask(time.Now()); got != c.want {
				t.Errorf("%s: asked %t, want %t", c.name, got, c.want)
			}
		}
		s.Close()
	})
}

// TestStationIsHeardOnce watches an address of a station that is asked ten times a second: Heard learns of an answer
// once a second, as with Probe, and of each change.
func TestStationIsHeardOnce(t *testing.T) {
	var claims []layer2.Claim
	heard := func(c layer2.Claim) { claims = append(claims, c) }
	inProbeLab(t, layer2.Options{Heard: heard}, func(t *testing.T, l *lab) {
		nic := l.neighbour("other", netip.MustParsePrefix("192.0.2.2/24"), free4)
		l.a.Set([]layer2.Target{{Addr: free4, Mode: layer2.Watch}})
		l.pass(2 * time.Second)
		s := l.a.Station(free4, nic.MAC())
		defer s.Close()
		claims = nil
		for range 50 {
			if !s.Ask(time.Now()) {
				t.Fatal("question not sent")
			}
			l.pass(100 * ms)
		}
		if len(claims) < 4 || len(claims) > 5 {
			t.Errorf("%d answers heard in 5 s, want one a second", len(claims))
		}
		for _, c := range claims {
			if c.MAC != nic.MAC() || !c.Answer || c.Addr != free4 {
				t.Errorf("heard %+v", c)
			}
		}
	})
}

// TestOnBeat counts the calls before and after stop.
func TestOnBeat(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		calls := [2]int{}
		stop0 := l.a.OnBeat(func(time.Time) { calls[0]++ })
		stop1 := l.a.OnBeat(func(now time.Time) {
			if calls[1]++; !now.Equal(time.Now()) {
				t.Errorf("the beat of %v comes at %v", now, time.Now())
			}
		})
		l.pass(time.Second + 10*ms)
		stop0()
		l.pass(time.Second)
		stop1()
		l.pass(time.Second)
		if calls != [2]int{20, 40} {
			t.Errorf("called %v times, want 20 and 40", calls)
		}
		synctest.Wait()
	})
}
