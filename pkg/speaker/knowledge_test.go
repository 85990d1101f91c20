package speaker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// TestWhoKnowsLessGivesIn moves the endpoints of a Service, with the policy Local, from the owner of the address to
// another node, while the watch of the owner does not show the change. In a soak, two such nodes took the address from
// each other every three seconds.
func TestWhoKnowsLessGivesIn(t *testing.T) {
	for last := range 20 {
		t.Run(fmt.Sprint(last), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				addr := addr4
				for range last {
					addr = addr.Next() // each has its own order of the nodes
				}
				v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c"}, addr)
				time.Sleep(10 * time.Second)
				first := v.only(addr)
				others := slices.DeleteFunc(v.succession(addr), func(p *testNode) bool { return p == first })
				third, second := others[0].name, others[1].name
				v.change(func(s *cluster.Snapshot) {
					s.Services[0].TrafficPolicy, s.Services[0].ServingNodes = cluster.TrafficLocal, []string{first.name}
				})
				v.outdate(first)
				v.change(func(s *cluster.Snapshot) { s.Services[0].ServingNodes = []string{second} })
				time.Sleep(moveBound)
				frames := len(v.lan.Trace())
				for _, next := range []string{second, third, second} {
					v.change(func(s *cluster.Snapshot) { s.Services[0].ServingNodes = []string{next} })
					time.Sleep(moveBound)
					for range 60 {
						if owner := v.only(addr); owner.name != next {
							t.Fatalf("%s has it, want %s\n%s", owner.name, next, v.lan)
						}
						time.Sleep(askInterval)
					}
				}
				for _, f := range v.lan.Trace()[frames:] {
					if strings.HasPrefix(f.From, first.name+"/") && (f.Announces(addr) || f.Answers(addr)) {
						t.Fatalf("%s claims it again at %s", first.name, f.At)
					}
				}
				// A node that has caught up, and is eligible, is like any other node.
				v.strand()
				v.change(func(s *cluster.Snapshot) { s.Services[0].ServingNodes = []string{first.name} })
				time.Sleep(moveBound)
				if owner := v.only(addr); owner != first {
					t.Errorf("%s has it, want %s", owner.name, first.name)
				}
			})
		})
	}
}

// TestOutdatedNodeTakesFromTheLost freezes the node with the newer inputs, which answers. The other node takes the
// address by its own inputs.
func TestOutdatedNodeTakesFromTheLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c"}, addr4)
		time.Sleep(10 * time.Second)
		first := v.only(addr4)
		names := []string{"a", "b", "c"}
		second := v.speakers[names[(slices.Index(names, first.name)+1)%len(names)]]
		v.outdate(first)
		v.change(func(s *cluster.Snapshot) {
			s.Services[0].TrafficPolicy, s.Services[0].ServingNodes = cluster.TrafficLocal, []string{second.name}
		})
		time.Sleep(moveBound)
		if owner := v.only(addr4); owner != second {
			t.Fatalf("%s has it, want %s", owner.name, second.name)
		}
		second.nic.Freeze(true)
		v.split(second.name)
		time.Sleep(crashBound + lastLook)
		if owner := v.only(addr4); owner != first {
			t.Errorf("%s has it, want %s, which knows of no other", owner.name, first.name)
		}
	})
}
