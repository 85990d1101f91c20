package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// documents are the configurations that the random histories switch between.
var documents = []string{
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.4, "fd00::1-fd00::3"]}
`,
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.2-10.0.0.5]}
- {name: b, protocol: layer2, addresses: ["fd00::2-fd00::4"], namespaces: [default]}
- {name: c, protocol: layer2, addresses: [10.0.0.1/32, 10.0.0.6/32], auto-assign: false}
`,
	`address-pools:
- {name: far, protocol: bgp, addresses: [10.0.0.1-10.0.0.4]}
- {name: c, protocol: layer2, addresses: [10.0.0.5-10.0.0.7, "fd00::1-fd00::9"], namespaces: [other]}
- {name: z, protocol: layer2, addresses: ["10.0.0.8/32"], priority: 1}
allocation: {release-delay: 0s}
`,
	``,
	`address-pools: [{name: broken}]`,
}

// choose gives svc a random specification.
func choose(random *rand.Rand, svc *cluster.Service) {
	svc.Managed = random.IntN(8) > 0
	svc.FamilyPolicy = cluster.FamilyPolicy(random.IntN(3))
	svc.Families = [][]cluster.Family{
		{cluster.IPv4}, {cluster.IPv6}, {cluster.IPv4, cluster.IPv6}, {cluster.IPv6, cluster.IPv4},
	}[random.IntN(4)]
	svc.Requested, svc.RequestedPool, svc.RequestProblem = nil, "", ""
	switch random.IntN(6) {
	case 0:
		svc.Requested = []netip.Addr{randomAddr(random)}
	case 1:
		svc.RequestedPool = []string{"a", "b", "c", "far"}[random.IntN(4)]
	case 2:
		if random.IntN(3) == 0 {
			svc.RequestProblem = "nobody understands this"
		}
	}
}

func randomAddr(random *rand.Rand) netip.Addr {
	if random.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + random.IntN(8))})
	}
	return netip.MustParseAddr(fmt.Sprint("fd00::", 1+random.IntN(5)))
}

// randomSnapshot is a cluster in which anything may have happened to the status of Services.
func randomSnapshot(t *testing.T, random *rand.Rand) (cluster.Snapshot, []allocator.Rest) {
	var s cluster.Snapshot
	var err error
	if s.Config, err = config.Parse([]byte(documents[random.IntN(4)])); err != nil {
		t.Fatal(err)
	}
	for i := range random.IntN(12) {
		svc := cluster.Service{
			Key: cluster.Key{Namespace: []string{"default", "other"}[i/6], Name: fmt.Sprint("s", i)}, UID: fmt.Sprint("uid-", i),
			Created: time.Unix(int64(random.IntN(4)), 0), ForeignIngress: random.IntN(10) == 0,
		}
		choose(random, &svc)
		for range random.IntN(3) {
			svc.Ingress = append(svc.Ingress, randomAddr(random))
		}
		if !svc.Managed || random.IntN(2) == 0 {
			svc.AllocatedFrom = "a"
		}
		if random.IntN(3) == 0 {
			svc.Condition = &cluster.Condition{True: random.IntN(2) == 0, Reason: "Assigned", Message: "so it was"}
		}
		s.Services = append(s.Services, svc)
	}
	var resting []allocator.Rest
	for range random.IntN(4) {
		resting = append(resting, allocator.Rest{
			Addr: randomAddr(random), Holder: cluster.Key{Namespace: "default", Name: fmt.Sprint("s", random.IntN(6))}})
	}
	return s, resting
}

// TestDecideLaws holds the laws of Decide against random clusters.
func TestDecideLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 4_000 {
		s, resting := randomSnapshot(t, random)
		plan := Decide(s, resting)
		checkPlan(t, s, plan)

		s.Services = applied(s.Services, plan.Updates)
		second := Decide(s, resting)
		checkPlan(t, s, second)
		for _, u := range second.Updates {
			i := slices.IndexFunc(s.Services, func(svc cluster.Service) bool { return svc.Key == u.Key })
			for _, addr := range s.Services[i].Ingress {
				if !slices.Contains(u.Ingress, addr) {
					t.Fatalf("%s was adopted or given in the first plan and goes in the second:\n%s\n%s", addr, plan.text(), second.text())
				}
			}
		}
		s.Services = applied(s.Services, second.Updates)
		if third := Decide(s, resting); len(third.Updates) > 0 {
			t.Fatalf("two plans were not enough:\n%s\n%s\n%s", plan.text(), second.text(), third.text())
		}
		s.Config = nil
		if none := Decide(s, resting); len(none.Updates) > 0 {
			t.Fatalf("without a configuration there is to do:\n%s", none.text())
		}
	}
}

// checkPlan checks what holds for each plan by itself. As no address is given that any other Service has, the writes may
// be made in any order, and each may fail.
func checkPlan(t *testing.T, s cluster.Snapshot, p Plan) {
	t.Helper()
	holder := map[netip.Addr][]cluster.Key{}
	for _, svc := range s.Services {
		for _, addr := range svc.Ingress {
			holder[addr] = append(holder[addr], svc.Key)
		}
	}
	for _, u := range p.Updates {
		i := slices.IndexFunc(s.Services, func(svc cluster.Service) bool { return svc.Key == u.Key })
		svc := s.Services[i]
		for _, addr := range u.Ingress {
			if slices.Contains(svc.Ingress, addr) {
				continue
			}
			if len(holder[addr]) > 0 {
				t.Fatalf("%s goes to %s and is at %s:\n%s", addr, u.Key, holder[addr], p.text())
			}
			holder[addr] = []cluster.Key{u.Key}
		}
		if svc.Managed != (u.Condition != nil) {
			t.Fatalf("%s, managed %t, has the condition %v", u.Key, svc.Managed, u.Condition)
		}
		for _, e := range u.Events {
			if e.Reason == "" || e.Message == "" || len(e.Message) > maxEvent || e.Object.UID != svc.UID {
				t.Fatalf("bad Event %+v", e)
			}
		}
	}
}

// TestHistories lives through random histories of a whole controller: Services and configurations come and go, caches
// lag, writes fail or lose their answers, and the controller is restarted. The fake fails the test when an address is
// ever at two Services. In the end nothing must be left to do, also for a controller that has just started.
func TestHistories(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			f := newFakeAPI(t, documents[0])
			c := New(Options{Source: f, Writer: f, Log: slog.New(slog.DiscardHandler)})
			f.wake = func() { c.Wake() }
			var stop func()
			run := func() {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- c.Run(ctx) }()
				stop = func() {
					cancel()
					<-done
				}
			}
			run()
			for range 60 {
				f.anything(random)
				if random.IntN(20) == 0 {
					stop()
					// A new leader's caches are fresh; the kube package sees to it.
					f.deliver()
					c = New(Options{Source: f, Writer: f, Log: slog.New(slog.DiscardHandler)})
					run()
				}
				if random.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			f.breakWrites(func(cluster.Update) fault { return works })
			f.deliver()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			stop()
			if p := Decide(f.Snapshot(), nil); len(p.Updates) > 0 {
				t.Errorf("seed %d: there is something left to do:\n%s", seed, p.text())
			}
		})
	}
}

// anything does one random thing to the cluster.
func (f *fakeAPI) anything(random *rand.Rand) {
	name := fmt.Sprint("s", random.IntN(9))
	switch random.IntN(10) {
	case 0, 1, 2:
		f.apply(name, func(svc *cluster.Service) { choose(random, svc) })
	case 3:
		f.remove(name)
	case 4:
		f.deliver()
	case 5, 6:
		f.deliverOnly(name)
	case 7:
		f.configure(documents[random.IntN(len(documents))])
		f.wake()
	case 8:
		time.Sleep(time.Duration(random.IntN(20_000)) * time.Millisecond)
	case 9:
		faults := []fault{works, works, fault(random.IntN(4)), fault(random.IntN(4))}
		f.breakWrites(func(u cluster.Update) fault { return faults[len(u.Key.Name+u.Version)%len(faults)] })
	}
}
