package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

func TestAnnounce(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		r := s.router(torA, routertest.Options{})
		s.set(peer("a", torA, "198.51.100.1/32", "2001:db8:1::1/128"))
		wantRIB(t, r, "198.51.100.1/32", "2001:db8:1::1/128")
		got := s.status("a")
		if got.State != Established || got.Reason != None || got.RemoteASN != 64513 || got.HoldTime != 90*time.Second ||
			got.Announced4 != 1 || got.Announced6 != 1 || got.Wanted4 != 1 || got.Remote.Addr() != torA ||
			got.Resets != 0 || got.Adopted {
			t.Errorf("status: %+v", got)
		}
		if path := r.RIB()[netip.MustParsePrefix("2001:db8:1::1/128")]; path.NextHop != netip.MustParseAddr("2001:db8::1") {
			t.Errorf("path: %v", path)
		}
		s.set(peer("a", torA, "198.51.100.2/32", "2001:db8:1::1/128"))
		wantRIB(t, r, "198.51.100.2/32", "2001:db8:1::1/128")
		if c := r.Counts(); c.Announced != 3 || c.Withdrawn != 1 || c.Unchanged != 0 {
			t.Errorf("counts: %+v", c)
		}
		s.pass(time.Hour)
		if got := s.status("a"); got.State != Established || got.Resets != 0 {
			t.Errorf("after an hour: %+v", got)
		}
		s.set()
		wantRIB(t, r)
		if n := r.Counts().Notification; n.Code != wire.CodeCease || n.Subcode != wire.CeaseDeconfigured {
			t.Errorf("the removed peer got %v", n)
		}
	})
}

func TestStopEndsWithCease(t *testing.T) {
	for _, c := range []struct {
		name     string
		graceful time.Duration
		router   routertest.Options
		subcode  uint8
	}{
		{name: "plain", subcode: wire.CeaseShutdown},
		{name: "graceful restart", graceful: 15 * time.Second, router: routertest.Options{GracefulRestart: graceful()},
			subcode: wire.CeaseHardReset},
		{name: "graceful restart of this side only", graceful: 15 * time.Second, subcode: wire.CeaseShutdown},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScene(t, nil, func(s *scene) {
				r := s.router(torA, c.router)
				p := peer("a", torA, "198.51.100.1/32")
				p.GracefulRestart = c.graceful
				s.set(p)
				if opens := r.Opens(); len(opens) != 1 ||
					(c.graceful > 0) != (opens[0].Capabilities.GracefulRestart != nil) ||
					c.graceful > 0 && !opens[0].Capabilities.GracefulRestart.Restarting {
					t.Errorf("the first OPEN: %+v", opens)
				}
				s.stop()
				<-s.ended
				wantRIB(t, r)
				if n := r.Counts().Notification; n.Code != wire.CodeCease || n.Subcode != c.subcode {
					t.Errorf("notification %v, want Cease/%d", n, c.subcode)
				}
			})
		})
	}
}

func TestChangedPeerResetsItselfOnly(t *testing.T) {
	changes := map[string]struct {
		change func(*Peer)
		reset  bool
	}{
		"router ID":        {func(p *Peer) { p.RouterID = netip.MustParseAddr("192.0.2.9") }, true},
		"password":         {func(p *Peer) { p.Password = "other" }, true},
		"TTL security":     {func(p *Peer) { p.TTLSecurity = 1 }, true},
		"source address":   {func(p *Peer) { p.SourceAddress = netip.MustParseAddr("192.0.2.1") }, true},
		"source interface": {func(p *Peer) { p.SourceInterface = "eth0" }, true},
		"hold time":        {func(p *Peer) { p.HoldTime = 9 * time.Second }, false},
		"keepalive time":   {func(p *Peer) { p.KeepaliveTime = time.Second }, false},
		"graceful restart": {func(p *Peer) { p.GracefulRestart = 30 * time.Second }, false},
		"BFD":              {func(p *Peer) { p.BFD = &bfd.Profile{DetectMultiplier: 3} }, false},
		"password problem": {func(p *Peer) { p.Password, p.PasswordProblem = "", "the Secret is missing" }, false},
		"routes":           {func(p *Peer) { p.Routes = nil }, false},
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			inScene(t, nil, func(s *scene) {
				a, b := s.router(torA, routertest.Options{}), s.router(torB, routertest.Options{})
				before, other := peer("a", torA, "198.51.100.1/32"), peer("b", torB, "198.51.100.1/32")
				before.Password = "first"
				s.set(before, other)
				s.pass(time.Minute)
				after := before
				c.change(&after)
				s.set(after, other)
				got := s.status("a")
				if got.State != Established || (got.Resets == 1) != c.reset || (len(a.Opens()) == 2) != c.reset {
					t.Errorf("status %+v after %d OPENs", got, len(a.Opens()))
				}
				if c.reset && (got.Reason != Changed || got.Since != time.Now() || s.log.count("reason=Changed") != 1) {
					t.Errorf("status after the reset: %+v", got)
				}
				if n := len(b.Opens()); n != 1 || s.status("b").Resets != 0 {
					t.Errorf("the other session has %d OPENs", n)
				}
				if len(after.Routes) > 0 {
					wantRIB(t, a, "198.51.100.1/32")
				}
			})
		})
	}
}

func TestChangedTimersHoldFromTheNextSession(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		r := s.router(torA, routertest.Options{})
		p := peer("a", torA, "198.51.100.1/32")
		s.set(p)
		p.HoldTime = 30 * time.Second
		s.set(p)
		if got := s.status("a"); got.HoldTime != 90*time.Second {
			t.Errorf("the session has a hold time of %v already", got.HoldTime)
		}
		s.network.cut(torA)
		s.pass(5 * time.Second)
		got := s.status("a")
		if got.State != Established || got.HoldTime != 30*time.Second || got.Resets != 1 ||
			got.Reason != ConnectionLost {
			t.Errorf("the next session: %+v", got)
		}
		wantRIB(t, r, "198.51.100.1/32")
		// Without a session the new parameters hold at once.
		s.network.setRouter(torA, nil)
		s.network.cut(torA)
		s.pass(time.Minute)
		dials := s.network.dialled(torA)
		p.HoldTime = 60 * time.Second
		s.set(p)
		if got := s.network.dialled(torA); got != dials+1 {
			t.Errorf("%d attempts after the change, want 1", got-dials)
		}
		if got := s.status("a"); got.Reason != Refused || got.Resets != 2 {
			t.Errorf("without a router: %+v", got)
		}
	})
}

func TestPeerThatIsNotReached(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		s.set(peer("a", torA))
		s.pass(10 * time.Minute)
		if got := s.status("a"); got.State == Established || got.Reason != Refused || got.Message != "nobody listens" {
			t.Errorf("status: %+v", got)
		}
		if n := s.log.count("BGP session not established"); n != 1 {
			t.Errorf("%d lines in the log for one reason", n)
		}
		if n := s.network.dialled(torA); n < 20 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		r := s.router(torA, routertest.Options{SaysASN: 64999})
		s.pass(time.Minute)
		if got := s.status("a"); got.Reason != WrongASN || got.RemoteASN != 64999 {
			t.Errorf("status: %+v", got)
		}
		r.SetOptions(routertest.Options{ASN: 64513, PeerASN: 64512})
		s.pass(time.Minute)
		if got := s.status("a"); got.State != Established {
			t.Errorf("status: %+v", got)
		}
	})
}

func TestPasswordProblem(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		s.router(torA, routertest.Options{})
		p := peer("a", torA)
		p.PasswordProblem = "the Secret bgp has no key tor-a"
		s.set(p)
		s.pass(time.Minute)
		if got := s.status("a"); got.Reason != PasswordMissing || got.Message != p.PasswordProblem ||
			s.network.dialled(torA) != 0 {
			t.Errorf("status %+v after %d attempts", got, s.network.dialled(torA))
		}
		p.PasswordProblem, p.Password = "", "secret"
		s.set(p)
		if got := s.status("a"); got.State != Established {
			t.Errorf("status: %+v", got)
		}
		// While the Secret is missing the session goes on, and another password ends it.
		p.PasswordProblem, p.Password = "the Secret is missing", ""
		s.set(p)
		p.PasswordProblem, p.Password = "", "secret"
		s.set(p)
		if got := s.status("a"); got.State != Established || got.Resets != 0 {
			t.Errorf("status: %+v", got)
		}
		p.PasswordProblem, p.Password = "the Secret is missing", ""
		s.set(p)
		p.PasswordProblem, p.Password = "", "another"
		s.set(p)
		if got := s.status("a"); got.State != Established || got.Resets != 1 {
			t.Errorf("status: %+v", got)
		}
	})
}

func TestPasswordIsNotShown(t *testing.T) {
	const password = "correct horse"
	registry := prometheus.NewRegistry()
	inScene(t, func(o *Options) { o.Registerer = registry }, func(s *scene) {
		s.router(torB, routertest.Options{})
		a, b := peer("a", torA, "198.51.100.1/32"), peer("b", torB, "198.51.100.1/32")
		a.Password, b.Password = password, password
		s.set(a, b)
		s.network.cut(torB)
		s.pass(time.Minute)
		b.Password = password + "!"
		s.set(a, b)
		s.speaker.shared.log.Info("peer", "peer", a, "address", &a, "list", []Peer{a})
		encoded, err := json.Marshal([]Peer{a})
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		state, err := s.speaker.workers["b"].machine.Save()
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{"String": a.String(), "%+v": fmt.Sprintf("%+v %v %s", a, &a, []Peer{a}),
			"%#v":  fmt.Sprintf("%#v %#v", a, []Peer{a}),
			"JSON": string(encoded), "log": s.log.String(), "metrics": fmt.Sprint(metrics), "status": fmt.Sprintf("%#v",
				s.speaker.Status()),
			"state": string(state), "parameters": fmt.Sprintf("%#v %#v", parametersOf(a), sessionConfig(a))}
		for where, text := range texts {
			if strings.Contains(text, "horse") || text == "" {
				t.Errorf("%s: %q", where, text)
			}
		}
	})
}

func TestRenamedPeerConnectsAfterTheOldOne(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		r := s.router(torA, routertest.Options{})
		s.set(peer("a", torA, "198.51.100.1/32"))
		s.set(peer("b", torA, "198.51.100.1/32"))
		if got := s.status("b"); got.State != Established || len(r.Opens()) != 2 {
			t.Errorf("status %+v after %d OPENs", got, len(r.Opens()))
		}
		wantRIB(t, r, "198.51.100.1/32")
	})
}

func TestSlowRouterDelaysNobody(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		s.router(torA, routertest.Options{})
		s.network.stuck[torA] = true
		quick := s.router(torB, routertest.Options{})
		var prefixes []string
		for i := range 20000 {
			prefixes = append(prefixes, fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255))
		}
		s.set(peer("a", torA, prefixes...), peer("b", torB, prefixes...))
		if n := len(quick.RIB()); n != len(prefixes) {
			t.Errorf("the quick router has %d routes", n)
		}
		s.set(peer("a", torA), peer("b", torB, prefixes[:10]...))
		wantRIB(t, quick, prefixes[:10]...)
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		if err := s.speaker.Flushed(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(),
			" a:") {
			t.Errorf("Flushed with a stuck router: %v", err)
		}
		w := s.speaker.workers["a"]
		s.pass(time.Minute)
		if n := len(w.link.unsent) + len(w.link.inflight); n > 64<<10 {
			t.Errorf("%d bytes wait for the slow router", n)
		}
		began := time.Now()
		s.stop()
		<-s.ended
		if took := time.Since(began); took > farewell {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestFlushed(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		r := s.router(torA, routertest.Options{})
		s.speaker.Set([]Peer{peer("a", torA, "198.51.100.1/32")})
		if err := s.speaker.Flushed(s.t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantRIB(t, r, "198.51.100.1/32")
		s.speaker.Set([]Peer{peer("a", torA)})
		if err := s.speaker.Flushed(s.t.Context()); err != nil {
			t.Fatal(err)
		}
		// The kernel, here the pipe, has all bytes: the router has read them.
		wantRIB(t, r)
	})
}

func TestBFD(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		r := s.router(torA, routertest.Options{})
		p := peer("a", torA, "198.51.100.1/32")
		p.BFD = &bfd.Profile{ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 50 * time.Millisecond,
			DetectMultiplier: 3}
		s.set(p)
		targets := s.monitor.list()
		if len(targets) != 1 || targets[0].Remote != torA || targets[0].Multihop || targets[0].Profile != *p.BFD {
			t.Fatalf("targets: %+v", targets)
		}
		s.pass(bfdGrace)
		if n := s.log.count("BFD session does not come up"); n != 1 {
			t.Errorf("%d warnings after %v without BFD", n, bfdGrace)
		}
		if got := s.status("a"); got.BFD == nil || got.BFD.Remote != torA {
			t.Errorf("status: %+v", got)
		}
		change := func(state bfd.State) {
			s.monitor.change(targets[0].Key(), state)
			synctest.Wait()
		}
		change(bfd.Down)
		change(bfd.Init)
		change(bfd.Down) // never up: no reason to end the session
		if got := s.status("a"); got.Resets != 0 {
			t.Errorf("BFD that never came up: %+v", got)
		}
		change(bfd.Up)
		s.monitor.options.Changed(bfd.Status{Key: targets[0].Key(), State: bfd.Down, RemoteState: bfd.AdminDown})
		synctest.Wait()
		if got := s.status("a"); got.Resets != 0 {
			t.Errorf("after the router shut BFD down by configuration: %+v", got)
		}
		change(bfd.Up)
		change(bfd.Down)
		if got := s.status("a"); got.State == Established || got.Reason != BFDDown {
			t.Errorf("after BFD went down: %+v", got)
		}
		s.pass(time.Second)
		if got := s.status("a"); got.State != Established || got.Resets != 1 || len(r.Opens()) != 2 {
			t.Errorf("a second later: %+v", got)
		}
		p.BFD = &bfd.Profile{ReceiveInterval: time.Second, TransmitInterval: time.Second, DetectMultiplier: 5}
		s.set(p)
		if targets := s.monitor.list(); len(targets) != 1 || targets[0].Profile != *p.BFD {
			t.Errorf("targets after another profile: %+v", targets)
		}
		p.BFD = nil
		s.set(p)
		if targets := s.monitor.list(); len(targets) != 0 {
			t.Errorf("targets without a profile: %+v", targets)
		}
		if got := s.status("a"); got.State != Established || got.Resets != 1 || got.BFD != nil {
			t.Errorf("status without a profile: %+v", got)
		}
	})
}

func TestBFDDownRedialsQuickly(t *testing.T) {
	inScene(t, nil, func(s *scene) {
		s.router(torA, routertest.Options{})
		p := peer("a", torA)
		p.BFD = &bfd.Profile{DetectMultiplier: 3}
		s.set(p)
		s.network.setRouter(torA, nil)
		for _, state := range []bfd.State{bfd.Up, bfd.Down} {
			s.monitor.change(s.monitor.list()[0].Key(), state)
		}
		before := s.network.dialled(torA)
		s.pass(100*time.Millisecond + patience)
		if n := s.network.dialled(torA) - before; n < 1 {
			t.Error("no attempt shortly after BFD went down")
		}
		s.pass(10 * time.Minute)
		if n := s.network.dialled(torA) - before; n < 120 || n > 170 {
			t.Errorf("%d attempts in ten minutes, want one in 5 s", n)
		}
		s.router(torA, routertest.Options{})
		s.pass(5 * time.Second)
		if got := s.status("a"); got.State != Established {
			t.Errorf("status: %+v", got)
		}
	})
}

// TestRestartWaitsForBFD has a process begin with graceful restart and BFD: the router must have noticed the end of the
// BFD session of a process before, so that the new BGP session does not end with that.
func TestRestartWaitsForBFD(t *testing.T) {
	profile := &bfd.Profile{ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 50 * time.Millisecond, DetectMultiplier: 3}
	for _, c := range []struct {
		name     string
		bfd      *bfd.Profile
		graceful time.Duration
		wait     time.Duration
	}{
		{"no BFD", nil, 15 * time.Second, 0},
		{"no graceful restart", profile, 0, 0},
		{"both", profile, 15 * time.Second, 200 * time.Millisecond},
		{"detection that takes longer than a restart", &bfd.Profile{ReceiveInterval: time.Second, TransmitInterval: time.Second,
			DetectMultiplier: 10}, 4 * time.Second, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScene(t, nil, func(s *scene) {
				r := s.router(torA, routertest.Options{GracefulRestart: graceful()})
				p := peer("a", torA, "198.51.100.1/32")
				p.BFD, p.GracefulRestart = c.bfd, c.graceful
				s.set(p)
				if c.wait > 0 {
					s.pass(c.wait - time.Millisecond)
					if n := s.network.dialled(torA); n > 0 {
						t.Errorf("%d attempts %v after the start", n, c.wait-time.Millisecond)
					}
					s.pass(time.Millisecond)
				}
				wantRIB(t, r, "198.51.100.1/32")
				s.network.cut(torA) // a later session is not delayed: the process has kept its BFD session
				s.pass(2 * time.Second)
				if got := s.status("a"); got.State != Established || got.Resets != 1 {
					t.Errorf("status: %+v", got)
				}
			})
		})
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	inScene(t, func(o *Options) { o.Registerer = registry }, func(s *scene) {
		s.router(torA, routertest.Options{})
		s.set(peer("a", torA, "198.51.100.1/32", "198.51.100.2/32"), peer("b", torB))
		if err := s.network.link(torA).Notify(wire.Notification{Code: wire.CodeCease,
			Subcode: wire.CeaseShutdown}); err != nil {
			t.Fatal(err)
		}
		s.pass(2 * time.Second)
		want := `
# HELP lanlord_bgp_session_up Whether the BGP session with a peer is established.
# TYPE lanlord_bgp_session_up gauge
lanlord_bgp_session_up{peer="a"} 1
lanlord_bgp_session_up{peer="b"} 0
# HELP lanlord_bgp_prefixes_announced Prefixes that the router was told on the current session.
# TYPE lanlord_bgp_prefixes_announced gauge
lanlord_bgp_prefixes_announced{family="IPv4",peer="a"} 2
lanlord_bgp_prefixes_announced{family="IPv4",peer="b"} 0
lanlord_bgp_prefixes_announced{family="IPv6",peer="a"} 0
lanlord_bgp_prefixes_announced{family="IPv6",peer="b"} 0
# HELP lanlord_bgp_session_changes_total Changes of BGP sessions to up or down, by the reason of the loss; None for up.
# TYPE lanlord_bgp_session_changes_total counter
lanlord_bgp_session_changes_total{peer="a",reason="None",to="up"} 2
lanlord_bgp_session_changes_total{peer="a",reason="Notified",to="down"} 1
# HELP lanlord_bgp_notifications_total BGP NOTIFICATION messages, by direction and by code and subcode (RFC 4271, section 4.5).
# TYPE lanlord_bgp_notifications_total counter
lanlord_bgp_notifications_total{code="6/2",direction="received",peer="a"} 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "lanlord_bgp_session_up",
			"lanlord_bgp_prefixes_announced",
			"lanlord_bgp_session_changes_total", "lanlord_bgp_notifications_total"); err != nil {
			t.Error(err)
		}
		if n := testutil.ToFloat64(s.speaker.shared.metrics.failures.WithLabelValues("b", "Refused")); n < 1 {
			t.Errorf("%v failed attempts", n)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
		s.set()
		left, err := testutil.GatherAndCount(registry, "lanlord_bgp_session_up", "lanlord_bgp_session_changes_total",
			"lanlord_bgp_notifications_total",
			"lanlord_bgp_connect_failures_total", "lanlord_bgp_messages_total")
		if err != nil || left != 0 {
			t.Errorf("%d series are left without peers: %v", left, err)
		}
	})
}

func TestStatusBeforeRun(t *testing.T) {
	s := New(Options{Log: slog.New(slog.DiscardHandler), Network: newFakeNetwork(),
		Monitor: func(bfd.Options) Monitor { return &fakeMonitor{} }})
	s.Set([]Peer{peer("b", torB), peer("a", torA)})
	got := s.Status()
	if len(got) != 2 || got[0].Name != "b" || got[0].State != Idle || got[1].Name != "a" {
		t.Errorf("status: %+v", got)
	}
	text, err := json.Marshal(got)
	if err != nil || len(text) == 0 {
		t.Error(err)
	}
}
