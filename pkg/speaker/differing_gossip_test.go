package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/notify"
)

// wall is a firewall since the start: the directions in which gossip does not pass.
type wall struct {
	name    string
	nodes   []string
	blocked [][2]string
}

var walls = []wall{
	{"between two of two", []string{"a", "b"}, [][2]string{{"a", "b"}, {"b", "a"}}},
	{"from one of two", []string{"a", "b"}, [][2]string{{"a", "b"}}},
	{"to and from one of three", []string{"a", "b", "c"}, [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "a"}}},
	{"from one of three", []string{"a", "b", "c"}, [][2]string{{"a", "b"}, {"a", "c"}}},
	{"to one of three", []string{"a", "b", "c"}, [][2]string{{"b", "a"}, {"c", "a"}}},
	{"between two of three", []string{"a", "b", "c"}, [][2]string{{"a", "b"}, {"b", "a"}}},
	{"among three", []string{"a", "b", "c"}, [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "a"}, {"b", "c"}, {"c", "b"}}},
}

// TestGossipThatNeverWorked starts speakers that gossip never reaches. The controller publishes the MAC addresses of
// all nodes. Each address has one owner that does not change, no node counts as a foreign host, an Event says what to
// do, and a crash is detected.
func TestGossipThatNeverWorked(t *testing.T) {
	old := slices.Concat(following(addr4, 4), following(addr6, 2))
	fresh := []netip.Addr{netip.MustParseAddr("10.0.0.40"), netip.MustParseAddr("10.0.0.41"), netip.MustParseAddr("fd00::40")}
	for _, w := range walls {
		sample(t, w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := w.build(t, true, old...)
				v.bootAll()
				time.Sleep(20 * time.Second)
				v.steady("old addresses", 3*time.Minute, old...)
				v.assigned(fresh...)
				time.Sleep(10 * time.Second)
				v.hold("new addresses", 3*time.Minute, limits{moves: 1}, fresh...) // the failback
				v.wantNoConflict()
				v.wantBlocked(w)
				owner := v.only(addr4)
				owner.crash()
				time.Sleep(15 * time.Second)
				v.hold("after the crash", 2*time.Minute, limits{moves: 1}, slices.Concat(old, fresh)...) // the failback
				v.lan.Cut(owner.name+"/eth0", false)
				v.unblock()
				owner.boot()
				time.Sleep(10 * time.Second)
				v.hold("gossip works", 3*time.Minute, limits{moves: 1}, slices.Concat(old, fresh)...)
			})
		})
	}
}

// build makes the nodes behind the wall.
func (w wall) build(t *testing.T, known bool, addrs ...netip.Addr) *testCluster {
	v := makeTestCluster(t, 1, quiet(t), testConfig, w.nodes, addrs...)
	for _, pair := range w.blocked {
		v.blocked[pair] = true
	}
	if known {
		v.collectMACs()
	}
	return v
}

// wantNoConflict fails the test if a node calls another host foreign.
func (v *testCluster) wantNoConflict() {
	v.t.Helper()
	for name, p := range v.speakers {
		if foreign := p.speaker().Status().Foreign; len(foreign) > 0 {
			v.t.Errorf("%s tells of foreign hosts: %v", name, foreign)
		}
	}
	for _, e := range v.told() {
		if e.Reason == notify.ConflictReason {
			v.t.Errorf("an Event tells of a conflict: %s", e.Message)
		}
	}
}

// wantBlocked wants an Event of each node that gossip does not connect with another node, and no more than one.
func (v *testCluster) wantBlocked(w wall) {
	v.t.Helper()
	told := map[string]int{}
	for _, e := range v.told() {
		if e.Reason == notify.GossipReason && e.Object.Kind == "Node" && strings.Contains(e.Message, fmt.Sprint(gossipAddr.Port())) {
			told[e.Object.Name]++
		}
	}
	for _, name := range w.nodes {
		concerned := slices.ContainsFunc(w.blocked, func(pair [2]string) bool { return slices.Contains(pair[:], name) })
		if concerned && told[name] != 1 || !concerned && told[name] != 0 {
			v.t.Errorf("%d Events of %s tell that gossip is blocked", told[name], name)
		}
	}
}

// TestGossipThatNeverWorkedWithUnknownNodes is the same while no controller tells the MAC addresses, for a minute. The nodes cannot know each
// other then. When they do, each address has one owner.
func TestGossipThatNeverWorkedWithUnknownNodes(t *testing.T) {
	addrs := slices.Concat(following(addr4, 3), following(addr6, 1))
	for _, w := range walls {
		for _, is := range []string{"old", "new"} {
			sample(t, w.name+"/"+is, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := w.build(t, false)
					if is == "old" {
						for i, a := range addrs {
							v.snap.Services = append(v.snap.Services, service(fmt.Sprintf("s%d", i), a))
						}
					}
					v.bootAll()
					time.Sleep(15 * time.Second)
					if is == "new" {
						v.assigned(addrs...)
					}
					time.Sleep(time.Minute)
					v.change(func(s *cluster.Snapshot) { v.collectMACs() })
					time.Sleep(15 * time.Second)
					v.steady("the nodes are known", 5*time.Minute, addrs...)
				})
			})
		}
	}
}
