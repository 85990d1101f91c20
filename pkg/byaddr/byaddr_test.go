package byaddr

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(3) == 0 {
		return netip.AddrFrom16([16]byte{0: 0xfd, 13: byte(r.IntN(20)), 15: 1})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(60))})
}

// TestMapLaw makes random histories of Maps, and requires each Map to have the entries of an ordinary map, also after
// later changes.
func TestMapLaw(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		var m Map[int]
		want := map[netip.Addr]int{}
		for step := range 100 {
			before, wantBefore := m, maps.Clone(want)
			e := m.Edit()
			for range r.IntN(8) {
				a := randomAddr(r)
				if r.IntN(3) == 0 {
					e.Delete(a)
					delete(want, a)
				} else {
					v := r.IntN(5)
					e.Put(a, v)
					want[a] = v
				}
				if got, ok := e.Get(a); ok != has(want, a) || got != want[a] {
					t.Fatalf("seed %d, step %d: %s is %d, %v in the Editor", seed, step, a, got, ok)
				}
			}
			m = e.Map()
			if r.IntN(4) == 0 {
				e.Put(randomAddr(r), -1) // changes no Map
			}
			compare(t, m, want)
			compare(t, before, wantBefore)
			if got := Equal(m, before); got != maps.Equal(want, wantBefore) {
				t.Fatalf("seed %d, step %d: Equal is %v", seed, step, got)
			}
			if !Equal(m, Of(want)) {
				t.Fatalf("seed %d, step %d: a Map of the same entries is not equal", seed, step)
			}
			lacking := m.Lacking(before)
			slices.SortFunc(lacking, netip.Addr.Compare)
			var wanted []netip.Addr
			for a := range want {
				if !has(wantBefore, a) {
					wanted = append(wanted, a)
				}
			}
			slices.SortFunc(wanted, netip.Addr.Compare)
			if !slices.Equal(lacking, wanted) {
				t.Fatalf("seed %d, step %d: %v are lacking, want %v", seed, step, lacking, wanted)
			}
		}
	}
}

func has(m map[netip.Addr]int, a netip.Addr) bool { _, ok := m[a]; return ok }

func compare(t *testing.T, m Map[int], want map[netip.Addr]int) {
	t.Helper()
	got := maps.Collect(m.All())
	if !maps.Equal(got, want) || m.Len() != len(want) {
		t.Fatalf("%d entries %v, want %v", m.Len(), got, want)
	}
	for a, v := range want {
		if x, ok := m.Get(a); !ok || x != v || !m.Has(a) {
			t.Fatalf("%s is %d, %v; want %d", a, x, ok, v)
		}
	}
	sum := 0
	for v := range m.Values() {
		sum += v
	}
	for _, v := range want {
		sum -= v
	}
	if sum != 0 {
		t.Fatalf("the values of %v are not those of %v", got, want)
	}
	for range m.Values() {
		break // a reader may stop early
	}
}

// TestPatchLaw compares Patch with a list that is sorted anew, and requires the given list to stay as it is.
func TestPatchLaw(t *testing.T) {
	self := func(a netip.Addr) netip.Addr { return a }
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		set := map[netip.Addr]bool{}
		for range r.IntN(30) {
			set[randomAddr(r)] = true
		}
		list := slices.SortedFunc(maps.Keys(set), netip.Addr.Compare)
		before := slices.Clone(list)
		edits := map[netip.Addr]bool{}
		for range r.IntN(12) {
			edits[randomAddr(r)] = r.IntN(2) == 0
		}
		var changes []Change[netip.Addr]
		for _, a := range slices.SortedFunc(maps.Keys(edits), netip.Addr.Compare) {
			changes = append(changes, Change[netip.Addr]{Addr: a, Item: a, Gone: edits[a]})
			if edits[a] {
				delete(set, a)
			} else {
				set[a] = true
			}
		}
		got := Patch(list, changes, self)
		if want := slices.SortedFunc(maps.Keys(set), netip.Addr.Compare); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
		if !slices.Equal(list, before) {
			t.Fatalf("seed %d: the list has changed", seed)
		}
	}
}
