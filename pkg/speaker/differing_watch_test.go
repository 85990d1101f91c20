package speaker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// kinds are the watched kinds of objects.
var kinds = []struct {
	name string
	of   func(*cluster.Versions) *cluster.Seen
}{
	{"EndpointSlices", func(v *cluster.Versions) *cluster.Seen { return &v.EndpointSlices }},
	{"Nodes", func(v *cluster.Versions) *cluster.Seen { return &v.Nodes }},
	{"Services", func(v *cluster.Versions) *cluster.Seen { return &v.Services }},
}

// deleted is the version of the last change of each kind: a deletion.
const deleted = 3000

// views lists the ways in which a watch may show a deletion.
var views = []struct {
	name string
	seen func(cluster.Seen) cluster.Seen
}{
	// A list made after the deletion shows the newest remaining object.
	{"listed after it", func(s cluster.Seen) cluster.Seen {
		if s.Changed == deleted {
			s.Changed = deleted - 500
		}
		return s
	}},
	// Bookmarks come at any time.
	{"has a later bookmark", func(s cluster.Seen) cluster.Seen { return cluster.Seen{Changed: s.Changed, Complete: s.Complete + 40} }},
	{"listed after it, with a bookmark", func(s cluster.Seen) cluster.Seen {
		if s.Changed == deleted {
			s.Changed = 17
		}
		return cluster.Seen{Changed: s.Changed, Complete: s.Complete + 40}
	}},
}

// event excludes the owner from the address and returns the nodes that remain eligible.
type event struct {
	name  string
	nodes []string
	// prepare happens before the watches differ, change takes the right from the owner and leaves it to heir.
	prepare, change func(s *cluster.Snapshot, owner, heir string)
}

func exclude(s *cluster.Snapshot, owner, _ string) {
	for i := range s.Nodes {
		s.Nodes[i].Excluded = s.Nodes[i].Name == owner
	}
	advance(&s.Versions.Nodes)
}

func serveAt(s *cluster.Snapshot, node string) {
	s.Services[0].TrafficPolicy, s.Services[0].ServingNodes = cluster.TrafficLocal, []string{node}
}

var rightsMove = []event{
	{"the endpoints move", []string{"a", "b", "c"}, func(s *cluster.Snapshot, owner, _ string) { serveAt(s, owner) },
		func(s *cluster.Snapshot, _, heir string) { serveAt(s, heir); advance(&s.Versions.EndpointSlices) }},
	{"the owner of two is excluded", []string{"a", "b"}, nil, exclude},
	{"the owner of three is excluded", []string{"a", "b", "c"}, nil, exclude},
	{"the owner of four is excluded", []string{"a", "b", "c", "d"}, nil, exclude},
}

// TestDeletionThatOneNodeCouldNotSee takes the right to an address from its owner, where the last change before was a deletion, which one
// node has watched and another could not see. The nodes have seen the same all the same, and the heir takes the address at once.
func TestDeletionThatOneNodeCouldNotSee(t *testing.T) {
	for _, e := range rightsMove {
		for _, kind := range kinds {
			for _, view := range views {
				for _, who := range []string{"heir", "owner", "others"} {
					sample(t, fmt.Sprintf("%s/%s/%s %s", e.name, kind.name, who, view.name), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							v, owner, heir := newRights(t, e)
							for name, p := range v.speakers {
								if who == "heir" && name == heir || who == "owner" && name == owner || who == "others" && name != owner {
									p.see(func(s *cluster.Snapshot) { seen := kind.of(&s.Versions); *seen = view.seen(*seen) })
								}
							}
							time.Sleep(time.Second)
							v.change(func(s *cluster.Snapshot) { e.change(s, owner, heir) })
							v.hold("the right moves", 2*time.Minute, limits{moves: 1, owners: []string{heir}}, addr4)
						})
					})
				}
			}
		}
	}
}

// newRights starts a cluster whose watches have seen a deletion of each kind last, and returns the owner of addr4 and its heir.
func newRights(t *testing.T, e event) (v *testCluster, owner, heir string) {
	v = makeTestCluster(t, 1, quiet(t), testConfig+"layer2: {failback: never}\n", e.nodes, addr4)
	for _, kind := range kinds {
		*kind.of(&v.snap.Versions) = cluster.Seen{Changed: deleted, Complete: deleted}
	}
	v.bootAll()
	time.Sleep(10 * time.Second)
	owner = v.only(addr4).name
	for _, p := range v.succession(addr4) {
		if heir == "" && p.name != owner {
			heir = p.name
		}
	}
	if e.prepare != nil {
		v.change(func(s *cluster.Snapshot) {
			e.prepare(s, owner, heir)
			s.Versions.Config.Version++ // the deletions stay the last changes of their kinds
		})
		time.Sleep(time.Second)
	}
	return v, owner, heir
}

// TestWatchThatLags takes the right to an address from its owner, where one watch of a node ends before an earlier change of another kind.
// The node has seen less indeed. Somebody answers again soon, and the address does not alternate.
func TestWatchThatLags(t *testing.T) {
	lags := func(s *cluster.Seen) { *s = cluster.Seen{Changed: deleted - 500, Complete: deleted - 400} }
	for _, e := range rightsMove {
		for _, kind := range kinds {
			for _, who := range []string{"heir", "owner"} {
				sample(t, fmt.Sprintf("%s/%s/%s", e.name, kind.name, who), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						v, owner, heir := newRights(t, e)
						name := map[string]string{"heir": heir, "owner": owner}[who]
						v.speakers[name].see(func(s *cluster.Snapshot) { lags(kind.of(&s.Versions)) })
						time.Sleep(time.Second)
						v.change(func(s *cluster.Snapshot) { e.change(s, owner, heir) })
						v.hold("the right moves", 2*time.Minute, limits{moves: 2, unanswered: time.Second}, addr4)
						v.speakers[name].see(nil)
						v.hold("the watch has caught up", 2*time.Minute, limits{moves: 1, owners: []string{heir}}, addr4)
					})
				})
			}
		}
	}
}
