package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// TestReport changes the ConfigMap and checks the Events: one Event for each invalid version, and one Event for each
// version with warnings. The addresses of the Services stay the same.
func TestReport(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		f.apply("web", nil)
		f.deliver()
		start(t, f)
		f.took()
		expectEvents := func(what string, wants ...string) {
			t.Helper()
			f.deliver()
			synctest.Wait()
			got := f.took()
			if (got == "") != (len(wants) == 0) || strings.Count(got, "\n")+1 != max(1, len(wants)) {
				t.Errorf("%s:\n%s", what, got)
			}
			for _, want := range wants {
				if !strings.Contains(got, want) {
					t.Errorf("%s:\n%s\nwant %q in it", what, got, want)
				}
			}
		}
		f.configure("address-pools: [{name: broken}]")
		expectEvents("a bad document", "config ConfigRejected: not valid, the last good one stays in use: line 1: ")
		expectEvents("a resync")
		f.configure("address-pools: [{name: broken}]")
		expectEvents("the same document in a new version", "config ConfigRejected: ")
		f.configure(threeAddresses)
		office := `pool "office" with 192.168.1.10-192.168.1.12`
		expectEvents("a good document", "config ConfigAccepted: in use, with 1 pool of 3 IPv4 and 0 IPv6 addresses: "+office)
		f.configure(threeAddresses)
		expectEvents("the same document in a new version")
		f.configure(threeAddresses + "- {name: far, protocol: bgp, addresses: [10.0.0.0/24]}\n")
		expectEvents("a document with a bgp pool", `config ConfigWarning: line 3: pool "far"`,
			`config ConfigAccepted: in use, with 2 pools of 259 IPv4 and 0 IPv6 addresses: pool "far" with 10.0.0.0-10.0.0.255; `+office)
		expectEvents("a resync")
		expect(t, "in the end", f.status(), "web [192.168.1.10]")
	})
}

// TestReportWithoutConfig starts with an invalid document. There is no earlier configuration to use, and no Service
// changes.
func TestReportWithoutConfig(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		f.cfg = nil
		f.configure("address-pools: [{name: broken}]")
		f.apply("web", func(svc *cluster.Service) { svc.Ingress = []netip.Addr{netip.MustParseAddr("203.0.113.9")} })
		f.deliver()
		start(t, f)
		if got := f.took(); !strings.HasPrefix(got, "config ConfigRejected: not valid, there is no earlier one to use: ") {
			t.Errorf("got %q", got)
		}
		expect(t, "in the end", f.status(), "web [203.0.113.9]")
	})
}

// TestReportObjects checks that each object of a rejected set gets an Event about its own problems, and that the
// Namespace gets an Event about the problems of the whole set.
func TestReportObjects(t *testing.T) {
	pool := cluster.ObjectRef{APIVersion: "metallb.io/v1beta1", Kind: "IPAddressPool", Namespace: "metallb-system", Name: "a", UID: "1"}
	whole := cluster.ObjectRef{Kind: "Namespace", Name: "metallb-system"}
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		f.refuse(errors.New("refused"), cluster.ObjectProblem{Object: pool, Message: "addresses[0]: wrong"},
			cluster.ObjectProblem{Object: whole, Message: "nothing is announced"},
			cluster.ObjectProblem{Object: pool, Message: "addresses[1]: wrong, too"})
		f.deliver()
		start(t, f)
		const prefix = " ConfigRejected: not valid, the last good one stays in use for all objects: "
		want := "a" + prefix + "addresses[0]: wrong; addresses[1]: wrong, too\nmetallb-system" + prefix + "nothing is announced"
		if got := f.took(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		f.configure("address-pools: [{name: small, protocol: layer2, addresses: [10.0.0.1]}]")
		f.mu.Lock()
		f.state.Object = whole
		f.mu.Unlock()
		f.deliver()
		synctest.Wait()
		want = `metallb-system ConfigAccepted: in use, with 1 pool of 1 IPv4 and 0 IPv6 addresses: pool "small" with 10.0.0.1`
		if got := f.took(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestEnumerate(t *testing.T) {
	long := strings.Repeat("x", 300)
	many := make([]string, 20_000)
	for i := range many {
		many[i] = fmt.Sprint("problem ", i)
	}
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one", []string{"a"}, "a"},
		{"all fit", []string{"a", "b"}, "a; b"},
		{"the first is too long", []string{long, "b"}, strings.Repeat("x", 79) + "…; and 1 more"},
		{"the only one is too long", []string{long}, strings.Repeat("x", 79) + "…"},
		{"the second does not fit", []string{"a", long, "b"}, "a; and 2 more"},
		{"very many", many, "problem 0; problem 1; problem 2; problem 3; problem 4; problem 5; problem 6; and 19993 more"},
	} {
		if got := enumerate(c.lines, 100); got != c.want || len(got) > 100 {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		registry := prometheus.NewPedanticRegistry()
		f.registry = registry
		f.network.Conflicts = []cluster.Stranger{{Addr: netip.MustParseAddr("10.0.0.1"), MAC: "02:00:00:00:00:09"}}
		_, stop := start(t, f)
		f.configure(`address-pools:
- {name: large, protocol: layer2, addresses: ["fd00::/64"]}
- {name: small, protocol: layer2, addresses: [10.0.0.1-10.0.0.2]}
`)
		for _, name := range []string{"a", "b", "c"} {
			f.apply(name, nil)
		}
		f.deliver()
		synctest.Wait()
		f.remove("b")
		f.remove("c")
		f.deliver()
		synctest.Wait()
		f.apply("d", func(svc *cluster.Service) { svc.Requested = []netip.Addr{netip.MustParseAddr("10.9.9.9")} })
		f.deliver()
		synctest.Wait()
		stop()
		var want strings.Builder
		want.WriteString(`
# HELP lanlord_pool_addresses Addresses that a pool has; above 2^53, as in most pools of IPv6, it is rounded.
# TYPE lanlord_pool_addresses gauge
lanlord_pool_addresses{family="IPv4",pool="small"} 2
lanlord_pool_addresses{family="IPv6",pool="large"} 1.8446744073709552e+19
# HELP lanlord_pool_addresses_elsewhere Free addresses of other pools for a Service that any pool may serve; 0 for a pool that only serves Services which name it. Counted are pools with auto-assign that are open to all Services.
# TYPE lanlord_pool_addresses_elsewhere gauge
lanlord_pool_addresses_elsewhere{family="IPv4",pool="small"} 0
lanlord_pool_addresses_elsewhere{family="IPv6",pool="large"} 0
# HELP lanlord_pool_addresses_free Addresses of a pool that nobody holds and everybody gets who may use the pool, resting ones included; above 2^53 it is rounded.
# TYPE lanlord_pool_addresses_free gauge
lanlord_pool_addresses_free{family="IPv4",pool="small"} 1
lanlord_pool_addresses_free{family="IPv6",pool="large"} 1.8446744073709552e+19
# HELP lanlord_pool_addresses_kept Addresses of a pool that nobody holds and not everybody gets: quarantined (a stranger answers for it), withheld (of a Node or a gateway, or the end of a subnet) or reserved (for certain Services).
# TYPE lanlord_pool_addresses_kept gauge
lanlord_pool_addresses_kept{family="IPv4",pool="small",why="quarantined"} 0
lanlord_pool_addresses_kept{family="IPv4",pool="small",why="reserved"} 0
lanlord_pool_addresses_kept{family="IPv4",pool="small",why="withheld"} 0
lanlord_pool_addresses_kept{family="IPv6",pool="large",why="quarantined"} 0
lanlord_pool_addresses_kept{family="IPv6",pool="large",why="reserved"} 0
lanlord_pool_addresses_kept{family="IPv6",pool="large",why="withheld"} 0
# HELP lanlord_pool_addresses_resting Addresses of a pool that were released a short while ago and that rest.
# TYPE lanlord_pool_addresses_resting gauge
lanlord_pool_addresses_resting{family="IPv4",pool="small"} 1
lanlord_pool_addresses_resting{family="IPv6",pool="large"} 0
# HELP lanlord_pool_addresses_used Addresses of a pool that Services hold.
# TYPE lanlord_pool_addresses_used gauge
lanlord_pool_addresses_used{family="IPv4",pool="small"} 1
lanlord_pool_addresses_used{family="IPv6",pool="large"} 0
# HELP lanlord_service_address 1 for each address of each Service; only with --address-metrics.
# TYPE lanlord_service_address gauge
lanlord_service_address{ip="10.0.0.1",pool="small",service="default/a"} 1
# HELP lanlord_services Services that Lanlord manages, by state (assigned; partial, which lacks an address; waiting, which has none) and by reason, the word of the Service's condition.
# TYPE lanlord_services gauge
`)
		for r := range reason.Assignment(reason.AssignmentCount) {
			switch r {
			case reason.Assigned:
				fmt.Fprintf(&want, "lanlord_services{reason=%q,state=\"assigned\"} 1\n", r)
				continue
			case reason.AddressOutsidePools:
				fmt.Fprintf(&want, "lanlord_services{reason=%q,state=\"waiting\"} 1\n", r)
			default:
				fmt.Fprintf(&want, "lanlord_services{reason=%q,state=\"waiting\"} 0\n", r)
			}
			fmt.Fprintf(&want, "lanlord_services{reason=%q,state=\"partial\"} 0\n", r)
		}
		want.WriteString(`# HELP lanlord_services_in_conflict Services with an address that a host which is no node answers for too.
# TYPE lanlord_services_in_conflict gauge
lanlord_services_in_conflict 1
`)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want.String()), "lanlord_pool_addresses", "lanlord_pool_addresses_elsewhere", "lanlord_pool_addresses_free",
			"lanlord_pool_addresses_kept", "lanlord_pool_addresses_resting", "lanlord_pool_addresses_used", "lanlord_service_address",
			"lanlord_services", "lanlord_services_in_conflict"); err != nil {
			t.Error(err)
		}
		// Two of the four Services got an address at once.
		if n := observed(t, registry, "lanlord_service_assignment_seconds"); n != 2 {
			t.Errorf("%d assignments are timed, want 2", n)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	})
}

// observed returns the number of observations in a histogram.
func observed(t *testing.T, g prometheus.Gatherer, name string) uint64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestPartialServices checks that Services with one of two addresses are counted separately.
func TestPartialServices(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		c, stop := start(t, f)
		f.configure("address-pools:\n- {name: four, protocol: layer2, addresses: [10.0.0.1-10.0.0.9]}\n")
		f.apply("both", func(svc *cluster.Service) {
			svc.Families, svc.FamilyPolicy = []cluster.Family{cluster.IPv4, cluster.IPv6}, cluster.RequireDualStack
		})
		f.deliver()
		synctest.Wait()
		// The Service gets one address now, and requires two addresses afterwards.
		f.apply("later", nil)
		f.deliver()
		synctest.Wait()
		f.apply("later", func(svc *cluster.Service) {
			svc.Families, svc.FamilyPolicy = []cluster.Family{cluster.IPv4, cluster.IPv6}, cluster.RequireDualStack
		})
		f.deliver()
		synctest.Wait()
		stop()
		summary := c.Summary()
		services, partial := 0, 0
		for r := range reason.AssignmentCount {
			services, partial = services+summary.Services[r], partial+summary.Partial[r]
		}
		if services != 2 || summary.Services[reason.Assigned] != 0 || partial != 1 {
			t.Errorf("%d Services, %d of them partial: %+v, want one of two", services, partial, summary)
		}
	})
}
