package speaker

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/reason"
)

// TestEndpointsComeAndGo lets the only ready endpoint of a Service change between two nodes, neither of which has the
// address: the address moves only when an endpoint has stayed for the failback delay. Then the address stays at its node
// while the node has an endpoint, whichever other nodes get one, and moves at once when the node dies.
func TestEndpointsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr4)
		time.Sleep(defaultFailback) // nodes that start together spread the addresses at once
		first := v.only(addr4)
		var others []string
		for _, name := range []string{"a", "b", "c"} {
			if name != first.name {
				others = append(others, name)
			}
		}
		endpoints := func(nodes ...string) {
			v.change(func(s *cluster.Snapshot) {
				s.Services[0].AnnounceFrom = cluster.FromEndpoints
				s.Services[0].ServingNodes, s.Services[0].ReadyNodes = nodes, nodes
			})
		}
		stays := func(at *testNode, why string) {
			t.Helper()
			if owner := v.only(addr4); owner != at {
				t.Fatalf("%s: %s has the address, and %s had it\n%s", why, owner.name, at.name, v.lan)
			}
		}
		for i := range 12 {
			endpoints(others[i%2])
			time.Sleep(defaultFailback / 2)
			stays(first, "an endpoint that comes and goes")
		}
		endpoints(others[0])
		time.Sleep(defaultFailback + moveBound)
		near := v.speakers[others[0]]
		stays(near, "an endpoint that stays")
		for _, nodes := range [][]string{{"a", "b", "c"}, {near.name}, {"a", "b", "c"}} {
			endpoints(nodes...)
			time.Sleep(5 * defaultFailback)
			stays(near, "more endpoints elsewhere")
		}
		near.crash()
		time.Sleep(moveBound)
		if owner := v.owner(addr4); owner == "" || owner == near.name {
			t.Errorf("%q has the address of %s, which crashed", owner, near.name)
		}
	})
}

// TestAnnounceOnly gives a Service of another controller an address: the speakers announce it, and Events on the Service
// say so. When the configuration no longer lists the class, nobody answers.
func TestAnnounceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "announce-classes: [example.com/gateway]\n", []string{"a", "b"}, addr6)
		time.Sleep(moveBound)
		other := service("gateway", addr4)
		other.Key.Namespace, other.UID, other.Class = "edge", "u2", "example.com/gateway"
		other.Managed, other.AllocatedFrom, other.Created = false, "", time.Now()
		v.change(func(s *cluster.Snapshot) {
			s.Others = []*cluster.Service{other}
			advance(&s.Versions.Services)
		})
		time.Sleep(10 * time.Second)
		v.only(addr4)
		told := func(e cluster.Event) bool {
			return e.Object.Name == "gateway" && e.Object.UID == "u2" && e.Reason == reason.Announced.String()
		}
		if events := v.told(); !slices.ContainsFunc(events, told) {
			t.Errorf("no Event says who announces the address: %v", events)
		}
		cfg, err := config.Parse([]byte(testConfig))
		if err != nil {
			t.Fatal(err)
		}
		v.change(func(s *cluster.Snapshot) {
			s.Config = cfg
			s.Versions.Config = cluster.ConfigVersion{Hash: 2, Version: 2}
		})
		time.Sleep(moveBound)
		if owner := v.owner(addr4); owner != "" {
			t.Errorf("%s answers for a class that the configuration does not list", owner)
		}
		v.only(addr6)
	})
}

// TestNodeAddressAllowed gives a Service the address of node a: the kernel of a answers, no speaker does, and an Event says
// so without a warning.
func TestNodeAddressAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := netip.MustParseAddr("10.0.0.50")
		v := makeTestCluster(t, 1, slog.DiscardHandler, testConfig+"allocation: {allow-node-addresses: true}\n", []string{"a", "b"}, own)
		v.snap.Nodes[0].Addresses = []netip.Addr{own}
		v.speakers["a"].machine.SetAddrs(own)
		v.bootAll()
		time.Sleep(time.Minute)
		if owner := v.owner(own); owner != "a" {
			t.Errorf("%q answers for the address of a", owner)
		}
		for name, p := range v.speakers {
			if held := p.speaker().Status().Held; len(held) > 0 {
				t.Errorf("the speaker of %s has %v", name, held)
			}
			p.crash()
			time.Sleep(moveBound)
		}
		var reasons []string
		for _, e := range v.told() {
			if e.Reason == notify.ConflictReason || e.Warning {
				t.Errorf("warned: %s: %s", e.Reason, e.Message)
			}
			reasons = append(reasons, e.Reason)
		}
		if !slices.Contains(reasons, reason.NodeAddress.String()) {
			t.Errorf("no Event says that no speaker announces the address: %v", reasons)
		}
	})
}

// TestExcludedNodesUsed excludes every node by the label: the address has a node only where the pool uses such nodes.
func TestExcludedNodesUsed(t *testing.T) {
	for more, want := range map[string]bool{"": false, "layer2: {excluded-nodes: use}\n": true} {
		synctest.Test(t, func(t *testing.T) {
			v := makeTestCluster(t, 1, slog.DiscardHandler, testConfig+more, []string{"a", "b"}, addr4)
			for i := range v.snap.Nodes {
				v.snap.Nodes[i].Excluded = true
			}
			v.bootAll()
			time.Sleep(moveBound)
			if owner := v.owner(addr4); (owner != "") != want {
				t.Errorf("with %q, %q has the address", more, owner)
			}
		})
	}
}
