package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// The bounds for the detection of a crash on a busy machine, with BFD and with a hold time of 3 s. The BFD interval is
// long enough for a busy machine. bench-bgp measures with 50 ms.
const (
	bfdInterval = 200 * time.Millisecond
	bfdBound    = 2 * time.Second
	holdBound   = 4500 * time.Millisecond
)

// TestFailover has FRR and BIRD with BFD, and FRR and BIRD with a short hold time, see a crashed node, a killed speaker
// and a rollout.
func TestFailover(t *testing.T) {
	kinds := installed(t, router.FRR, router.BIRD)
	peers := "peers:\n"
	for i := range kinds {
		peers += router.Peer(
			4+i,
			fmt.Sprintf("name: bfd-%d", i),
			"bfd-profile: fast",
			fmt.Sprintf("password: %q", password),
		)
		peers += router.Peer(6+i, fmt.Sprintf("name: hold-%d", i), "hold-time: 3s")
	}
	peers += fmt.Sprintf(
		"bfd-profiles: [{name: fast, receive-interval: %[1]d, transmit-interval: %[1]d}]\n",
		bfdInterval.Milliseconds(),
	)
	e := speakers(t, 3, peers+router.Pool())
	f := &failover{environment: e}
	for i, k := range kinds {
		fast, slow := e.Neighbors(nodeASN), e.Neighbors(nodeASN)
		for j := range fast {
			fast[j].BFD, fast[j].GracefulRestart, fast[j].Password = bfdInterval, true, password
			slow[j].HoldTime = 3 * time.Second
		}
		for station, neighbors := range map[int][]router.Neighbor{4 + i: fast, 6 + i: slow} {
			r := e.router(router.Options{Kind: k, Station: station, ASN: routerASN, Neighbors: neighbors})
			f.sites = append(f.sites, &site{Router: r, client: e.client(r), bfd: station < 6})
		}
	}
	e.put(router.Service{Name: "four", Addr: vip4}, router.On(0))
	e.startSpeakers()
	f.rest(0, 1, 2)
	f.crash(1)
	f.rest(0, 1, 2)
	f.kill(0)
	f.rest(0, 1, 2)
	f.update(2)
}

// failover is the state of the test.
type failover struct {
	*environment
	sites []*site
}

// site is a router with a client behind it.
type site struct {
	*router.Router
	client *wire.Station
	bfd    bool
	prober *router.Prober
	watch  *router.RouteWatch
}

func (s *site) String() string {
	if s.bfd {
		return s.Kind.String() + " with BFD"
	}
	return s.Kind.String() + " with a hold time of 3 s"
}

// rest waits until all routers send by nodes, and BFD is up where there is to be.
func (f *failover) rest(nodes ...int) {
	f.t.Helper()
	for _, s := range f.sites {
		f.awaitKernel(s.Router, vip4, nodes...)
		if !s.bfd {
			continue
		}
		f.eventually("BFD of "+s.String(), func(ctx context.Context) error {
			all, err := s.Sessions(ctx)
			for _, one := range all {
				if one.BFD != "Up" {
					return fmt.Errorf("%+v", one)
				}
			}
			return err
		})
	}
}

// begin sends through all routers and watches their routes.
func (f *failover) begin() {
	f.t.Helper()
	for _, s := range f.sites {
		s.watch = f.watch(s.Router)
		s.prober = f.probe(s.client, vip4)
	}
}

// crash cuts a node off the LAN until all routers have dropped the node. The routers keep their carrier.
func (f *failover) crash(number int) {
	f.t.Helper()
	f.begin()
	start := time.Now()
	f.must(f.Cut(number, wire.LAN))
	rest := slices.DeleteFunc([]int{0, 1, 2}, func(n int) bool { return n == number })
	for _, s := range f.sites {
		f.awaitKernel(s.Router, vip4, rest...)
	}
	f.must(f.Join(number, wire.LAN))
	for _, s := range f.sites {
		limit := holdBound
		if s.bfd {
			limit = bfdBound
		}
		event, err := s.watch.Await(
			f.t.Context(),
			start,
			func(v router.RouteEvent) bool { return v.Prefix == router.HostPrefix(vip4) },
		)
		traffic := s.prober.Stop()
		f.must(err)
		f.t.Logf(
			"crash, %s: route after %v, last loss after %v; %v",
			s,
			event.At.Sub(start),
			traffic.Outage(start),
			traffic,
		)
		if outage := traffic.Outage(start); outage > limit || len(traffic.Lost) == 0 {
			f.t.Errorf(
				"crash, %s: %d datagrams lost, the last one after %v, want at least one, and none after %v",
				s,
				len(traffic.Lost),
				outage,
				limit,
			)
		}
	}
}

// kill kills a speaker and starts another one. FRR keeps the routes by graceful restart. BIRD with BFD drops the routes
// when BFD goes down. No datagram is lost at any router, because the node forwards.
func (f *failover) kill(number int) {
	f.t.Helper()
	f.begin()
	start := time.Now()
	f.must(errors.Join(f.Kill(number), f.Start(number, nil)))
	f.ready(number)
	f.must(wire.Pause(f.t.Context(), time.Second))
	for _, s := range f.sites {
		f.unharmed("kill, "+s.String(), s.prober.Stop(), start)
		for _, v := range s.watch.Events() {
			f.t.Logf("kill, %s: route after %v by %v", s, v.At.Sub(start), v.Hops)
		}
		if s.bfd && s.Kind == router.FRR {
			f.none("kill, "+s.String(), s.watch)
		}
	}
}

// update replaces the speaker of a node by a rollout.
func (f *failover) update(number int) {
	f.t.Helper()
	before := make(map[*site]router.Session)
	node := wire.LANAddress(number).Addr()
	for _, s := range f.sites {
		session, err := s.Session(f.t.Context(), node)
		f.must(err)
		before[s] = session
	}
	f.begin()
	start := time.Now()
	f.rollout(number)
	f.must(wire.Pause(f.t.Context(), time.Second))
	for _, s := range f.sites {
		f.unharmed("rollout, "+s.String(), s.prober.Stop(), start)
		f.none("rollout, "+s.String(), s.watch)
		session, err := s.Session(f.t.Context(), node)
		f.must(err)
		if d := session.Since.Sub(before[s].Since); !session.Established || d.Abs() > 2*time.Second ||
			s.bfd && session.BFD != "Up" {
			f.t.Errorf("rollout, %s: session %+v, before %+v", s, session, before[s])
		}
	}
}
