package speaker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// wrong is a wrong input of one node.
type wrong struct {
	name string
	put  func(v *testCluster, p *testNode)
}

var wrongs = []wrong{
	{"stale and does not know", func(v *testCluster, p *testNode) { v.outdate(p) }},
	{"stale and knows", func(v *testCluster, p *testNode) {
		v.mu.Lock()
		defer v.mu.Unlock()
		snap := v.snap
		p.stale, p.behind = &snap, false
	}},
	{"no gossip", func(v *testCluster, p *testNode) {
		for name := range v.speakers {
			if name != p.name {
				v.block(p.name, name)
				v.block(name, p.name)
			}
		}
	}},
	{"gossip only towards it", func(v *testCluster, p *testNode) {
		for name := range v.speakers {
			if name != p.name {
				v.block(p.name, name)
			}
		}
	}},
	{"no configuration", func(v *testCluster, p *testNode) { p.see(unconfigured) }},
	{"sees no Node but itself", func(v *testCluster, p *testNode) {
		p.see(func(s *cluster.Snapshot) {
			s.Nodes = slices.DeleteFunc(slices.Clone(s.Nodes), func(n cluster.Node) bool { return n.Name != p.name })
		})
	}},
	{"sees an excluded node", func(v *testCluster, p *testNode) {
		p.see(func(s *cluster.Snapshot) {
			s.Nodes = slices.Clone(s.Nodes)
			s.Nodes[0].Excluded = true
		})
	}},
}

// TestInputsStayDifferent leaves two nodes with wrong inputs for ten minutes, while the endpoints of a Service move, a node is excluded, and the
// others see that. Meanwhile each address is answered for, and moves a few times at most. When the inputs are equal, each has one owner.
func TestInputsStayDifferent(t *testing.T) {
	addrs := slices.Concat(following(addr4, 5), following(addr6, 3))
	for i, x := range wrongs {
		for _, y := range wrongs[i:] {
			sample(t, fmt.Sprintf("%s, %s", x.name, y.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := makeTestCluster(t, 1, quiet(t), testConfig+"layer2: {failback: 5s}\n", []string{"a", "b", "c"}, addrs...)
					v.collectMACs()
					v.bootAll()
					time.Sleep(20 * time.Second)
					x.put(v, v.speakers["b"])
					y.put(v, v.speakers["c"])
					v.change(func(s *cluster.Snapshot) {
						for i, at := range []string{"a", "b", "c"} {
							s.Services[i].TrafficPolicy, s.Services[i].ServingNodes = cluster.TrafficLocal, []string{at}
						}
					})
					time.Sleep(time.Second)
					v.change(func(s *cluster.Snapshot) { s.Nodes[2].Excluded = true; advance(&s.Versions.Nodes) })
					time.Sleep(time.Minute)
					v.hold("inputs differ", 10*time.Minute, limits{moves: 3, unanswered: reassurance + standInDelay, doubled: 3 * time.Second}, addrs[3:]...)
					for _, name := range []string{"b", "c"} {
						v.speakers[name].see(nil)
					}
					v.unblock()
					v.strand()
					time.Sleep(20 * time.Second)
					v.steady("inputs are equal", 2*time.Minute, slices.Concat(addrs[:2], addrs[3:])...)
				})
			})
		}
	}
}
