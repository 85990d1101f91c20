package routes

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// TestNaive compares the tables of random clusters with the tables of a second implementation.
func TestNaive(t *testing.T) {
	announced := map[string]int{}
	for seed := range uint64(300) {
		c := randomCluster(seed)
		for _, node := range append(c.nodeNames(), "unknown") {
			in := c.input(node)
			got, want := Decide(in), naive{in}.routes()
			for _, p := range got.Peers {
				if !slices.EqualFunc(p.Routes, want[p.Config.Name], sameRoute) {
					t.Fatalf("seed %d, node %s to %s:\n%swant\n%s", seed, node, p.Config.Name, routesText(p.Routes),
						routesText(want[p.Config.Name]))
				}
				for _, r := range p.Routes {
					countKinds(announced, r, in.Draining)
				}
				delete(want, p.Config.Name)
			}
			if len(want) > 0 {
				t.Fatalf("seed %d, node %s: missing peers %v", seed, node, slices.Collect(maps.Keys(want)))
			}
			checkAddresses(t, got, naive{in})
		}
	}
	for _, kind := range []string{"host", "aggregate", "first", "behind", "united", "draining"} {
		if announced[kind] < 100 {
			t.Errorf("only %d routes of the kind %s were compared", announced[kind], kind)
		}
	}
}

// countKinds counts what a comparison has covered.
func countKinds(counts map[string]int, r Route, draining bool) {
	for kind, is := range map[string]bool{
		"host": r.Prefix.IsSingleIP(), "aggregate": !r.Prefix.IsSingleIP(), "draining": draining,
		"behind": r.HasMED && r.MED >= SpreadPenalty && !draining, "first": r.HasMED && r.MED < SpreadPenalty,
		"united": len(r.Communities) > 1,
	} {
		if is {
			counts[kind]++
		}
	}
}

func sameRoute(x, y Route) bool {
	return x.Prefix == y.Prefix && x.MED == y.MED && x.HasMED == y.HasMED && x.LocalPref == y.LocalPref && x.Prepend == y.Prepend &&
		slices.Equal(x.Communities, y.Communities) && slices.Equal(x.LargeCommunities, y.LargeCommunities) &&
		slices.Equal(x.Addrs, y.Addrs)
}

// checkAddresses checks the decisions on the addresses against the routes of the same table.
func checkAddresses(t *testing.T, table Table, n naive) {
	t.Helper()
	prefixes := table.Prefixes()
	for _, a := range table.Addresses {
		var peers []string
		for _, p := range prefixes[a.Addr] {
			if !p.Contains(a.Addr) {
				t.Fatalf("%s is announced by %s", a.Addr, p)
			}
		}
		for _, p := range table.Peers {
			if slices.ContainsFunc(p.Routes, func(r Route) bool { return slices.Contains(r.Addrs, a.Addr) }) {
				peers = append(peers, p.Config.Name)
			}
		}
		if !slices.Equal(prefixes[a.Addr], prefixesOf(table, a.Addr)) {
			t.Fatalf("%s has the prefixes %v, want %v", a.Addr, prefixes[a.Addr], prefixesOf(table, a.Addr))
		}
		if !slices.Equal(peers, a.Peers) {
			t.Fatalf("%s goes to %v, and the decision says %v", a.Addr, peers, a.Peers)
		}
		eligible := n.exclusion(n.in.Self, n.pool(a.Addr)) == reason.Eligible
		if eligible && (a.Reason == reason.Routed) != (len(peers) > 0 && !n.in.Draining) {
			t.Fatalf("%s goes to %v, and the reason is %s", a.Addr, peers, a.Reason)
		}
		if (a.Detail == "") != (a.Reason == reason.Routed) ||
			(a.Exclusion != reason.Eligible) != (a.Reason == reason.NodeNotEligible) {
			t.Fatalf("%s: reason %s, exclusion %s, detail %q", a.Addr, a.Reason, a.Exclusion, a.Detail)
		}
		if pool := n.pool(a.Addr); len(peers) > 0 && pool.Spread > 0 && a.Rank != n.rank(a.Addr) {
			t.Fatalf("%s has rank %d, want %d", a.Addr, a.Rank, n.rank(a.Addr))
		}
	}
}

// prefixesOf returns the prefixes announced for an address.
func prefixesOf(table Table, a netip.Addr) (all []netip.Prefix) {
	for _, p := range table.Peers {
		for _, r := range p.Routes {
			if slices.Contains(r.Addrs, a) {
				all = append(all, r.Prefix)
			}
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// TestLaws checks what holds of the tables of all nodes of a cluster together.
func TestLaws(t *testing.T) {
	for seed := range uint64(200) {
		c := randomCluster(seed)
		c.draining, c.pending = nil, nil
		tables := c.all()
		law := func(name string, ok bool) {
			t.Helper()
			if !ok {
				t.Fatalf("seed %d: %s", seed, name)
			}
		}
		law("the order of the inputs does not matter", reflect.DeepEqual(shuffled(c, seed).all(), tables))
		for _, a := range (naive{c.input("")}).addresses() {
			serving := naive{c.input("")}.serving(a)
			announcers := announcersOf(tables, a)
			law("no route without a serving endpoint", len(announcers) == 0 || len(serving) > 0)
			for _, s := range serving {
				anywhere := s.TrafficPolicy != cluster.TrafficLocal
				law("Local: only nodes with endpoints", anywhere || subset(announcers, s.ServingNodes))
				law("Local: no terminating endpoint beside a ready one",
					anywhere || len(s.ReadyNodes) == 0 || subset(announcers, s.ReadyNodes))
			}
			var may []string
			for _, node := range c.nodeNames() {
				if (naive{c.input(node)}).announces(node, a) {
					may = append(may, node)
				}
			}
			law("every node that may announce an address does", slices.Equal(announcers, may))
		}
		checkSameEverywhere(t, c, tables)
	}
}

// checkSameEverywhere checks that eligible nodes with the same labels announce the same addresses to the same peers,
// apart from policy Local.
func checkSameEverywhere(t *testing.T, c testCluster, tables map[string]Table) {
	t.Helper()
	n := naive{c.input("")}
	said := map[string][]string{}
	for _, name := range c.nodeNames() {
		if n.exclusion(name, nil) != reason.Eligible {
			continue
		}
		var says []string
		for _, a := range tables[name].Addresses {
			if !n.isLocal(a.Addr) {
				says = append(says, fmt.Sprint(a.Addr, a.Peers))
			}
		}
		key := fmt.Sprint(n.labels(name))
		if before, known := said[key]; known && !slices.Equal(before, says) {
			t.Fatalf("%s announces %v, another node with the labels %s %v", name, says, key, before)
		}
		said[key] = says
	}
}

// TestIneligibleNodesDoNotMatter removes the nodes that announce nothing, one after the other: no other table changes.
func TestIneligibleNodesDoNotMatter(t *testing.T) {
	removed := 0
	for seed := range uint64(200) {
		c := randomCluster(seed)
		c.draining = nil
		before := c.all()
		for _, name := range c.nodeNames() {
			eligible := func(p config.Pool) bool { return naive{c.input("")}.exclusion(name, &p) == reason.Eligible }
			if slices.ContainsFunc(c.snapshot.Config.Pools, eligible) {
				continue
			}
			less := c
			less.snapshot.Nodes = slices.DeleteFunc(slices.Clone(c.snapshot.Nodes),
				func(n cluster.Node) bool { return n.Name == name })
			removed++
			for other, table := range less.all() {
				if !reflect.DeepEqual(table, before[other]) {
					t.Fatalf("seed %d: without %s, %s announces\n%swanted:\n%s", seed, name, other, tableText(table),
						tableText(before[other]))
				}
			}
		}
	}
	if removed < 100 {
		t.Errorf("only %d nodes were removed", removed)
	}
}

// TestFirstNodes checks that exactly the first nodes of a pool with spread have the better MED.
func TestFirstNodes(t *testing.T) {
	checked := 0
	for seed := range uint64(100) {
		c := randomCluster(seed)
		c.draining, c.pending = nil, nil
		tables := c.all()
		for _, a := range (naive{c.input("")}).addresses() {
			var ranks []int
			for _, table := range tables {
				if d := table.Find(a); d != nil && len(d.Peers) > 0 {
					ranks = append(ranks, d.Rank)
				}
			}
			slices.Sort(ranks)
			if pool := (naive{c.input("")}).pool(a); pool == nil || pool.Spread == 0 {
				continue
			}
			for i, rank := range ranks {
				checked++
				if rank != i {
					t.Fatalf("seed %d: %s has the ranks %v", seed, a, ranks)
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d ranks were checked", checked)
	}
}

// all returns the tables of all nodes.
func (c testCluster) all() map[string]Table {
	tables := map[string]Table{}
	for _, name := range c.nodeNames() {
		tables[name] = Decide(c.input(name))
	}
	return tables
}

func (c testCluster) nodeNames() (names []string) {
	for _, n := range c.snapshot.Nodes {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names
}

func announcersOf(tables map[string]Table, a netip.Addr) (names []string) {
	for name, table := range tables {
		if d := table.Find(a); d != nil && len(d.Peers) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func subset(some, of []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(of, s) })
}

// shuffled returns the cluster with all lists in another order.
func shuffled(c testCluster, seed uint64) testCluster {
	r := rand.New(rand.NewPCG(seed, 7))
	c.snapshot.Services, c.snapshot.Nodes = slices.Clone(c.snapshot.Services), slices.Clone(c.snapshot.Nodes)
	c.ready = slices.Clone(c.ready)
	r.Shuffle(len(c.snapshot.Services), swap(c.snapshot.Services))
	r.Shuffle(len(c.snapshot.Nodes), swap(c.snapshot.Nodes))
	r.Shuffle(len(c.ready), swap(c.ready))
	return c
}

func swap[T any](list []T) func(i, j int) {
	return func(i, j int) { list[i], list[j] = list[j], list[i] }
}

// randomCluster returns a small cluster in which much goes wrong.
func randomCluster(seed uint64) testCluster {
	r := random{rand.New(rand.NewPCG(seed, 1))}
	c := testCluster{pending: map[string][]netip.Addr{}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		c.snapshot.Nodes = append(c.snapshot.Nodes, cluster.Node{
			Name: name, Labels: r.labels(), Excluded: r.one(12), Deleting: r.one(20), OutOfService: r.one(20),
			NetworkUnavailable: r.one(12), Unschedulable: r.one(8),
		})
		if !r.one(10) {
			c.ready = append(c.ready, readyMembers(name)...)
			c.ready[len(c.ready)-1].Configured = !r.one(10)
		}
		if r.one(6) {
			c.draining = append(c.draining, name)
		}
	}
	c.snapshot.Config = r.config()
	for i := range 1 + r.IntN(10) {
		c.snapshot.Services = append(c.snapshot.Services, r.service(fmt.Sprintf("s%d", i)))
	}
	for _, s := range c.snapshot.Services {
		if node := r.of("a", "b", "c", "d"); len(s.Ingress) > 0 && r.one(4) {
			c.pending[node] = append(c.pending[node], s.Ingress[0])
		}
	}
	return c
}

// random makes the parts of a random cluster.
type random struct{ *rand.Rand }

func (r random) one(in int) bool          { return r.IntN(in) == 0 }
func (r random) of(list ...string) string { return list[r.IntN(len(list))] }

// some returns a few of the values, in their order.
func (r random) some(list ...string) (few []string) {
	for _, v := range list {
		if r.one(2) {
			few = append(few, v)
		}
	}
	return few
}

func (r random) labels() map[string]string { return map[string]string{"l": r.of("1", "2", "3")} }

// selectors returns selectors for the random labels, mostly none.
func (r random) selectors() (all []labels.Selector) {
	if r.one(4) {
		for _, v := range r.some("1", "2", "3") {
			all = append(all, labels.SelectorFromSet(labels.Set{"l": v}))
		}
	}
	return all
}

func (r random) config() *config.Config {
	cfg := &config.Config{Layer2: config.Layer2{MoveOnCordon: r.one(2)}}
	for _, name := range []string{"p", "q", "r"} {
		peer := config.Peer{Name: name, NodeSelectors: r.selectors()}
		if r.one(3) {
			peer.AddressPools = r.some("v", "w", "x")
		}
		cfg.Peers = append(cfg.Peers, peer)
	}
	for i, name := range []string{"v", "w", "x"} {
		pool := config.Pool{Name: name, BGP: !r.one(8), Layer2: r.one(2), NodeSelectors: r.selectors()}
		pool.Ranges = []config.Range{
			{From: netip.AddrFrom4([4]byte{192, 0, 2, byte(8 * i)}), To: netip.AddrFrom4([4]byte{192, 0, 2, byte(8*i + 7)})},
			{From: v6(8 * i), To: v6(8*i + 7)},
		}
		if r.one(2) {
			pool.Spread = 1 + r.IntN(3)
		}
		if r.one(3) {
			pool.PreferredNodes = []config.PreferredNodes{{Weight: 1 + r.IntN(9), Selector: labels.SelectorFromSet(r.labels())}}
		}
		pool.FromEndpoints, pool.UseExcluded.BGP = r.one(3), r.one(4)
		for range 1 + r.IntN(3) {
			pool.Advertisements = append(pool.Advertisements, r.advertisement())
		}
		cfg.Pools = append(cfg.Pools, pool)
	}
	return cfg
}

func v6(last int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(last)})
}

func (r random) advertisement() config.Advertisement {
	ad := config.Advertisement{
		AggregationLength: 32 - 2*max(0, r.IntN(6)-2), AggregationLengthV6: 128 - 2*max(0, r.IntN(6)-2),
		LocalPref: uint32(r.IntN(3)), Prepend: r.IntN(3), NodeSelectors: r.selectors(), ServiceSelectors: r.selectors(),
	}
	for v := range uint32(3) {
		if r.one(4) {
			ad.Communities = append(ad.Communities, v)
		}
		if r.one(4) {
			ad.LargeCommunities = append(ad.LargeCommunities, config.LargeCommunity{1, v, 2})
		}
	}
	if r.one(3) {
		ad.Peers = r.some("p", "q", "r")
	}
	if r.one(2) {
		ad.MED, ad.HasMED = uint32(r.IntN(5)), true
	}
	return ad
}

func (r random) service(name string) *cluster.Service {
	s := &cluster.Service{
		Key: cluster.Key{Namespace: "n", Name: name}, Managed: !r.one(20),
		AllocatedFrom: r.of("v", "v", "v", "w", "w", "x", ""),
		Labels:        r.labels(), HasServing: !r.one(6),
	}
	s.Ingress = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(26))})}
	if r.one(2) {
		s.Ingress = append(s.Ingress, v6(r.IntN(26)))
	}
	if r.one(2) {
		s.TrafficPolicy = cluster.TrafficLocal
	}
	if s.HasServing {
		s.ServingNodes = r.some("a", "b", "c", "d", "e", "f")
		if s.ReadyNodes = s.ServingNodes; r.one(2) {
			s.ReadyNodes = r.some(s.ServingNodes...)
		}
	}
	if r.one(4) {
		s.PreferNode = r.of("a", "b", "c", "unknown")
	}
	if r.one(4) {
		s.AnnounceFrom = []cluster.AnnounceFrom{cluster.FromAny, cluster.FromEndpoints}[r.IntN(2)]
	}
	return s
}
