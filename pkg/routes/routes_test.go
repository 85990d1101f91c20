package routes

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/cluster/clustertest"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// TestEachReason takes one obstacle after the other away from an address: each reason is reached, in the order of their
// values.
func TestEachReason(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	c := parseCluster(t, "node a\nnode b\nready b\nservice default/web 192.0.2.1 local\n")
	pool := config.Pool{Name: "public", Layer2: true, Ranges: []config.Range{{From: a, To: a}},
		Advertisements: []config.Advertisement{{AggregationLength: 32, AggregationLengthV6: 128}}}
	other := config.Pool{Name: "other", BGP: true}
	c.snapshot.Config = &config.Config{Pools: []config.Pool{other}}
	c.draining, c.pending["a"] = []string{"a"}, []netip.Addr{a}
	web := c.snapshot.Services[0]
	for _, step := range []struct {
		mend func()
		want reason.Route
	}{
		{func() {}, reason.RouteNotInPool},
		{func() {
			pool.BGP = true
			c.snapshot.Config = &config.Config{Pools: []config.Pool{pool}}
		}, reason.RouteNoEndpoints},
		{func() {
			web.HasServing, web.ServingNodes, web.ReadyNodes = true, []string{"a", "b"}, []string{"b"}
		}, reason.NoLocalEndpoint},
		{func() { web.ReadyNodes = web.ServingNodes }, reason.NodeNotEligible},
		{func() { c.ready = readyMembers("a", "b") }, reason.RulesNotReady},
		{func() { clear(c.pending) }, reason.DrainingNode},
		{func() { c.draining = nil }, reason.NoPeer},
		{func() { c.snapshot.Config.Peers = []config.Peer{{Name: "tor"}} }, reason.Routed},
	} {
		step.mend()
		table := Decide(c.input("a"))
		if len(table.Addresses) != 1 || table.Addresses[0].Reason != step.want {
			t.Errorf("got %+v, want %s", table.Addresses, step.want)
		}
	}
}

// TestLayer2Only checks that clusters without BGP pay nothing for it.
func TestLayer2Only(t *testing.T) {
	in := bigCluster(t, 1000, 10, 2)
	for i := range in.Snapshot.Config.Pools {
		p := &in.Snapshot.Config.Pools[i]
		p.BGP, p.Layer2 = false, true
	}
	nodes := placement.NewNodes(in.Snapshot, in.Ready)
	if table := DecideWith(nodes, in); len(table.Addresses) > 0 || len(table.Peers) != 2 {
		t.Errorf("%d addresses, %d peers, want only the peers", len(table.Addresses), len(table.Peers))
	}
	if allocs := testing.AllocsPerRun(10, func() { DecideWith(nodes, in) }); allocs > 30 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestDrains(t *testing.T) {
	want := map[reason.Exclusion]bool{reason.NotANode: true, reason.Deleting: true, reason.OutOfService: true,
		reason.ExcludedByLabel: true, reason.Cordoned: true}
	for _, e := range reason.Exclusions() {
		if Drains(e) != want[e] {
			t.Errorf("Drains(%s) is %t", e, Drains(e))
		}
	}
}

// TestHighMED checks the MED of a node behind the first ones where the configured MED leaves no room.
func TestHighMED(t *testing.T) {
	for med, want := range map[uint32]uint32{0: 100, 5: 105, math.MaxUint32 - 100: math.MaxUint32, math.MaxUint32 - 7: math.MaxUint32} {
		r := Route{MED: med}
		standing{spread: true}.penalize(&r)
		if r.MED != want || !r.HasMED {
			t.Errorf("MED %d became %d, want %d", med, r.MED, want)
		}
	}
}

// TestPeersShareRoutes checks that peers with the same routes share their memory.
func TestPeersShareRoutes(t *testing.T) {
	in := bigCluster(t, 100, 3, 4)
	for _, in.Draining = range []bool{false, true} {
		table := Decide(in)
		for _, p := range table.Peers[1:] {
			if !cluster.SameList(p.Routes, table.Peers[0].Routes) {
				t.Error("a peer has a copy of the routes")
			}
		}
	}
}

// TestInputsStay checks that Decide changes none of its inputs, whose slices the tables share.
func TestInputsStay(t *testing.T) {
	for seed := range uint64(50) {
		c, same := randomCluster(seed), randomCluster(seed)
		for _, node := range c.nodeNames() {
			in := c.input(node)
			before := Decide(in)
			copied := tableText(before)
			in.Draining = !in.Draining
			Decide(in)
			if tableText(before) != copied {
				t.Fatalf("seed %d: a table changed afterwards", seed)
			}
		}
		if !reflect.DeepEqual(c, same) {
			t.Fatalf("seed %d: an input changed", seed)
		}
	}
}

func TestBoth(t *testing.T) {
	list := func(names ...string) (all []election.Candidate) {
		for _, n := range names {
			all = append(all, election.NewCandidate(n))
		}
		return all
	}
	for _, c := range []struct{ x, y, want []election.Candidate }{
		{nil, nil, nil},
		{list("a"), nil, list("a")},
		{nil, list("a"), list("a")},
		{list("a", "c"), list("b", "c", "d"), list("a", "b", "c", "d")},
		{list("b"), list("a"), list("a", "b")},
	} {
		if got := both(c.x, c.y); !reflect.DeepEqual(got, c.want) {
			t.Errorf("both(%v, %v) is %v", c.x, c.y, got)
		}
	}
}

// bigCluster returns the inputs of node-000 in a cluster of Services with one address each, in two pools: one with host
// routes, one with aggregates and spread.
func bigCluster(tb testing.TB, services, nodes, peers int) Input {
	tb.Helper()
	text := "peers:\n"
	for i := range peers {
		text += fmt.Sprintf("- {name: tor-%d, peer-address: 10.255.0.%d, peer-asn: 64512, my-asn: 64513}\n", i, i+1)
	}
	text += `address-pools:
- {name: hosts, protocol: bgp, addresses: [10.0.0.0/16], bgp-advertisements: [{communities: ["64512:1"]}]}
- {name: spread, protocol: bgp, addresses: [10.1.0.0/16], spread: 3, bgp-advertisements: [{}, {aggregation-length: 24}]}
`
	cfg, err := config.Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	in := Input{Snapshot: cluster.Snapshot{Config: cfg}, Self: "node-000"}
	for i := range nodes {
		name := fmt.Sprintf("node-%03d", i)
		in.Snapshot.Nodes = append(in.Snapshot.Nodes, cluster.Node{Name: name, Labels: map[string]string{"rack": name[:6]}})
		in.Ready = append(in.Ready, membership.Member{Name: name, State: membership.Ready, Configured: true})
	}
	for i := range services {
		s := &cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: fmt.Sprintf("s-%05d", i)}, Managed: true, AllocatedFrom: "hosts",
			Ingress:    []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i % 2), byte(i / 2 >> 8), byte(i / 2)})},
			HasServing: true, ServingNodes: []string{in.Snapshot.Nodes[i%nodes].Name},
		}
		if s.ReadyNodes = s.ServingNodes; i%5 == 0 {
			s.TrafficPolicy = cluster.TrafficLocal
		}
		in.Snapshot.Services = append(in.Snapshot.Services, s)
	}
	return in
}

// BenchmarkDecide has a budget of 100 ms with 10,000 Services, 200 nodes and 4 peers.
func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct{ services, nodes, peers int }{{2000, 100, 2}, {10_000, 200, 4}} {
		b.Run(fmt.Sprintf("services=%d/nodes=%d/peers=%d", size.services, size.nodes, size.peers), func(b *testing.B) {
			in := bigCluster(b, size.services, size.nodes, size.peers)
			nodes := placement.NewNodes(in.Snapshot, in.Ready)
			b.ReportAllocs()
			for b.Loop() {
				if len(DecideWith(nodes, in).Addresses) != size.services {
					b.Fatal("wrong number of addresses")
				}
			}
		})
	}
}

func TestDecideGrowsLinearly(t *testing.T) {
	clustertest.CheckGrowth(t, 10_000, func(n int) func() {
		in := bigCluster(t, n, 20, 4)
		return func() { Decide(in) }
	})
}
