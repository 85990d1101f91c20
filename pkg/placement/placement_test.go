package placement

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
)

var update = flag.Bool("update", false, "write the placements into the scenario files")

// TestScenarios reads testdata/*.txtar. Each file shows one behaviour: a comment, the configuration (a file without a
// configuration describes a node that never had a valid one), the cluster, and the placements, one per line.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var snap cluster.Snapshot
			var ready []membership.Member
			for i, f := range ar.Files {
				switch f.Name {
				case "config":
					if snap.Config, err = config.Parse(f.Data); err != nil {
						t.Fatal(err)
					}
				case "cluster":
					ready = parseCluster(t, string(f.Data), &snap)
				case "placements":
					got := format(Decide(snap, ready))
					if *update {
						ar.Files[i].Data = []byte(got)
						if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
							t.Fatal(err)
						}
					} else if got != string(f.Data) {
						t.Errorf("placed:\n%swanted:\n%s", got, f.Data)
					}
				default:
					t.Fatalf("%s: unknown section %q", file, f.Name)
				}
			}
		})
	}
}

// parseCluster reads lines like
//
//	node a zone=1 excluded
//	ready a b
//	configured a
//	link a eth1 192.0.2.0/24
//	unlinked b
//	service default/web 10.0.0.1,fd00::1 serving=a,b ready=a local from=endpoints
//	service default/gateway 10.0.0.2 serving=a class=example.com/gateway
//
// Without "ready=" all serving endpoints are ready.
func parseCluster(t *testing.T, text string, snap *cluster.Snapshot) (ready []membership.Member) {
	t.Helper()
	links, configured := map[string][]membership.Link{}, []string(nil)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "node":
			snap.Nodes = append(snap.Nodes, parseNode(words[1:]))
		case "ready":
			ready = readyMembers(words[1:]...)
		case "configured":
			configured = words[1:]
		case "unlinked":
			links[words[1]] = []membership.Link{}
		case "link":
			links[words[1]] = append(links[words[1]], parseLink(words[2:]))
		case "service":
			if s := parseService(t, words[1:]); s.Class == "" {
				snap.Services = append(snap.Services, s)
			} else {
				snap.Others = append(snap.Others, s)
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	for i, m := range ready {
		ready[i].Configured, ready[i].Since = slices.Contains(configured, m.Name), time.Unix(1, 0)
		if links[m.Name] != nil {
			ready[i].Links = links[m.Name]
		}
	}
	return ready
}

// parseLink reads the name of an interface and its subnets.
func parseLink(words []string) (l membership.Link) {
	for i, w := range words {
		if i == 0 {
			l.Name = w
			continue
		}
		l.Subnets = append(l.Subnets, netip.MustParsePrefix(w))
	}
	return l
}

// readyMembers returns members with one interface each, in the subnets of most scenarios.
func readyMembers(names ...string) (ready []membership.Member) {
	for _, name := range names {
		ready = append(ready, membership.Member{Name: name, State: membership.Ready, Links: []membership.Link{{
			Name:    "eth0",
			Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")},
		}}})
	}
	return ready
}

func parseNode(words []string) cluster.Node {
	n := cluster.Node{Name: words[0], Labels: map[string]string{}}
	for _, w := range words[1:] {
		switch key, value, isLabel := strings.Cut(w, "="); {
		case key == "address":
			n.Addresses = append(n.Addresses, netip.MustParseAddr(value))
		case key == "external":
			n.External = append(n.External, netip.MustParseAddr(value))
		case isLabel:
			n.Labels[key] = value
		case w == "excluded":
			n.Excluded = true
		case w == "network-unavailable":
			n.NetworkUnavailable = true
		case w == "deleting":
			n.Deleting = true
		case w == "out-of-service":
			n.OutOfService = true
		case w == "cordoned":
			n.Unschedulable = true
		}
	}
	return n
}

func parseService(t *testing.T, words []string) *cluster.Service {
	t.Helper()
	ns, name, _ := strings.Cut(words[0], "/")
	s := &cluster.Service{Key: cluster.Key{Namespace: ns, Name: name}, UID: words[0], Managed: true,
		AllocatedFrom: "some pool"}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "serving":
			s.HasServing = true
			s.ServingNodes = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
			s.ReadyNodes = s.ServingNodes
		case "ready":
			s.ReadyNodes = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		case "from":
			s.AnnounceFrom = map[string]cluster.AnnounceFrom{"any": cluster.FromAny, "endpoints": cluster.FromEndpoints}[value]
		case "class":
			s.Class, s.Managed, s.AllocatedFrom = value, false, ""
		case "local":
			s.TrafficPolicy = cluster.TrafficLocal
		case "prefer":
			s.PreferNode = value
		case "unmanaged":
			s.Managed = false
		case "not-by-us":
			s.AllocatedFrom = ""
		default:
			for a := range strings.SplitSeq(w, ",") {
				s.Ingress = append(s.Ingress, netip.MustParseAddr(a))
			}
		}
	}
	return s
}

func format(placements []*Placement) string {
	var b strings.Builder
	for _, d := range placements {
		fmt.Fprintf(&b, "%s %v %s", d.Addr, d.Services, d.Reason)
		if d.Owner != "" {
			fmt.Fprintf(&b, " by %s", d.Owner)
		}
		if d.Preferred {
			b.WriteString(" as preferred")
		}
		if d.NearEndpoint {
			b.WriteString(" with an endpoint")
		}
		if d.Everywhere {
			b.WriteString(" on all interfaces")
		}
		if len(d.Interfaces) > 0 {
			fmt.Fprintf(&b, " on %s", strings.Join(d.Interfaces, ","))
		}
		if d.Detail != "" {
			fmt.Fprintf(&b, ": %s", d.Detail)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestDecideIsTheSameEverywhere checks that placements do not depend on the order of the cluster's objects.
func TestDecideIsTheSameEverywhere(t *testing.T) {
	snap, ready := bigCluster(t, 300, 20)
	want := Decide(snap, ready)
	owners := map[string]int{}
	for _, d := range want {
		if d.Reason != reason.Announced {
			t.Fatalf("%s: %s %s", d.Addr, d.Reason, d.Detail)
		}
		owners[d.Owner]++
	}
	if len(owners) != 20 {
		t.Errorf("300 addresses went to %d nodes of 20", len(owners))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rng.Shuffle(len(snap.Nodes), func(i, j int) { snap.Nodes[i], snap.Nodes[j] = snap.Nodes[j], snap.Nodes[i] })
		rng.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
		if got := Decide(snap, ready); !reflect.DeepEqual(got, want) {
			t.Fatal("another order of nodes changed a placement")
		}
	}
}

// TestLossMovesOnlyWhatTheLostHad removes one node after the other: only the addresses of that node move.
func TestLossMovesOnlyWhatTheLostHad(t *testing.T) {
	snap, ready := bigCluster(t, 300, 10)
	before := Decide(snap, ready)
	for i, member := range ready {
		lost := member.Name
		after := Decide(snap, slices.Concat(ready[:i], ready[i+1:]))
		for j := range before {
			if before[j].Owner != lost && after[j].Owner != before[j].Owner {
				t.Errorf("%s moved from %s to %s when %s was lost", before[j].Addr, before[j].Owner, after[j].Owner,
					lost)
			}
			if after[j].Owner == lost {
				t.Errorf("%s stayed on %s, which is lost", after[j].Addr, lost)
			}
		}
	}
}

// TestUnconfiguredGoLast takes the configuration from more and more members: the addresses of the others stay, and
// while any member is configured, no member without a configuration gets an address.
func TestUnconfiguredGoLast(t *testing.T) {
	snap, ready := bigCluster(t, 300, 10)
	for i := range ready {
		ready[i].Configured = true
	}
	before := Decide(snap, ready)
	for i := range ready {
		ready[i].Configured, ready[i].Since = false, time.Unix(1, 0)
		without := ready[i].Name
		after := Decide(snap, ready)
		for j := range before {
			switch owner := after[j].Owner; {
			case i == len(ready)-1: // no member is configured, so all members are equal
			case owner == "" || owner <= without:
				t.Errorf("%s is at %q, which has no configuration", after[j].Addr, owner)
			case before[j].Owner > without && owner != before[j].Owner:
				t.Errorf("%s moved from %s to %s when %s lost its configuration", after[j].Addr, before[j].Owner, owner,
					without)
			}
		}
		why := NewNodes(snap, ready).Exclusion(without, before[0].Addr)
		if (why == reason.NoConfiguration) != (i < len(ready)-1) {
			t.Errorf("%s of %d is %s", without, len(ready), why)
		}
		before = after
	}
}

// bigCluster returns Services with one address each, and ready nodes.
func bigCluster(tb testing.TB, services, nodes int) (cluster.Snapshot, []membership.Member) {
	tb.Helper()
	cfg, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/14]}\n"))
	if err != nil {
		tb.Fatal(err)
	}
	snap := cluster.Snapshot{Config: cfg}
	var ready []membership.Member
	for i := range nodes {
		name := fmt.Sprintf("node-%03d", i)
		snap.Nodes = append(snap.Nodes, cluster.Node{Name: name})
		ready = append(ready, membership.Member{Name: name, State: membership.Ready, Links: []membership.Link{
			{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		}})
	}
	addr := netip.MustParseAddr("10.0.0.1")
	for i := range services {
		snap.Services = append(snap.Services, &cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: fmt.Sprintf("s-%05d", i)}, Managed: true, AllocatedFrom: "a",
			Ingress: []netip.Addr{addr}, HasServing: true,
		})
		addr = addr.Next()
	}
	return snap, ready
}

// BenchmarkDecide has a budget of 100 ms with 10,000 Services and 200 nodes.
func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct{ services, nodes int }{{2000, 100}, {10_000, 200}} {
		b.Run(fmt.Sprintf("services=%d/nodes=%d", size.services, size.nodes), func(b *testing.B) {
			snap, ready := bigCluster(b, size.services, size.nodes)
			b.ReportAllocs()
			for b.Loop() {
				if len(Decide(snap, ready)) != size.services {
					b.Fatal("wrong number of placements")
				}
			}
		})
	}
}

// TestOlderVersionsCountAsConfigured keeps the addresses of speakers that say nothing about their configuration while newer speakers come.
func TestOlderVersionsCountAsConfigured(t *testing.T) {
	snap := cluster.Snapshot{Nodes: []cluster.Node{{Name: "new"}, {Name: "old"}}}
	link := []membership.Link{{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}}
	nodes := NewNodes(snap, []membership.Member{
		{Name: "new", State: membership.Ready, Since: time.Unix(1, 0), Configured: true, Links: link},
		{Name: "old", State: membership.Ready, Links: link},
	})
	if why := nodes.Exclusion("old", netip.MustParseAddr("10.0.0.1")); why != reason.Eligible {
		t.Errorf("the speaker of an older version is excluded: %s", why)
	}
}
