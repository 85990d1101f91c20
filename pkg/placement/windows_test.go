package placement

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// TestPodsOnWindowsNodes has all pods of a Service run on a node without a speaker, as a Windows node is. With the policy
// Cluster the node with a speaker announces the address; with Local no node does.
func TestPodsOnWindowsNodes(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.1")
	snap := cluster.Snapshot{Nodes: []cluster.Node{{Name: "linux"}, {Name: "windows"}}}
	service := &cluster.Service{
		Key: cluster.Key{Namespace: "default", Name: "web"}, Ingress: []netip.Addr{addr}, HasServing: true, Managed: true,
		ServingNodes: []string{"windows"}, AllocatedFrom: "default",
	}
	snap.Services = []*cluster.Service{service}
	ready := []membership.Member{{Name: "linux", State: membership.Ready, Links: []membership.Link{
		{Name: "eth0", Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}},
	}}}
	if p := Decide(snap, ready)[0]; p.Owner != "linux" || p.Reason != reason.Announced {
		t.Errorf("with the policy Cluster: %+v", p)
	}
	service.TrafficPolicy = cluster.TrafficLocal
	p := Decide(snap, ready)[0]
	if p.Reason != reason.NoEligibleNode || !strings.Contains(p.Detail, reason.NoSpeaker.Text()) {
		t.Errorf("with the policy Local: %+v", p)
	}
}
