package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/cluster/clustertest"
	"github.com/lanlord/lanlord/pkg/config"
)

// benchCluster returns a cluster with services Services without addresses, and with pools of each addresses.
func benchCluster(tb testing.TB, services, pools, each int) cluster.Snapshot {
	return benchClusterWith(tb, services, pools, each, "")
}

// benchClusterWith also adds keys to the configuration of each pool.
func benchClusterWith(tb testing.TB, services, pools, each int, keys string) cluster.Snapshot {
	var document strings.Builder
	document.WriteString("address-pools:\n")
	for i := range pools {
		fmt.Fprintf(&document, "- {name: pool-%d, protocol: layer2, addresses: [10.%d.0.0-10.%d.%d.%d]%s}\n",
			i, i, i, (each-1)/256, (each-1)%256, keys)
	}
	cfg, err := config.Parse([]byte(document.String()))
	if err != nil {
		tb.Fatal(err)
	}
	s := cluster.Snapshot{Config: cfg}
	for i := range services {
		s.Services = append(s.Services, &cluster.Service{
			Key: cluster.Key{Namespace: fmt.Sprint("namespace-", i/20), Name: fmt.Sprintf("service-%05d", i)}, UID: fmt.Sprint("uid-", i),
			Created: time.Unix(int64(i*7919%services), 0), Managed: true, Families: []cluster.Family{cluster.IPv4},
		})
	}
	return s
}

// BenchmarkDecide decides on clusters of 50 pools: without any address yet, with all Services settled, with one new
// Service, and with half of the Services waiting.
func BenchmarkDecide(b *testing.B) {
	for _, services := range []int{2_000, 10_000} {
		empty := benchCluster(b, services, 50, services/25)
		settled := empty
		settled.Services = applyAll(empty.Services, Decide(empty, nil).Updates)
		oneNew := settled
		oneNew.Services = slices.Clone(settled.Services)
		last := *oneNew.Services[len(oneNew.Services)-1]
		last.Ingress, last.AllocatedFrom, last.Condition, last.Assignment = nil, "", nil, nil
		oneNew.Services[len(oneNew.Services)-1] = &last
		waiting := benchCluster(b, services, 50, services/100)
		waiting.Services = applyAll(waiting.Services, Decide(waiting, nil).Updates)
		for _, c := range []struct {
			name     string
			snapshot cluster.Snapshot
			updates  int
		}{{"empty", empty, services}, {"settled", settled, 0}, {"one-new", oneNew, 1}, {"half-wait", waiting, 0}} {
			b.Run(fmt.Sprintf("%d/%s", services, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p := Decide(c.snapshot, nil); len(p.Updates) != c.updates {
						b.Fatalf("%d updates, want %d", len(p.Updates), c.updates)
					}
				}
			})
		}
	}
}

// BenchmarkDecideRules decides on 10,000 Services: with selectors and quotas on every pool, with pairs of Services that
// share an address, and with one sharing key and the same port for all Services, so that no Services can share.
func BenchmarkDecideRules(b *testing.B) {
	ruled := benchClusterWith(b, 10_000, 50, 400, ", namespace-selectors: [{match-labels: {team: web}}], "+
		"service-selectors: [{match-labels: {tier: front}}], quota: {each: 10}")
	for i := range 500 {
		ruled.Namespaces = append(ruled.Namespaces, cluster.Namespace{Name: fmt.Sprint("namespace-", i), Labels: map[string]string{"team": "web"}})
	}
	slices.SortFunc(ruled.Namespaces, func(x, y cluster.Namespace) int { return strings.Compare(x.Name, y.Name) })
	pairs, oneKey := benchCluster(b, 10_000, 50, 400), benchCluster(b, 10_000, 50, 400)
	for i := range ruled.Services {
		ruled.Services[i].Labels = map[string]string{"tier": "front", "app": "a"}
		pairs.Services[i].SharingKey = fmt.Sprint("pair-", i/2)
		pairs.Services[i].Ports = []cluster.Port{{Protocol: cluster.Protocol(i % 2), Number: 53}}
		oneKey.Services[i].SharingKey, oneKey.Services[i].Ports = "all", []cluster.Port{{Number: 443}}
	}
	for name, empty := range map[string]cluster.Snapshot{"selectors": ruled, "pairs": pairs, "one-key": oneKey} {
		settled := empty
		settled.Services = applyAll(empty.Services, Decide(empty, nil).Updates)
		for state, s := range map[string]cluster.Snapshot{"empty": empty, "settled": settled} {
			b.Run(name+"/"+state, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p := Decide(s, nil); p.Services[0] != 10_000 {
						b.Fatalf("%v Services", p.Services)
					}
				}
			})
		}
	}
}

// BenchmarkLedger decides on clusters where one Service comes or goes, and either all other Services are settled or
// half of them wait.
func BenchmarkLedger(b *testing.B) {
	for _, services := range []int{2_000, 10_000} {
		settled, waiting := benchCluster(b, services, 50, services/25), benchCluster(b, services, 50, services/100)
		for name, with := range map[string]cluster.Snapshot{"one-new": settled, "half-wait": waiting} {
			with.Services = applyAll(with.Services, Decide(with, nil).Updates)
			without := with
			without.Services = slices.Delete(slices.Clone(with.Services), services/2, services/2+1)
			b.Run(fmt.Sprintf("%d/%s", services, name), func(b *testing.B) {
				b.ReportAllocs()
				var l ledger
				for b.Loop() {
					l.decide(with, nil)
					l.decide(without, nil)
				}
			})
		}
	}
}

// applyAll has the same effect as applied, but is fast for many updates.
func applyAll(services []*cluster.Service, updates []cluster.Update) []*cluster.Service {
	byKey := map[cluster.Key]cluster.Update{}
	for _, u := range updates {
		byKey[u.Key] = u
	}
	result := slices.Clone(services)
	for i := range result {
		if u, ok := byKey[result[i].Key]; ok {
			svc := *result[i]
			svc.Ingress, svc.AllocatedFrom, svc.Condition, svc.Assignment = u.Ingress, u.AllocatedFrom, u.Condition, u.Assignment
			result[i] = &svc
		}
	}
	return result
}

// TestDecideIsFast fails when the time of Decide grows quadratically. The benchmarks measure the absolute time.
func TestDecideIsFast(t *testing.T) {
	t.Run("half of them waiting", func(t *testing.T) {
		clustertest.CheckGrowth(t, 10_000, func(n int) func() {
			s := benchCluster(t, n, 50, n/100)
			return func() { Decide(s, nil) }
		})
	})
	t.Run("all with one sharing key", func(t *testing.T) {
		clustertest.CheckGrowth(t, 10_000, func(n int) func() {
			s := benchCluster(t, n, 50, n/25)
			for i := range s.Services {
				s.Services[i].SharingKey, s.Services[i].Ports = "all", []cluster.Port{{Number: 443}}
			}
			return func() { Decide(s, nil) }
		})
	})
}
