package routes_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/routes"
)

// input returns a cluster of two nodes with one Service.
func input() routes.Input {
	cfg, err := config.Parse([]byte(`
peers:
- {name: tor, peer-address: 10.0.0.1, peer-asn: 64512, my-asn: 64513}
address-pools:
- {name: public, protocol: bgp, addresses: [192.0.2.0/24]}
`))
	if err != nil {
		panic(err)
	}
	return routes.Input{
		Self: "node-1",
		Snapshot: cluster.Snapshot{
			Config: cfg,
			Nodes:  []cluster.Node{{Name: "node-1"}, {Name: "node-2"}},
			Services: []*cluster.Service{{
				Key: cluster.Key{Namespace: "shop", Name: "web"}, Managed: true, AllocatedFrom: "public",
				Ingress: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, TrafficPolicy: cluster.TrafficLocal,
				HasServing: true, ServingNodes: []string{"node-1"}, ReadyNodes: []string{"node-1"},
			}},
		},
		Ready: []membership.Member{{Name: "node-1", Configured: true}, {Name: "node-2", Configured: true}},
	}
}

func ExampleDecide() {
	in := input()
	for _, in.Self = range []string{"node-1", "node-2"} {
		for _, a := range routes.Decide(in).Addresses {
			fmt.Printf("%s %s %s %v %q\n", in.Self, a.Addr, a.Reason, a.Peers, a.Detail)
		}
	}
	// Output:
	// node-1 192.0.2.1 Routed [tor] ""
	// node-2 192.0.2.1 NoLocalEndpoint [] "the Service has externalTrafficPolicy Local and no ready endpoint on this node"
}

func ExamplePlanner() {
	var planner routes.Planner
	in, start := input(), time.Unix(0, 0)
	nodes := placement.NewNodes(in.Snapshot, in.Ready)
	for _, seconds := range []time.Duration{0, 1, 2, 3} {
		stopping := seconds > 0
		table, _ := planner.Step(start.Add(seconds*time.Second), nodes, in, stopping)
		fmt.Printf("%d s: %s\n", seconds, planner.Phase())
		for _, r := range table.Peers[0].Routes {
			fmt.Printf("  %s %x\n", r.Prefix, r.Communities)
		}
	}
	// Output:
	// 0 s: Announcing
	//   192.0.2.1/32 []
	// 1 s: ShuttingDown
	//   192.0.2.1/32 [ffff0000]
	// 2 s: ShuttingDown
	//   192.0.2.1/32 [ffff0000]
	// 3 s: Withdrawn
}
