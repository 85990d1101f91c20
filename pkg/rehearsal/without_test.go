package rehearsal

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/placement"
)

// threeNodes returns a cluster with three nodes and a Service for each text: the address, then the nodes with endpoints.
func threeNodes(t *testing.T, services ...string) (cluster.Snapshot, []membership.Member) {
	t.Helper()
	cfg, err := config.Parse([]byte("address-pools:\n- {name: lan, protocol: layer2, addresses: [10.0.0.100-10.0.0.199]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	snap := cluster.Snapshot{Config: cfg}
	var members []membership.Member
	for _, name := range []string{"n1", "n2", "n3"} {
		snap.Nodes = append(snap.Nodes, cluster.Node{Name: name})
		members = append(members, membership.Member{
			Name: name, State: membership.Ready, Configured: true,
			Links: []membership.Link{{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}},
		})
	}
	for _, text := range services {
		words := strings.Fields(text)
		s := &cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: "s" + words[0]}, Managed: true, AllocatedFrom: "lan",
			Ingress: []netip.Addr{netip.MustParseAddr(words[0])}, HasServing: len(words) > 1, ServingNodes: words[1:], ReadyNodes: words[1:],
		}
		snap.Services = append(snap.Services, s)
	}
	return snap, members
}

// TestWithout compares each result with the election in a cluster that never had the node.
func TestWithout(t *testing.T) {
	var services []string
	for _, last := range []string{"100", "101", "102", "103", "104", "105", "106", "107", "108", "109"} {
		services = append(services, "10.0.0."+last+" n1 n2 n3")
	}
	snap, members := threeNodes(t, services...)
	before := placement.Decide(snap, members)
	total := 0
	for i, node := range []string{"n1", "n2", "n3"} {
		d := Without(snap, members, node, nil)
		total += len(d.Addresses)
		smaller := snap
		smaller.Nodes = slices.Delete(slices.Clone(snap.Nodes), i, i+1)
		after := placement.Decide(smaller, slices.Delete(slices.Clone(members), i, i+1))
		for _, x := range d.Addresses {
			if was := placement.Find(before, x.Address); was.Owner != node {
				t.Errorf("%s of %s is listed for %s", x.Address, was.Owner, node)
			}
			if want := placement.Find(after, x.Address).Owner; x.Owner != want || x.Owner == node || x.Owner == "" {
				t.Errorf("%s without %s goes to %q, want %q", x.Address, node, x.Owner, want)
			}
		}
		if d.Lost() {
			t.Errorf("without %s an address is lost: %+v", node, d.Addresses)
		}
	}
	if total != len(services) {
		t.Errorf("%d addresses in all, want %d", total, len(services))
	}
}

// TestWithoutTheLastPlace checks the addresses that no other node can announce.
func TestWithoutTheLastPlace(t *testing.T) {
	snap, members := threeNodes(t, "10.0.0.100 n1", "10.0.0.101 n1 n2", "10.0.0.102")
	owned := []netip.Addr{netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("10.0.0.101"), netip.MustParseAddr("10.0.0.102")}
	snap.Services[1].TrafficPolicy = cluster.TrafficLocal
	d := Without(snap, members, "n1", owned)
	var text strings.Builder
	if err := d.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := `ADDRESS      SERVICE               WITHOUT n1   REASON
10.0.0.100   default/s10.0.0.100   <none>       NoEndpoints: all endpoints are on n1, until Kubernetes starts the pods elsewhere
10.0.0.101   default/s10.0.0.101   n2           Announced
10.0.0.102   default/s10.0.0.102   <none>       NoEndpoints: no endpoint of the Service is ready or serving
`
	if text.String() != want || !d.Lost() {
		t.Errorf("lost %t, it prints\n%swant\n%s", d.Lost(), text.String(), want)
	}
	if names := snap.Services[0].ServingNodes; len(names) != 1 || names[0] != "n1" {
		t.Errorf("the snapshot was changed: %v", names)
	}
	if d := Without(snap, members, "n9", nil); len(d.Addresses) != 0 || d.Lost() {
		t.Errorf("a node that does not exist has %+v", d.Addresses)
	}
}
