package allocator

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/cluster/clustertest"
	"github.com/lanlord/lanlord/pkg/config"
)

func onePool(prefix string) cluster.Snapshot {
	return cluster.Snapshot{Config: &config.Config{Pools: []config.Pool{{
		Name: "a", AutoAssign: true, Ranges: []config.Range{rangeOf(netip.MustParsePrefix(prefix))},
	}}}}
}

func serviceOf(i int, f cluster.Family) cluster.Service {
	return cluster.Service{Key: cluster.Key{Namespace: "default", Name: fmt.Sprint("web-", i)}, Managed: true, Families: []cluster.Family{f}}
}

// assignAll assigns an address to each Service, one after the other.
func assignAll(tb testing.TB, a *Allocator, services []cluster.Service) {
	for i := range services {
		if r := a.Assign(&services[i], nil); r.Refusal != nil {
			tb.Fatal(r.Refusal)
		}
	}
}

// BenchmarkAssign10000 assigns addresses to 10,000 Services, one after the other, from pools of different sizes.
func BenchmarkAssign10000(b *testing.B) {
	for _, c := range []struct {
		prefix string
		family cluster.Family
	}{{"10.0.0.0/16", cluster.IPv4}, {"10.0.0.0/8", cluster.IPv4}, {"fd00::/64", cluster.IPv6}} {
		services := make([]cluster.Service, 10_000)
		for i := range services {
			services[i] = serviceOf(i, c.family)
		}
		b.Run(c.prefix, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				assignAll(b, New(onePool(c.prefix), nil), services)
			}
		})
	}
}

// BenchmarkAssignAll assigns all addresses of a /16, one after the other.
func BenchmarkAssignAll(b *testing.B) {
	services := make([]cluster.Service, 1<<16)
	for i := range services {
		services[i] = serviceOf(i, cluster.IPv4)
	}
	b.ReportAllocs()
	for b.Loop() {
		assignAll(b, New(onePool("10.0.0.0/16"), nil), services)
	}
}

// BenchmarkAssignNth assigns one address after n others. The time for the 10,000th address should equal the time for
// the first.
func BenchmarkAssignNth(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := New(onePool("fd00::/64"), nil)
			for i := range n - 1 {
				svc := serviceOf(i, cluster.IPv6)
				assignAll(b, a, []cluster.Service{svc})
			}
			svc, stock := serviceOf(n, cluster.IPv6), &a.pools[0].v6
			for b.Loop() {
				got := a.Assign(&svc, nil).Assignments[0].Addr
				delete(a.used, got)
				stock.next = got
			}
		})
	}
}

// BenchmarkAssignExhausted asks for an address when Services hold all addresses of 50 pools.
func BenchmarkAssignExhausted(b *testing.B) {
	cfg := &config.Config{}
	for i := range 50 {
		cfg.Pools = append(cfg.Pools, config.Pool{
			Name: fmt.Sprint("pool-", i), AutoAssign: true,
			Ranges: []config.Range{rangeOf(netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i)))},
		})
	}
	a := New(cluster.Snapshot{Config: cfg}, nil)
	for i := range 50 * 256 {
		assignAll(b, a, []cluster.Service{serviceOf(i, cluster.IPv4)})
	}
	svc := serviceOf(-1, cluster.IPv4)
	b.ReportAllocs()
	for b.Loop() {
		if r := a.Assign(&svc, nil); r.Refusal == nil {
			b.Fatal("there was an address left")
		}
	}
}

// TestAssignIsFast fails if the assignment of addresses takes quadratic time: a minute for 10,000 addresses, instead of
// the target of 20 ms.
func TestAssignIsFast(t *testing.T) {
	for _, c := range []struct {
		prefix string
		family cluster.Family
	}{{"10.0.0.0/16", cluster.IPv4}, {"fd00::/64", cluster.IPv6}} {
		t.Run(c.prefix, func(t *testing.T) {
			clustertest.CheckGrowth(t, 10_000, func(n int) func() {
				services := make([]cluster.Service, n)
				for i := range services {
					services[i] = serviceOf(i, c.family)
				}
				a := New(onePool(c.prefix), nil)
				return func() { assignAll(t, a, services) }
			})
		})
	}
}

// TestUnchangedAllocatesNothing asserts that Assign allocates no memory for a Service with all its addresses.
func TestUnchangedAllocatesNothing(t *testing.T) {
	svc := serviceOf(0, cluster.IPv4)
	a := New(onePool("10.0.0.0/24"), nil)
	first, refusal := a.Adopt(&svc, nil, netip.MustParseAddr("10.0.0.7"))
	if refusal != nil {
		t.Fatal(refusal)
	}
	held := []Assignment{first}
	if n := testing.AllocsPerRun(100, func() { a.Assign(&svc, held) }); n != 0 {
		t.Errorf("an unchanged Service costs %v allocations", n)
	}
}
