package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

const routedDocument = `peers:
- {name: tor-a, my-asn: 64512, peer-asn: 64600, peer-address: 10.0.0.254}
- {name: tor-b, my-asn: 64512, peer-asn: 64600, peer-address: 10.0.0.253}
address-pools:
- {name: public, protocol: bgp, addresses: [198.51.100.0/24, "2001:db8::/112"]}
- {name: lan, protocol: layer2, addresses: [10.0.0.0/24]}
`

func routedConfig(t *testing.T) *config.Config {
	cfg, err := config.Parse([]byte(routedDocument))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// routedBy returns the report of a node that announces the addresses from..to to the peers.
func routedBy(node, peers string, ranges ...string) cluster.Routed {
	r := cluster.Routed{Node: node}
	set := cluster.RoutedSet{Peers: strings.Fields(peers)}
	for _, text := range ranges {
		from, to, ok := strings.Cut(text, "-")
		if !ok {
			to = from
		}
		set.Ranges = append(set.Ranges, config.Range{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)})
	}
	if len(set.Ranges) > 0 {
		r.Sets = []cluster.RoutedSet{set}
	}
	return r
}

func routedService(name string, addrs ...string) *cluster.Service {
	svc := &cluster.Service{Key: cluster.Key{Namespace: "default", Name: name}, UID: "uid-" + name, Version: "1", Managed: true}
	for _, a := range addrs {
		svc.Ingress = append(svc.Ingress, netip.MustParseAddr(a))
	}
	return svc
}

func TestRoutesOf(t *testing.T) {
	cfg := routedConfig(t)
	full := routedBy("n1", "tor-a tor-b", "198.51.100.1-198.51.100.9", "2001:db8::1")
	partial := cluster.Routed{Node: "n9", Partial: true}
	for _, c := range []struct {
		name    string
		addrs   string
		reports []cluster.Routed
		want    string // the condition, empty for none, ? for unknown
	}{
		{"layer 2 alone", "10.0.0.1", []cluster.Routed{full}, ""},
		{"no address yet", "", []cluster.Routed{full}, ""},
		{"no speaker tells", "198.51.100.1", nil, "?"},
		{"one node, two peers", "198.51.100.1", []cluster.Routed{full}, "true Routed 198.51.100.1 is announced by 1 node to tor-a and tor-b"},
		{"the last one of a range", "198.51.100.9", []cluster.Routed{full}, "true Routed 198.51.100.9 is announced by 1 node to tor-a and tor-b"},
		{"both families alike", "198.51.100.1 2001:db8::1", []cluster.Routed{full},
			"true Routed 198.51.100.1, 2001:db8::1 are announced by 1 node to tor-a and tor-b"},
		{"more nodes for one peer", "198.51.100.1", []cluster.Routed{full, routedBy("n2", "tor-b", "198.51.100.1")},
			"true Routed 198.51.100.1 is announced by 1 node to tor-a, and by 2 nodes to tor-b"},
		{"no node", "198.51.100.77", []cluster.Routed{full},
			"false NotRouted no node announces 198.51.100.77 to a router; kubectl lanlord why s -n default says why"},
		{"one family not", "198.51.100.1 2001:db8::2", []cluster.Routed{full},
			"false NotRouted 198.51.100.1 is announced by 1 node to tor-a and tor-b; no node announces 2001:db8::2 to a router; " +
				"kubectl lanlord why s -n default says why"},
		{"one in a pool for layer 2", "10.0.0.1 2001:db8::1", []cluster.Routed{full},
			"true Routed 2001:db8::1 is announced by 1 node to tor-a and tor-b"},
		{"a report without room", "198.51.100.77", []cluster.Routed{full, partial}, "?"},
		{"a peer that the configuration has no more", "198.51.100.1", []cluster.Routed{routedBy("n1", "gone", "198.51.100.1")},
			"false NotRouted no node announces 198.51.100.1 to a router; kubectl lanlord why s -n default says why"},
	} {
		is, known := routesOf(routedService("s", strings.Fields(c.addrs)...), &cluster.Snapshot{Config: cfg, Routed: c.reports})
		got := "?"
		if known {
			if got = ""; is != nil {
				got = fmt.Sprintf("%t %s %s", is.True, is.Reason, is.Message)
			}
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if _, known := routesOf(routedService("s", "198.51.100.1"), &cluster.Snapshot{Routed: []cluster.Routed{full}}); known {
		t.Error("without a configuration something is known")
	}
}

// routedAPI holds Services for a RoutesReporter and records the written conditions.
type routedAPI struct {
	mu       sync.Mutex
	snapshot cluster.Snapshot
	began    time.Time
	log      []string
	writes   int
	fail     func(n int) error
}

func (f *routedAPI) Snapshot() cluster.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot
}

// set changes the snapshot.
func (f *routedAPI) set(change func(*cluster.Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.snapshot)
}

// written returns the writes since the last call.
func (f *routedAPI) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := f.log
	f.log = nil
	return lines
}

// fails sets the function that returns the error of each write, nil for no errors.
func (f *routedAPI) fails(fault func(n int) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fault
}

func (f *routedAPI) WriteRoutes(_ context.Context, u cluster.RoutesUpdate) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.fail != nil {
		if err := f.fail(f.writes); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(f.snapshot.Services, func(s *cluster.Service) bool { return s.Key == u.Key })
	svc := *f.snapshot.Services[i]
	if svc.Version != u.Version {
		return cluster.ErrChanged
	}
	svc.Version += "."
	svc.Routes = u.Condition
	f.snapshot.Services = slices.Clone(f.snapshot.Services)
	f.snapshot.Services[i] = &svc
	what := "-"
	if u.Condition != nil {
		what = u.Condition.Reason + " " + u.Condition.Message[:min(len(u.Condition.Message), 40)]
	}
	f.log = append(f.log, fmt.Sprintf("%v %s %s", time.Since(f.began).Truncate(time.Second), u.Key.Name, what))
	return nil
}

func reporting(t *testing.T, services []*cluster.Service, test func(t *testing.T, f *routedAPI)) {
	synctest.Test(t, func(t *testing.T) {
		f := &routedAPI{snapshot: cluster.Snapshot{Config: routedConfig(t), Services: services}, began: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		r := RoutesReporter{Source: f, Writer: f, Log: slog.New(slog.DiscardHandler)}
		go func() { done <- r.Run(ctx) }()
		test(t, f)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRoutesReporter follows a Service from its creation to its deletion. A node that is absent for half a minute
// causes no write.
func TestRoutesReporter(t *testing.T) {
	reporting(t, []*cluster.Service{routedService("s", "198.51.100.1"), routedService("x", "10.0.0.1")}, func(t *testing.T, f *routedAPI) {
		reports := func(nodes ...string) {
			var list []cluster.Routed
			for _, n := range nodes {
				list = append(list, routedBy(n, "tor-a", "198.51.100.1"))
			}
			f.set(func(s *cluster.Snapshot) { s.Routed = list })
		}
		silent := routedBy("n4", "")
		time.Sleep(59 * time.Second) // no speaker reports anything
		reports("n1", "n2", "n3")
		time.Sleep(60 * time.Second)
		reports("n1", "n2")
		time.Sleep(30 * time.Second)
		reports("n1", "n2", "n3")
		time.Sleep(10 * time.Minute)
		reports("n1", "n2")
		time.Sleep(10 * time.Minute)
		f.set(func(s *cluster.Snapshot) { s.Routed = []cluster.Routed{silent} })
		time.Sleep(time.Minute)
		reports("n1", "n2")
		time.Sleep(time.Minute)
		f.set(func(s *cluster.Snapshot) { s.Config = nil })
		time.Sleep(time.Minute)
		flat, err := config.Parse([]byte(strings.Replace(routedDocument, "protocol: bgp", "protocol: layer2", 1)))
		if err != nil {
			t.Fatal(err)
		}
		f.set(func(s *cluster.Snapshot) { s.Config = flat })
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{
			"1m10s s Routed 198.51.100.1 is announced by 3 nodes to ",
			"13m30s s Routed 198.51.100.1 is announced by 2 nodes to ",
			"22m40s s NotRouted no node announces 198.51.100.1 to a rout",
			"23m40s s Routed 198.51.100.1 is announced by 2 nodes to ",
			"25m30s s -",
		}
		if got := f.written(); !slices.Equal(got, want) {
			t.Errorf("written\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestRoutesReporterPace removes a node that announces 600 Services. The reporter spreads the writes over time, and a
// Service that becomes announced does not wait for the other Services.
func TestRoutesReporterPace(t *testing.T) {
	var services []*cluster.Service
	for i := range 600 {
		services = append(services, routedService(fmt.Sprintf("s%04d", i), fmt.Sprintf("2001:db8::%x", i+1)))
	}
	services = append(services, routedService("z", "198.51.100.1"))
	reporting(t, services, func(t *testing.T, f *routedAPI) {
		all := func(nodes ...string) {
			var list []cluster.Routed
			for _, n := range nodes {
				list = append(list, routedBy(n, "tor-a", "2001:db8::1-2001:db8::ffff"))
			}
			f.set(func(s *cluster.Snapshot) { s.Routed = list })
		}
		f.fails(func(n int) error {
			switch {
			case n%100 == 3:
				return context.DeadlineExceeded
			case n%10 == 7:
				return cluster.ErrChanged
			}
			return nil
		})
		all("n1", "n2")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := len(f.written()); n != 601 {
			t.Fatalf("%d writes, want 601", n)
		}
		all("n1")
		time.Sleep(65 * time.Second)
		more := routedBy("n1", "tor-a", "198.51.100.1", "2001:db8::1-2001:db8::ffff")
		f.set(func(s *cluster.Snapshot) { s.Routed = []cluster.Routed{more} })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		first := f.written()
		if len(first) > 350 {
			t.Errorf("%d writes in half a minute", len(first))
		}
		if !slices.ContainsFunc(first, func(line string) bool { return strings.Contains(line, " z ") }) {
			t.Error("the Service that is announced for the first time waits for the others")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := len(first) + len(f.written()); n != 601 {
			t.Errorf("%d writes, want one for each Service", n)
		}
	})
}

// TestRoutesReporterSettles changes the reports at random. At the end, each Service has the condition of the reports,
// and the reporter writes nothing more.
func TestRoutesReporterSettles(t *testing.T) {
	for seed := range uint64(20) {
		var services []*cluster.Service
		for i := range 8 {
			services = append(services, routedService(fmt.Sprint("s", i), fmt.Sprintf("198.51.100.%d", i+1)))
		}
		reporting(t, services, func(t *testing.T, f *routedAPI) {
			random := rand.New(rand.NewPCG(seed, 0))
			faults := rand.New(rand.NewPCG(seed, 1))
			synctest.Wait()
			f.fail = func(int) error {
				return []error{nil, nil, cluster.ErrChanged, context.DeadlineExceeded}[faults.IntN(4)]
			}
			for range 40 {
				var next []cluster.Routed
				for n := range random.IntN(4) {
					first := random.IntN(8) + 1
					next = append(next, routedBy(fmt.Sprint("n", n), []string{"tor-a", "tor-b", "tor-a tor-b"}[random.IntN(3)],
						fmt.Sprintf("198.51.100.%d-198.51.100.%d", first, first+random.IntN(4))))
				}
				f.set(func(s *cluster.Snapshot) { s.Routed = next })
				time.Sleep(time.Duration(random.IntN(90_000)) * time.Millisecond)
			}
			f.fails(nil)
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			writes := f.writes
			for _, svc := range f.snapshot.Services {
				if is, known := routesOf(svc, &f.snapshot); known && !sameCondition(svc.Routes, is) {
					t.Errorf("seed %d: %s has %+v, want %+v", seed, svc.Key, svc.Routes, is)
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if f.writes != writes {
				t.Errorf("seed %d: %d writes at rest", seed, f.writes-writes)
			}
		})
	}
}
