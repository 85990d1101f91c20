package placement

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
)

var ledgerConfigs = []string{
	"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/28]}\n",
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.0-10.0.0.9], announce-from: endpoints}
- {name: b, protocol: bgp, addresses: [10.0.0.10-10.0.0.11]}
- {name: c, protocol: layer2, addresses: [10.0.0.12-10.0.0.15], interfaces: [eth1], node-selectors: [{match-labels: {zone: x}}]}
announce-classes: [example.com/gateway]
`,
	"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/27]}\nallocation: {allow-node-addresses: true}\n",
}

// village is a cluster with random changes.
type village struct {
	random  *rand.Rand
	configs []*config.Config
	cluster.Snapshot
	ready []membership.Member
}

func newVillage(t *testing.T, seed uint64) *village {
	v := &village{random: rand.New(rand.NewPCG(seed, 3))}
	for _, document := range ledgerConfigs {
		cfg, err := config.Parse([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		v.configs = append(v.configs, cfg)
	}
	v.Config = v.configs[0]
	v.changeNodes()
	v.changeReady()
	return v
}

func (v *village) names() (names []string) {
	for _, name := range []string{"a", "b", "c", "d"} {
		if v.random.IntN(4) > 0 {
			names = append(names, name)
		}
	}
	return names
}

func (v *village) changeNodes() {
	v.Nodes = nil
	for _, name := range v.names() {
		n := cluster.Node{Name: name, Labels: map[string]string{"zone": string('x' + rune(v.random.IntN(2)))}}
		n.Excluded, n.Unschedulable = v.random.IntN(6) == 0, v.random.IntN(6) == 0
		if v.random.IntN(3) == 0 {
			n.Addresses = []netip.Addr{v.addr()}
		}
		v.Nodes = append(v.Nodes, n)
	}
}

func (v *village) changeReady() {
	v.ready = nil
	for _, name := range v.names() {
		m := membership.Member{Name: name, State: membership.Ready, Configured: v.random.IntN(5) > 0, Since: time.Unix(1, 0)}
		for i, subnet := range []string{"10.0.0.0/29", "10.0.0.0/24"} {
			if v.random.IntN(3) > 0 {
				m.Links = append(m.Links, membership.Link{
					Name: fmt.Sprint("eth", i), Subnets: []netip.Prefix{netip.MustParsePrefix(subnet)},
				})
			}
		}
		v.ready = append(v.ready, m)
	}
}

func (v *village) addr() netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(v.random.IntN(18))})
}

// changeService adds, replaces or removes a Service of the list.
func (v *village) changeService(list []*cluster.Service, other bool) []*cluster.Service {
	r := v.random
	svc := &cluster.Service{
		Key: cluster.Key{Namespace: "default", Name: fmt.Sprint("s", r.IntN(12), other)}, Managed: !other, HasServing: r.IntN(4) > 0,
		PreferNode: []string{"", "", "a", "b"}[r.IntN(4)], AnnounceFrom: cluster.AnnounceFrom(r.IntN(3)),
	}
	if other {
		svc.Class = []string{"example.com/gateway", "example.com/none"}[r.IntN(2)]
	} else if r.IntN(5) > 0 {
		svc.AllocatedFrom = "a"
	}
	if svc.Managed = svc.Managed && r.IntN(6) > 0; svc.HasServing {
		svc.ServingNodes = v.names()
		svc.ReadyNodes = svc.ServingNodes[:r.IntN(len(svc.ServingNodes)+1)]
	}
	if r.IntN(3) == 0 {
		svc.TrafficPolicy = cluster.TrafficLocal
	}
	for range r.IntN(3) {
		svc.Ingress = append(svc.Ingress, v.addr())
	}
	i, found := slices.BinarySearchFunc(list, svc.Key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	list = slices.Clone(list)
	switch {
	case !found:
		return slices.Insert(list, i, svc)
	case r.IntN(4) == 0:
		return slices.Delete(list, i, i+1)
	}
	list[i] = svc
	return list
}

func (v *village) happen() {
	switch what := v.random.IntN(20); {
	case what < 13:
		v.Services = v.changeService(v.Services, false)
	case what < 16:
		v.Others = v.changeService(v.Others, true)
	case what < 17:
		v.changeNodes()
	case what < 18:
		v.changeReady()
	case what < 19:
		v.Config = append(v.configs, nil)[v.random.IntN(len(v.configs)+1)]
	default: // the same values in a new list, and what counts for no placement
		v.ready = slices.Clone(v.ready)
		for i := range v.ready {
			v.ready[i].MACs = []membership.MAC{{5: byte(v.random.IntN(256))}}
		}
	}
}

// TestLedgerLaw runs random histories, and requires after each step that the Ledger, which places only the addresses of
// changed Services, returns the placements of Decide, names each change, and keeps the pointers of all other
// placements.
func TestLedgerLaw(t *testing.T) {
	kept, all := 0, 0
	for seed := range uint64(20) {
		v, l := newVillage(t, seed), Ledger{}
		var before []*Placement
		for step := range 100 {
			for range 1 + v.random.IntN(3) {
				v.happen()
			}
			got, touched := l.Decide(v.Snapshot, v.ready)
			want := Decide(v.Snapshot, v.ready)
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: placed of all\n%splaced of the changed ones\n%s", seed, step, format(want), format(got))
			}
			if !slices.IsSortedFunc(touched, netip.Addr.Compare) {
				t.Fatalf("seed %d, step %d: %v are not sorted", seed, step, touched)
			}
			for i := range 20 {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
				was, is := Find(before, a), Find(got, a)
				if reflect.DeepEqual(was, is) != (was == is) {
					t.Fatalf("seed %d, step %d: %s: %+v was %+v", seed, step, a, is, was)
				}
				if was != is && !slices.Contains(touched, a) {
					t.Fatalf("seed %d, step %d: %s has changed and is not among %v", seed, step, a, touched)
				}
				if has := servicesWith(v.Services, a); !slices.Equal(l.Services(a), append(has, servicesWith(v.AnnounceOnly(), a)...)) {
					t.Fatalf("seed %d, step %d: %s has the Services %v", seed, step, a, l.Services(a))
				}
			}
			kept, all = kept+len(l.own.byAddr)-min(len(touched), len(l.own.byAddr)), all+len(l.own.byAddr)
			before = got
		}
	}
	if kept*4 < all {
		t.Errorf("%d of %d addresses were not placed anew; the test proves little", kept, all)
	}
}

// servicesWith returns the Services of a list that have the address, once for each time that they have it.
func servicesWith(services []*cluster.Service, a netip.Addr) (with []*cluster.Service) {
	for _, s := range services {
		for _, x := range s.Ingress {
			if x == a {
				with = append(with, s)
			}
		}
	}
	return with
}

// BenchmarkLedger adds Services to 10,000, 20 at a time.
func BenchmarkLedger(b *testing.B) {
	snap, ready := bigCluster(b, 10_000, 200)
	all := snap.Services
	snap.Services = all[:9000]
	var l Ledger
	l.Decide(snap, ready)
	b.ReportAllocs()
	for n := 9000; b.Loop(); n += 20 {
		if n+20 > len(all) {
			n = 9000
		}
		snap.Services = slices.Clone(all[:n+20])
		if placements, _ := l.Decide(snap, ready); len(placements) != n+20 {
			b.Fatal("wrong number of placements")
		}
	}
}
