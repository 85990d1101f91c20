package routes

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// plannedNode steps the planner of node a in a cluster that a test changes.
type plannedNode struct {
	t        *testing.T
	cluster  testCluster
	planner  Planner
	start    time.Time
	table    Table
	again    time.Duration
	stopping bool
}

const plannedCluster = `node a
node b
ready a b
service default/web 192.0.2.1 serving=b
service default/local 192.0.2.2 serving=a,b local
`

func newPlannedNode(t *testing.T, drain string) *plannedNode {
	t.Helper()
	cfg, err := config.Parse([]byte(`peers:
- {name: tor, peer-address: 10.0.0.1, peer-asn: 64512, my-asn: 64513}
address-pools:
- {name: public, protocol: bgp, addresses: [192.0.2.0/24], bgp-advertisements: [{localpref: 100}]}
layer2: {move-on-cordon: true}
bgp: {drain: ` + drain + `}
`))
	if err != nil {
		t.Fatal(err)
	}
	n := &plannedNode{t: t, cluster: parseCluster(t, plannedCluster), start: time.Unix(1000, 0)}
	n.cluster.snapshot.Config = cfg
	return n
}

// step steps the planner at a time since the start, and checks the phase and the prefixes, written like "192.0.2.1/32";
// with "!" in front for a route with GRACEFUL_SHUTDOWN.
func (n *plannedNode) step(at time.Duration, phase Phase, prefixes ...string) {
	n.t.Helper()
	in := n.cluster.input("a")
	nodes := placement.NewNodes(in.Snapshot, in.Ready)
	table, again := n.planner.Step(n.start.Add(at), nodes, in, n.stopping)
	n.table, n.again = table, 0
	if !again.IsZero() {
		n.again = again.Sub(n.start)
	}
	var got []string
	if len(table.Peers) > 0 {
		for _, r := range table.Peers[0].Routes {
			mark := ""
			if slices.Contains(r.Communities, GracefulShutdown) {
				mark = "!"
				if r.LocalPref != 0 || !r.HasMED || r.MED != ShutdownMED {
					n.t.Errorf("%v: a route with GRACEFUL_SHUTDOWN is %+v", at, r)
				}
			} else if r.LocalPref != 100 || r.HasMED {
				n.t.Errorf("%v: the route is %+v", at, r)
			}
			got = append(got, mark+r.Prefix.String())
		}
	}
	if n.planner.Phase() != phase || !slices.Equal(got, prefixes) {
		n.t.Errorf("%v: %s with %v, want %s with %v", at, n.planner.Phase(), got, phase, prefixes)
	}
}

// node returns node a, for a change.
func (n *plannedNode) node() *cluster.Node { return &n.cluster.snapshot.Nodes[0] }

func TestPlannerDrains(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(n *plannedNode)
		why    reason.Route
	}{
		{"stopping", func(n *plannedNode) { n.stopping = true }, reason.DrainingNode},
		{"stopping, and no longer ready", func(n *plannedNode) {
			n.stopping, n.cluster.ready = true, readyMembers("b")
		}, reason.NodeNotEligible},
		{"cordoned", func(n *plannedNode) { n.node().Unschedulable = true }, reason.NodeNotEligible},
		{"excluded", func(n *plannedNode) { n.node().Excluded = true }, reason.NodeNotEligible},
		{"deleting", func(n *plannedNode) { n.node().Deleting = true }, reason.NodeNotEligible},
		{"out of service", func(n *plannedNode) { n.node().OutOfService = true }, reason.NodeNotEligible},
		{"deleted", func(n *plannedNode) { n.node().Name = "c" }, reason.NodeNotEligible},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newPlannedNode(t, "3s")
			n.step(0, Announcing, "192.0.2.1/32", "192.0.2.2/32")
			c.change(n)
			n.step(time.Second, ShuttingDown, "!192.0.2.1/32", "!192.0.2.2/32")
			if n.again != 4*time.Second {
				t.Errorf("the next step is at %v, want 4 s", n.again)
			}
			// The last choice is still a choice: what has no endpoint goes at once.
			n.cluster.snapshot.Services[1].ReadyNodes = []string{"b"}
			n.step(2*time.Second, ShuttingDown, "!192.0.2.1/32")
			n.step(4*time.Second-1, ShuttingDown, "!192.0.2.1/32")
			n.step(4*time.Second, Withdrawn)
			if d := n.table.Addresses[0]; d.Reason != c.why || d.Detail == "" || len(d.Peers) > 0 {
				t.Errorf("withdrawn: %+v, want the reason %s", d, c.why)
			}
			if len(n.table.Peers) != 1 || n.again != 0 {
				t.Errorf("withdrawn: peers %v, again at %v; want the session, and no time", n.table.Peers, n.again)
			}
			n.step(time.Hour, Withdrawn)
		})
	}
}

func TestPlannerComesBack(t *testing.T) {
	n := newPlannedNode(t, "2s")
	n.step(0, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	n.node().Unschedulable = true
	n.step(time.Second, ShuttingDown, "!192.0.2.1/32", "!192.0.2.2/32")
	n.node().Unschedulable = false
	n.step(2*time.Second, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	n.node().Unschedulable = true
	n.step(10*time.Second, ShuttingDown, "!192.0.2.1/32", "!192.0.2.2/32")
	n.step(12*time.Second, Withdrawn)
	n.node().Unschedulable = false
	n.step(13*time.Second, Announcing, "192.0.2.1/32", "192.0.2.2/32")
}

// TestPlannerHasNothingToDrain covers the cases without a pause: no routes, a drain time of 0, and a node that cannot
// forward.
func TestPlannerHasNothingToDrain(t *testing.T) {
	n := newPlannedNode(t, "2s")
	n.node().Unschedulable = true
	n.step(0, Withdrawn)
	n.node().Unschedulable = false
	n.step(time.Second, Announcing, "192.0.2.1/32", "192.0.2.2/32")

	n = newPlannedNode(t, "0s")
	n.step(0, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	n.stopping = true
	n.step(0, Withdrawn)

	n = newPlannedNode(t, "2s")
	n.step(0, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	n.node().NetworkUnavailable = true
	n.step(time.Second, Announcing)
	n.stopping = true
	n.step(2*time.Second, Withdrawn)
}

// TestPlannerKeeps takes the configuration away. Routes stay, except without a Service or an endpoint; with the
// endpoint the route comes back.
func TestPlannerKeeps(t *testing.T) {
	n := newPlannedNode(t, "2s")
	n.step(0, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	cfg := n.cluster.snapshot.Config
	n.cluster.snapshot.Config = nil
	n.cluster.ready[0].Configured = false
	n.cluster.pending["a"] = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	n.cluster.snapshot.Services = append(n.cluster.snapshot.Services,
		parseService(t, []string{"default/new", "192.0.2.3", "serving=a"}))
	n.step(1, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	web, local := n.cluster.snapshot.Services[0], n.cluster.snapshot.Services[1]

	local.ReadyNodes = []string{"b"}
	n.step(2, Announcing, "192.0.2.1/32")
	if d := n.table.Find(netip.MustParseAddr("192.0.2.2")); d.Reason != reason.NoLocalEndpoint || len(d.Peers) > 0 || d.Rank != -1 {
		t.Errorf("without a local endpoint: %+v", d)
	}
	local.ReadyNodes = local.ServingNodes
	n.step(3, Announcing, "192.0.2.1/32", "192.0.2.2/32")
	web.HasServing = false
	n.step(4, Announcing, "192.0.2.2/32")
	web.HasServing = true
	n.cluster.snapshot.Services = n.cluster.snapshot.Services[1:]
	n.step(5, Announcing, "192.0.2.2/32")
	if len(n.table.Addresses) != 1 {
		t.Errorf("the table has %+v, want only the address with a Service that was announced", n.table.Addresses)
	}

	n.stopping = true
	n.step(6, ShuttingDown, "!192.0.2.2/32")
	n.stopping = false
	n.step(7, Announcing, "192.0.2.2/32")
	n.cluster.ready = readyMembers("b")
	n.step(8, Announcing)
	if d := n.table.Addresses[0]; d.Reason != reason.NodeNotEligible || d.Exclusion != reason.NoSpeaker {
		t.Errorf("without a speaker: %+v", d)
	}
	n.cluster.snapshot.Config, n.cluster.ready = cfg, readyMembers("a", "b")
	n.step(9, Announcing, "192.0.2.2/32", "192.0.2.3/32")
}

// TestKeepNarrowsAggregates keeps an aggregate for the addresses that are left.
func TestKeepNarrowsAggregates(t *testing.T) {
	n := newPlannedNode(t, "2s")
	n.cluster.snapshot.Config.Pools[0].Advertisements[0].AggregationLength = 24
	n.cluster.snapshot.Services[1].TrafficPolicy = cluster.TrafficCluster
	in := n.cluster.input("a")
	last := Decide(in)
	in.Snapshot.Config = nil
	if empty := Decide(in); len(empty.Peers)+len(empty.Addresses) > 0 {
		t.Errorf("Decide without a configuration: %+v", empty)
	}
	in.Snapshot.Services = in.Snapshot.Services[:1]
	in.Draining = true
	kept := Keep(last, placement.NewNodes(in.Snapshot, in.Ready), in)
	want := "    192.0.2.0/24 med 4294967294 65535:0 for [192.0.2.1]\n"
	if got := routesText(kept.Peers[0].Routes); got != want {
		t.Errorf("kept\n%swant\n%s", got, want)
	}
	if got := routesText(last.Peers[0].Routes); got != "    192.0.2.0/24 localpref 100 for [192.0.2.1 192.0.2.2]\n" {
		t.Errorf("Keep changed its input: %s", got)
	}
}

func TestPhaseString(t *testing.T) {
	for p, want := range map[Phase]string{Announcing: "Announcing", ShuttingDown: "ShuttingDown", Withdrawn: "Withdrawn"} {
		if p.String() != want {
			t.Errorf("got %s, want %s", p, want)
		}
	}
}
