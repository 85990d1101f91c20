package router_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// advertisement returns the advertisement of the pool.
func advertisement(community string) string {
	return fmt.Sprintf(`bgp-advertisements: [{communities: ["%s", "64512:1:2"], med: 20, localpref: 150}]`, community)
}

// TestLifecycle has three speakers announce to all routers at once, with one IPv4 session each. The test goes through a
// changed advertisement, policy Local, removed endpoints, a rollout and a drain.
func TestLifecycle(t *testing.T) {
	kinds := installed(t, router.Kinds()...)
	peers := "peers:\n"
	for i := range kinds {
		peers += router.Peer(4+i, fmt.Sprintf("name: r%d", i), "hold-time: 9s")
	}
	bgp := "bgp: {drain: 1s}\n"
	e := speakers(t, 3, peers+router.Pool(advertisement("64512:7"))+bgp)
	l := &lifecycle{
		environment: e,
		clients:     make(map[*router.Router]*wire.Station),
		watches:     make(map[*router.Router]*router.RouteWatch),
	}
	for i, k := range kinds {
		r := e.router(router.Options{Kind: k, Station: 4 + i, ASN: routerASN, Neighbors: e.Neighbors(nodeASN)})
		l.routers = append(l.routers, r)
		if k.HasKernel() {
			l.clients[r] = e.client(r)
		}
	}
	e.put(router.Service{Name: "four", Addr: vip4}, router.On(0))
	e.put(router.Service{Name: "six", Addr: vip6}, router.On(1))
	e.startSpeakers()
	l.announced()
	l.changed(func() { l.must(e.Configure(peers + router.Pool(advertisement("64512:8")) + bgp)) }, "64512:8")
	l.local()
	l.rolledOut(1)
	l.drained(2)
}

// lifecycle is the state of the test.
type lifecycle struct {
	*environment
	routers []*router.Router
	clients map[*router.Router]*wire.Station
	watches map[*router.Router]*router.RouteWatch
}

// announced expects paths with the attributes by all nodes, also in the kernels.
func (l *lifecycle) announced() {
	l.t.Helper()
	for _, r := range l.routers {
		l.sessionsUp(r)
		for _, vip := range []netip.Addr{vip4, vip6} {
			for i, p := range l.from(r, vip, 0, 1, 2) {
				want := router.Path{
					From:        wire.LANAddress(i).Addr(),
					NextHop:     router.Hops(vip, i)[0],
					ASPath:      []uint32{nodeASN},
					MED:         20,
					HasMED:      true,
					LocalPref:   p.LocalPref,
					Communities: []string{"64512:7"},
					Large:       []string{"64512:1:2"},
				}
				// LOCAL_PREF is not for eBGP: routers assume 100, and FRR shows none.
				if fmt.Sprint(p) != fmt.Sprint(want) || p.LocalPref != 0 && p.LocalPref != 100 {
					l.t.Errorf("%s: path %+v to %s, want %+v", r.Kind, p, vip, want)
				}
			}
			if r.Kind.HasKernel() {
				l.awaitKernel(r, vip, 0, 1, 2)
			}
		}
	}
}

// changed expects another community on the same sessions.
func (l *lifecycle) changed(change func(), community string) {
	l.t.Helper()
	before := l.allEstablished()
	change()
	for _, r := range l.routers {
		l.eventually("the other community at "+r.Kind.String(), func(ctx context.Context) error {
			paths, err := r.Paths(ctx, router.HostPrefix(vip4))
			for _, p := range paths {
				if err == nil && !slices.Equal(p.Communities, []string{community}) {
					err = fmt.Errorf("%+v", p)
				}
			}
			if len(paths) != 3 {
				err = fmt.Errorf("%d paths, %w", len(paths), err)
			}
			return err
		})
		l.goesOn(r, before[r])
	}
}

func (l *lifecycle) allEstablished() map[*router.Router]map[netip.Addr]time.Time {
	l.t.Helper()
	all := make(map[*router.Router]map[netip.Addr]time.Time)
	for _, r := range l.routers {
		all[r] = l.established(r)
	}
	return all
}

// local expects an address with policy Local from the nodes with a ready endpoint only, also after the endpoints move,
// and from no node without endpoints.
func (l *lifecycle) local() {
	l.t.Helper()
	s := router.Service{Name: "local", Addr: vip4.Next(), Local: true}
	l.put(s, router.On(1))
	for _, r := range l.routers {
		l.from(r, s.Addr, 1)
	}
	// A node whose endpoint begins to terminate withdraws the route although the endpoint serves: another node has a
	// ready one.
	l.must(
		l.PutEndpoints(
			s,
			[]router.Endpoint{{Node: 1, Terminating: true}, {Node: 0, Ready: true}, {Node: 2, Ready: true}},
		),
	)
	for _, r := range l.routers {
		l.from(r, s.Addr, 0, 2)
		if r.Kind.HasKernel() {
			l.awaitKernel(r, s.Addr, 0, 2)
		}
	}
	l.must(l.PutEndpoints(s, nil))
	for _, r := range l.routers {
		l.from(r, s.Addr)
		if r.Kind.HasKernel() {
			l.awaitKernel(r, s.Addr)
		}
	}
}

// traffic begins to send through all routers with a kernel, and to watch their routes.
func (l *lifecycle) traffic() (probers map[*router.Router]*router.Prober, end func(what string, start time.Time)) {
	l.t.Helper()
	probers = make(map[*router.Router]*router.Prober)
	for r, client := range l.clients {
		probers[r] = l.probe(client, vip4)
		l.watches[r] = l.watch(r)
	}
	return probers, func(what string, start time.Time) {
		l.t.Helper()
		for r, p := range probers {
			l.unharmed(fmt.Sprintf("%s, by %s", what, r.Kind), p.Stop(), start)
		}
	}
}

// rolledOut updates the speaker of a node under traffic. The sessions go on, no route changes, no datagram is lost.
func (l *lifecycle) rolledOut(number int) {
	l.t.Helper()
	before := l.allEstablished()
	_, end := l.traffic()
	start := time.Now()
	l.rollout(number)
	l.must(wire.Pause(l.t.Context(), time.Second))
	for _, r := range l.routers {
		l.goesOn(r, before[r])
	}
	end("rollout", start)
	for r, w := range l.watches {
		l.none("rollout, at "+r.Kind.String(), w)
	}
	// A later change is announced on the adopted session.
	s := router.Service{Name: "later", Addr: vip4.Next().Next()}
	l.put(s, router.On(0))
	for _, r := range l.routers {
		l.from(r, s.Addr, 0, 1, 2)
	}
}

// drained stops the speaker of a node under traffic. The routes carry GRACEFUL_SHUTDOWN before the withdrawal.
func (l *lifecycle) drained(number int) {
	l.t.Helper()
	_, end := l.traffic()
	node := wire.LANAddress(number).Addr()
	start := time.Now()
	l.terminate(number)
	for _, r := range l.routers {
		l.eventually(r.Kind.String()+" hears of the shutdown", func(ctx context.Context) error {
			paths, err := r.Paths(ctx, router.HostPrefix(vip4))
			i := slices.IndexFunc(
				paths,
				func(p router.Path) bool { return p.From == node && slices.Contains(p.Communities, "65535:0") },
			)
			if err == nil && i < 0 {
				err = fmt.Errorf("%+v", paths)
			}
			return err
		})
	}
	rest := slices.DeleteFunc([]int{0, 1, 2}, func(n int) bool { return n == number })
	for _, r := range l.routers {
		for _, vip := range []netip.Addr{vip4, vip6} {
			l.from(r, vip, rest...)
		}
	}
	for r := range maps.Keys(l.clients) {
		l.awaitKernel(r, vip4, rest...)
	}
	l.must(wire.Pause(l.t.Context(), 300*time.Millisecond))
	end("drain", start)
}
