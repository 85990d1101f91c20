package peers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// world is a random cluster, the source of the updates of a table. Node "a" has the table, and the other nodes come and
// go.
type world struct {
	*rand.Rand
	now      time.Time
	members  map[string]membership.Member
	nodes    map[string]cluster.Node
	versions uint64
}

// others lists the other nodes of a world.
var others = []string{"b", "c", "d", "e", "nobody"}

func newWorld(seed uint64) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1000, 0), versions: 10,
		members: map[string]membership.Member{}, nodes: map[string]cluster.Node{"a": {Name: "a"}},
	}
	w.members["a"] = w.member("a")
	return w
}

func (w *world) name() string { return others[w.IntN(len(others))] }

// mac returns one of few MAC addresses, so that some nodes have equal addresses.
func (w *world) mac() membership.MAC { return membership.MAC{2, byte(w.IntN(6))} }

func (w *world) member(name string) membership.Member {
	m := membership.Member{Name: name, State: membership.State(w.IntN(4))}
	if w.IntN(3) > 0 {
		m.Since = time.Unix(int64(w.IntN(2)), 0)
	}
	for i := range w.IntN(3) {
		m.Links = append(m.Links, membership.Link{Name: fmt.Sprint("eth", i), MAC: w.mac()})
	}
	return m
}

// seen returns versions near the versions of this node.
func (w *world) seen() cluster.Versions {
	changed := w.versions + w.Uint64N(3) - 1
	return cluster.Versions{Services: cluster.Seen{Changed: changed, Complete: changed + w.Uint64N(2)}}
}

// turn changes the world.
func (w *world) turn() {
	w.now = w.now.Add(time.Duration(w.IntN(2000)) * time.Millisecond)
	name := w.name()
	switch w.IntN(6) {
	case 0:
		delete(w.members, name)
	case 1:
		delete(w.nodes, name)
	case 2:
		w.nodes[name] = cluster.Node{Name: name, MACs: [][6]byte{w.mac()}}
	case 3:
		w.versions += w.Uint64N(3)
	case 4:
		if w.IntN(20) == 0 {
			w.versions = 5 // restored from a backup
		}
	default:
		w.members[name] = w.member(name)
	}
}

func (w *world) input() Input {
	in := Input{Self: w.members["a"]}
	in.Versions.Services = cluster.Seen{Changed: w.versions, Complete: w.versions}
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		in.Members = append(in.Members, w.members[name])
	}
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		in.Nodes = append(in.Nodes, w.nodes[name])
	}
	return in
}

func (w *world) suspicion() Suspicion {
	name := w.name()
	if w.IntN(10) == 0 {
		name = "a"
	}
	silent := time.Duration(w.IntN(3)) * 300 * time.Millisecond
	return NewSuspicion(name, silent, w.IntN(2) == 0, w.now)
}

// difference describes the difference between a table and the naive table, empty for none.
func difference(table *Table, n *naive) string {
	v := table.View()
	for _, name := range append(others, "a") {
		if got, want := v.Peer(name), n.peer(name); got != want {
			return fmt.Sprintf("peer\n %+v, want\n %+v", got, want)
		}
	}
	for i := range 6 {
		mac := membership.MAC{2, byte(i)}
		if got, want := v.Station(layer2.MAC(mac)).Name, n.station(mac); got != want {
			return fmt.Sprintf("%s is of %q, want %q", mac, got, want)
		}
	}
	var ready []string
	for _, m := range table.Ready() {
		ready = append(ready, m.Name)
	}
	if want := n.ready(); !slices.Equal(ready, want) {
		return fmt.Sprintf("ready are %q, want %q", ready, want)
	}
	if v.Losses() != n.losses {
		return fmt.Sprintf("%d losses, want %d", v.Losses(), n.losses)
	}
	return ""
}

// TestNaive calls a table and the naive one in random order with the same arguments.
func TestNaive(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(seed)
		table, n := NewTable("a"), newNaive("a")
		before := []membership.Member{w.member("b"), w.member("c")}
		table.Restore(before, w.now)
		n.restore(before, w.now)
		for step := range 100 {
			w.turn()
			var did string
			var got, want any
			switch w.IntN(5) {
			case 0:
				x := w.suspicion()
				did = fmt.Sprintf("Suspect(%+v)", x)
				since, changed := table.Suspect(x, w.now)
				nSince, nChanged := n.suspect(x, w.now)
				got, want = fmt.Sprint(since, changed), fmt.Sprint(nSince, nChanged)
			case 1:
				name := w.name()
				did = "Refute " + name
				table.Refute(name)
				n.refute(name)
			case 2:
				name, v := w.name(), w.seen()
				did = fmt.Sprint("Heard ", name, v)
				got, _ = table.Heard(name, v, w.now)
				want = n.heard(name, v)
			default:
				in := w.input()
				did = fmt.Sprintf("Update(%+v)", in)
				got, want = table.Update(w.now, in), n.update(w.now, in)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: %s returned\n %+v, want\n %+v", seed, step, did, got, want)
			}
			if d := difference(table, n); d != "" {
				t.Fatalf("seed %d, step %d, after %s:\n%s", seed, step, did, d)
			}
		}
	}
}

// TestOrder delivers reports and messages about several nodes in any order between two updates. Only messages about the
// same node keep their order.
func TestOrder(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(seed)
		for range 30 {
			w.turn()
		}
		first := w.input()
		var calls [][]func(*Table) // by node
		for _, name := range others {
			x, v := NewSuspicion(name, time.Duration(w.IntN(3))*time.Second, w.IntN(2) == 0, w.now), w.seen()
			about := []func(*Table){func(t *Table) { t.Suspect(x, w.now) }, func(t *Table) { t.Heard(name, v, w.now) }}
			switch w.IntN(3) {
			case 0:
				about = append(about, func(t *Table) { t.Suspect(Suspicion{Name: name}, w.now) })
			case 1:
				about = append(about, func(t *Table) { t.Refute(name) })
			}
			calls = append(calls, about)
		}
		w.turn()
		second := w.input()
		run := func() *View {
			table, left := NewTable("a"), slices.Clone(calls)
			table.Update(w.now, first)
			for len(left) > 0 {
				i := w.IntN(len(left))
				left[i][0](table)
				if left[i] = left[i][1:]; len(left[i]) == 0 {
					left = slices.Delete(left, i, i+1)
				}
			}
			table.Update(w.now, second)
			return table.View()
		}
		if one, other := run(), run(); !reflect.DeepEqual(one, other) {
			t.Fatalf("seed %d: %+v, in another order %+v", seed, one, other)
		}
	}
}

// TestSameInput updates a table twice from the same input: nothing happens, and the view stays.
func TestSameInput(t *testing.T) {
	for seed := range uint64(200) {
		w, table := newWorld(seed), NewTable("a")
		for range 20 {
			w.turn()
			table.Update(w.now, w.input())
		}
		view := table.View()
		if c := table.Update(w.now, w.input()); !reflect.DeepEqual(c, Changes{}) || table.View() != view {
			t.Fatalf("seed %d: a second update changed %+v", seed, c)
		}
	}
}

// TestImmutable keeps the views of a table while it changes.
func TestImmutable(t *testing.T) {
	w, table := newWorld(1), NewTable("a")
	type kept struct {
		view, as *View
	}
	var views []kept
	for range 200 {
		w.turn()
		table.Update(w.now, w.input())
		table.Suspect(w.suspicion(), w.now)
		table.Heard(w.name(), w.seen(), w.now)
		v := table.View()
		views = append(views, kept{v, NewView(maps.Clone(v.peers), maps.Clone(v.stations), v.losses)})
	}
	for i, k := range views {
		if !reflect.DeepEqual(k.view, k.as) {
			t.Fatalf("view %d has changed", i)
		}
	}
}

// TestTwoTables lets two nodes with different versions exchange their versions. At most one node is behind, and the
// other node sends a reply to the node that is behind.
func TestTwoTables(t *testing.T) {
	w := newWorld(1)
	members := []membership.Member{{Name: "a", State: membership.Ready}, {Name: "b", State: membership.Ready}}
	newer := 0
	for range 2000 {
		w.versions = 10 + w.Uint64N(3)
		a, b, va, vb := NewTable("a"), NewTable("b"), w.seen(), w.seen()
		va.Config = cluster.ConfigVersion{Hash: w.Uint64N(3), Version: w.Uint64N(3)}
		vb.Config = cluster.ConfigVersion{Hash: w.Uint64N(3), Version: w.Uint64N(3)}
		a.Update(w.now, Input{Members: members, Self: members[0], Versions: va})
		b.Update(w.now, Input{Members: members, Self: members[1], Versions: vb})
		_, reply := a.Heard("b", vb, w.now)
		b.Heard("a", va, w.now)
		aBehind, behind := a.View().Peer("b").Newer, b.View().Peer("a").Newer
		if behind && aBehind || reply != behind {
			t.Fatalf("a has %v, b has %v: b is behind %t, a is behind %t, a replies %t", va, vb, behind, aBehind, reply)
		}
		if behind {
			newer++
		}
	}
	if newer == 0 {
		t.Error("b was never behind")
	}
}
