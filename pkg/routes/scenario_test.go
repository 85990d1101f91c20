package routes

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
)

var update = flag.Bool("update", false, "write the tables into the scenario files")

// TestScenarios reads testdata/*.txtar. Each file shows one behaviour: a comment, the configuration, and once or
// several times the cluster followed by the tables of its nodes. Nodes with equal tables share an entry.
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
			var cfg *config.Config
			var c testCluster
			for i, f := range ar.Files {
				switch f.Name {
				case "config":
					if cfg, err = config.Parse(f.Data); err != nil {
						t.Fatal(err)
					}
				case "cluster":
					c = parseCluster(t, string(f.Data))
					c.snapshot.Config = cfg
				case "tables":
					got := c.tables()
					if *update {
						ar.Files[i].Data = []byte(got)
					} else if got != string(f.Data) {
						t.Errorf("decided:\n%swanted:\n%s", got, f.Data)
					}
				default:
					t.Fatalf("%s: unknown section %q", file, f.Name)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// testCluster holds the inputs of all nodes.
type testCluster struct {
	snapshot cluster.Snapshot
	ready    []membership.Member
	// pending are the addresses whose rules a node lacks.
	pending map[string][]netip.Addr
	// draining are the nodes that shut down.
	draining []string
}

// input returns the inputs of one node.
func (c *testCluster) input(self string) Input {
	return Input{
		Snapshot: c.snapshot, Ready: c.ready, Self: self, Draining: slices.Contains(c.draining, self),
		Pending: func(a netip.Addr) bool { return slices.Contains(c.pending[self], a) },
	}
}

// tables returns the tables of all nodes as text.
func (c *testCluster) tables() string {
	var texts []string
	byText := map[string][]string{}
	for _, n := range c.snapshot.Nodes {
		text := tableText(Decide(c.input(n.Name)))
		if byText[text] == nil {
			texts = append(texts, text)
		}
		byText[text] = append(byText[text], n.Name)
	}
	var b strings.Builder
	for _, text := range texts {
		fmt.Fprintf(&b, "node %s\n%s", strings.Join(byText[text], " "), text)
	}
	return b.String()
}

// parseCluster reads lines like
//
//	node a zone=1 excluded
//	ready a b
//	configured a
//	pending a 192.0.2.1
//	draining a
//	service default/web 192.0.2.1,2001:db8::1 serving=a,b ready=a local prefer=a labels=tier:front from=endpoints
//	service default/gateway 192.0.2.2 serving=a class=example.com/gateway
//
// Without "ready=" all serving endpoints are ready.
func parseCluster(t *testing.T, text string) (c testCluster) {
	t.Helper()
	c.pending = map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch words[0] {
		case "node":
			c.snapshot.Nodes = append(c.snapshot.Nodes, parseNode(t, words[1:]))
		case "ready":
			c.ready = readyMembers(words[1:]...)
		case "configured":
			for i := range c.ready {
				c.ready[i].Configured = slices.Contains(words[1:], c.ready[i].Name)
			}
		case "pending":
			for _, w := range words[2:] {
				c.pending[words[1]] = append(c.pending[words[1]], netip.MustParseAddr(w))
			}
		case "draining":
			c.draining = words[1:]
		case "service":
			if s := parseService(t, words[1:]); s.Class == "" {
				c.snapshot.Services = append(c.snapshot.Services, s)
			} else {
				c.snapshot.Others = append(c.snapshot.Others, s)
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return c
}

// readyMembers returns configured members without any link: routers need none.
func readyMembers(names ...string) (ready []membership.Member) {
	for _, name := range names {
		ready = append(ready, membership.Member{Name: name, State: membership.Ready, Since: time.Unix(1, 0), Configured: true})
	}
	return ready
}

func parseNode(t *testing.T, words []string) cluster.Node {
	t.Helper()
	n := cluster.Node{Name: words[0], Labels: map[string]string{}}
	for _, w := range words[1:] {
		key, value, isLabel := strings.Cut(w, "=")
		flags := map[string]*bool{
			"excluded": &n.Excluded, "network-unavailable": &n.NetworkUnavailable, "deleting": &n.Deleting,
			"out-of-service": &n.OutOfService, "cordoned": &n.Unschedulable,
		}
		switch {
		case key == "address":
			n.Addresses = append(n.Addresses, netip.MustParseAddr(value))
		case isLabel:
			n.Labels[key] = value
		case flags[w] != nil:
			*flags[w] = true
		default:
			t.Fatalf("unknown word %q of a node", w)
		}
	}
	return n
}

func parseService(t *testing.T, words []string) *cluster.Service {
	t.Helper()
	ns, name, _ := strings.Cut(words[0], "/")
	s := &cluster.Service{Key: cluster.Key{Namespace: ns, Name: name}, Managed: true, AllocatedFrom: "some pool"}
	allReady := true
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		switch key {
		case "serving":
			s.HasServing, s.ServingNodes = true, list
		case "ready":
			s.ReadyNodes, allReady = list, false
		case "local":
			s.TrafficPolicy = cluster.TrafficLocal
		case "prefer":
			s.PreferNode = value
		case "labels":
			s.Labels = map[string]string{}
			for _, l := range list {
				k, v, _ := strings.Cut(l, ":")
				s.Labels[k] = v
			}
		case "from":
			s.AnnounceFrom = map[string]cluster.AnnounceFrom{"any": cluster.FromAny, "endpoints": cluster.FromEndpoints}[value]
		case "class":
			s.Class, s.Managed, s.AllocatedFrom = value, false, ""
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
	if allReady {
		s.ReadyNodes = s.ServingNodes
	}
	return s
}

// tableText returns a table as text: the routes to each peer, then the addresses. Peers with equal routes share an
// entry.
func tableText(t Table) string {
	var b strings.Builder
	for i := 0; i < len(t.Peers); {
		text := routesText(t.Peers[i].Routes)
		names := []string{t.Peers[i].Config.Name}
		for i++; i < len(t.Peers) && routesText(t.Peers[i].Routes) == text; i++ {
			names = append(names, t.Peers[i].Config.Name)
		}
		fmt.Fprintf(&b, "  to %s%s\n%s", strings.Join(names, " "), map[bool]string{true: ": nothing"}[text == ""], text)
	}
	for _, a := range t.Addresses {
		fmt.Fprintf(&b, "  %s %v %s", a.Addr, a.Services, a.Reason)
		if a.Exclusion != 0 {
			fmt.Fprintf(&b, " (%s)", a.Exclusion)
		}
		if len(a.Peers) > 0 {
			fmt.Fprintf(&b, " to %s", strings.Join(a.Peers, " "))
		}
		if a.Rank >= 0 {
			fmt.Fprintf(&b, ", rank %d", a.Rank)
		}
		if a.Detail != "" {
			fmt.Fprintf(&b, ": %s", a.Detail)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func routesText(routes []Route) string {
	var b strings.Builder
	for _, r := range routes {
		fmt.Fprintf(&b, "    %s", r.Prefix)
		if r.HasMED {
			fmt.Fprintf(&b, " med %d", r.MED)
		}
		if r.LocalPref != 0 {
			fmt.Fprintf(&b, " localpref %d", r.LocalPref)
		}
		if r.Prepend != 0 {
			fmt.Fprintf(&b, " prepend %d", r.Prepend)
		}
		for _, c := range r.Communities {
			fmt.Fprintf(&b, " %d:%d", c>>16, c&0xffff)
		}
		for _, c := range r.LargeCommunities {
			fmt.Fprintf(&b, " %d:%d:%d", c[0], c[1], c[2])
		}
		if len(r.Addrs) != 1 || !r.Prefix.IsSingleIP() {
			fmt.Fprintf(&b, " for %v", r.Addrs)
		}
		b.WriteString("\n")
	}
	return b.String()
}
