package inspect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// TestTimeline checks the order of the changes, that a handover is one entry, and that a release without a next node is
// a trouble.
func TestTimeline(t *testing.T) {
	c := answered("n2", "n2")
	at := func(seconds int) time.Time { return c.At.Add(-time.Duration(seconds) * time.Second) }
	c.Speakers[0].Says.Since, c.Speakers[1].Says.Since = at(500), at(600)
	c.Speakers[0].Says.Changes = []status.Change{
		{At: at(10), Address: addr.String(), Change: "yielded", Reason: "failback", Peer: "n2"},
		{At: at(200), Address: addr.String(), Change: "withdrawn", Reason: "gone"},
		{At: at(300), Address: addr.String(), Change: "gained", Reason: "crash", Peer: "n2", After: 412},
		{At: at(301), Address: "a later version", Change: "gained"},
	}
	c.Speakers[1].Says.Changes = []status.Change{{At: at(11), Address: addr.String(), Change: "gained", Reason: "failback", Peer: "n1"}}
	c.Speakers[1].Says.Peers = []status.Peer{{Name: "tor", Router: "10.0.0.254", State: "Active", Since: at(50), Reason: "BFDDown", Message: "gone"}}
	c.Services[0].Condition.Since = at(900)
	got := ""
	for _, h := range Timeline(c) {
		got += fmt.Sprintf("%d %s %s %t: %s\n", int(c.At.Sub(h.At).Seconds()), h.Kind, h.Reason, h.Trouble, h.Message)
	}
	want := `11 address failback false: n2 answers, and no longer n1, because the election names the node
50 session BFDDown true: n2 has no BGP session with 10.0.0.254: gone
200 address gone true: n1 no longer answers: gone
300 address crash false: n1 answers, and no longer n2, because the node with the address was gone without notice (412 ms after the last sign of n2)
500 lanlord Speaker false: the speaker of n1 is ready
600 lanlord Speaker false: the speaker of n2 is ready
900 service Assigned false: 10.0.0.100 from pool "lan"
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if some := About(Timeline(c), key); len(some) != 4 || len(About(some, cluster.Key{Namespace: "a", Name: "b"})) != 0 {
		t.Errorf("about the Service: %+v", some)
	}
}

// TestThinnerLaw checks on clusters of any size that the reports about Services are the same with thin statuses.
func TestThinnerLaw(t *testing.T) {
	for nodes := 2; nodes < 6; nodes++ {
		whole, thin := crowded(nodes), crowded(nodes)
		var thinner Thinner
		before, after := 0, 0
		for i := range thin.Speakers {
			before += len(thin.Speakers[i].Says.Watched)
			if !thinner.Thin(thin.Speakers[i].Says) {
				t.Error("a small status does not fit")
			}
			after += len(thin.Speakers[i].Says.Watched)
		}
		if after >= before {
			t.Errorf("%d nodes: %d entries are left of %d", nodes, after, before)
		}
		if x, y := Services(whole, ""), Services(thin, ""); !reflect.DeepEqual(x, y) {
			t.Errorf("%d nodes: the Services are %+v, want %+v", nodes, y, x)
		}
		for _, s := range whole.Services {
			if x, y := Why(whole, s.Key, nil), Why(thin, s.Key, nil); !reflect.DeepEqual(x, y) {
				t.Errorf("%s: %+v, want %+v", s.Key, y, x)
			}
		}
		if x, y := Timeline(whole), Timeline(thin); !reflect.DeepEqual(x, y) {
			t.Errorf("the timelines differ: %+v, want %+v", y, x)
		}
	}
	s := status.Speaker{Routes: make([]status.Route, mostRoutes)}
	var thinner Thinner
	if !thinner.Thin(&s) || thinner.Thin(&status.Speaker{Routes: make([]status.Route, 1)}) {
		t.Error("the limit of the routes is another one")
	}
}

// crowded returns a cluster in which the addresses are in all kinds of states.
func crowded(nodes int) *Cluster {
	c := answered("", "")
	c.Speakers, c.Services = nil, nil
	states := []status.AddressState{status.StateStandby, status.StateBackup, status.StateProbing, status.StateConflict}
	for n := range nodes {
		s := Speaker{Pod: Pod{Name: fmt.Sprintf("speaker-%d", n), Node: fmt.Sprintf("n%d", n), Ready: true}, Says: &status.Speaker{State: "ready", Ready: true}}
		s.Says.Node, s.Says.Time = s.Node, c.At
		c.Speakers = append(c.Speakers, s)
	}
	for i := range 24 {
		address := fmt.Sprintf("10.0.0.%d", i)
		service := answered("", "").Services[0]
		service.Key.Name = fmt.Sprintf("s%02d", i)
		service.Ingress = slices.Clone(service.Ingress)
		if err := service.Ingress[0].UnmarshalText([]byte(address)); err != nil {
			panic(err)
		}
		c.Services = append(c.Services, service)
		for n := range nodes {
			says, owner := c.Speakers[n].Says, fmt.Sprintf("n%d", i%nodes)
			switch {
			case i%6 == 5:
				says.Watched = append(says.Watched, status.Watched{
					Address: address, State: status.StateStandby, Reason: reason.NoEndpoints.String(), Message: "no endpoint is ready",
				})
			case i%6 != 4 && n == i%nodes:
				says.Owned = append(says.Owned, status.Owned{Address: address, State: status.StateOwner, Reason: "new", Elected: owner, Since: c.At.Add(-time.Hour)})
			default:
				says.Watched = append(says.Watched, status.Watched{
					Address: address, State: states[(i/6+n)%len(states)], Elected: owner, Reason: "NotElected",
				})
			}
		}
	}
	return c
}

// TestPrepare checks the findings of Prepare for clusters that do not suit.
func TestPrepare(t *testing.T) {
	node := func(name string, change func(*Node)) Node {
		n := Node{Node: cluster.Node{Name: name, Addresses: answered("", "").Services[0].Ingress}, Linux: true, Ready: true}
		change(&n)
		return n
	}
	good := func() *Ground {
		return &Ground{
			Cluster: Cluster{Namespace: "lanlord-system", Nodes: []Node{node("n1", func(*Node) {}), node("n2", func(*Node) {})}},
			Version: "v1.33.2", Minor: 33, PodNetworks: []string{"Calico"}, ServiceProxy: true,
		}
	}
	if d := Prepare(good()); d.Verdict != OK {
		t.Errorf("a good cluster: %+v", d)
	}
	for name, test := range map[string]struct {
		spoil   func(*Ground)
		verdict Verdict
		text    string
	}{
		"kubernetes old":    {func(g *Ground) { g.Version, g.Minor = "v1.24.0", 24 }, Wrong, "Lanlord needs 1.25"},
		"kubernetes tested": {func(g *Ground) { g.Version, g.Minor = "v1.26.0", 26 }, Remark, "1.28 and later"},
		"kubernetes":        {func(g *Ground) { g.Minor = -1 }, Unchecked, "not known"},
		"installed":         {func(g *Ground) { g.Others = []string{"lb"} }, Remark, "already, in lb"},
		"nodes one":         {func(g *Ground) { g.Nodes = g.Nodes[:1] }, Remark, "no other node can take over"},
		"nodes none":        {func(g *Ground) { g.Nodes = nil }, Wrong, "no Linux node"},
		"nodes excluded":    {func(g *Ground) { g.Nodes[0].Excluded, g.Nodes[1].Excluded = true, true }, Wrong, "all nodes have the label"},
		"nodes partly":      {func(g *Ground) { g.Nodes[0].Excluded = true }, Remark, "1 node may not announce"},
		"nodes homeless":    {func(g *Ground) { g.Nodes[0].Addresses = nil }, Wrong, "without an InternalIP"},
		"kube-proxy":        {func(g *Ground) { g.KubeProxy = &KubeProxy{Mode: "ipvs"} }, Wrong, "without strictARP"},
		"network":           {func(g *Ground) { g.PodNetworks = []string{"Calico", "Flannel"} }, Remark, "several network plugins"},
		"ports": {func(g *Ground) {
			g.Ports = []UsedPort{{Port: 7572, Protocol: "TCP", Pod: "a/b", Nodes: []string{"n1"}}}
		}, Wrong,
			"a/b uses the port 7572 TCP on n1"},
		"metallb":   {func(g *Ground) { g.MetalLB = &MetalLB{Pods: []string{"metallb-system/c"}, Known: true} }, Wrong, "MetalLB runs too"},
		"rivals":    {func(g *Ground) { g.Rivals = []Rival{{Kind: ServiceLB, Objects: []string{"kube-system/svclb"}}} }, Remark, "ServiceLB is in this cluster"},
		"namespace": {func(g *Ground) { g.Enforced = "restricted" }, Wrong, "enforces the Pod Security level restricted"},
		"install":   {func(g *Ground) { g.Refused = []string{"create clusterroles"} }, Wrong, "you may not create clusterroles"},
		"rights":    {func(g *Ground) { g.Gaps = []Gap{{What: OfPods, Right: "list pods"}} }, Unchecked, "the right to list pods is missing"},
	} {
		g := good()
		test.spoil(g)
		d := Prepare(g)
		word, _, _ := strings.Cut(name, " ")
		i := slices.IndexFunc(d.Checks, func(c Check) bool { return c.Name == word })
		if i < 0 || d.Verdict != test.verdict || d.Checks[i].Verdict != test.verdict || len(d.Checks[i].Findings) == 0 {
			t.Errorf("%s: %+v", name, d)
			continue
		}
		if f := d.Checks[i].Findings[0]; !strings.Contains(f.Message, test.text) || !strings.HasPrefix(f.Link, Docs) {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if NeedsPort(7950) != true || NeedsPort(80) {
		t.Error("the ports of Lanlord are others")
	}
}
