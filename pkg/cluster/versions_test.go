package cluster

import (
	"math/rand/v2"
	"testing"
	"testing/quick"
)

// TestVersionsAntisymmetric compares random Versions as read from the wire. The numbers are small, so that ties are
// frequent.
func TestVersionsAntisymmetric(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	some := func() (v Versions) {
		var words [8]uint64
		for i := range words {
			words[i] = random.Uint64N(4)
		}
		return VersionsOf(words)
	}
	for range 200_000 {
		a, b := some(), some()
		if a.Less(b) && b.Less(a) {
			t.Fatalf("%+v and %+v are each less than the other", a, b)
		}
		if a.Less(a) {
			t.Fatalf("%+v is less than itself", a)
		}
	}
}

func TestVersionsWords(t *testing.T) {
	for _, s := range []Seen{{1, 1}, {1, 2}, {0, 7}} {
		v := Versions{Config: ConfigVersion{5, 6}, EndpointSlices: s, Nodes: Seen{3, 4}, Services: s}
		if got := VersionsOf(v.Words()); got != v {
			t.Errorf("%+v has become %+v", v, got)
		}
	}
	normal := func(words [8]uint64) bool {
		v := VersionsOf(words)
		return VersionsOf(v.Words()) == v && v.Nodes.Changed <= v.Nodes.Complete
	}
	if err := quick.Check(normal, nil); err != nil {
		t.Error(err)
	}
}

func TestVersionsLess(t *testing.T) {
	const none, before, same, after = 0, -1, 0, 1
	services := func(changed, complete uint64) Versions { return Versions{Services: Seen{changed, complete}} }
	of := func(hash, version uint64) Versions { return Versions{Config: ConfigVersion{hash, version}} }
	for _, test := range []struct {
		name string
		a, b Versions
		want int
	}{
		{"nothing", Versions{}, Versions{}, same},
		{"a change that a has not seen", services(5, 6), services(7, 7), before},
		{"a bookmark that a has not seen", services(5, 6), services(5, 9), same},
		{"a list after the same change", services(5, 5), services(5, 9), same},
		{"a deletion that the other list could not show", services(7, 7), services(5, 9), same},
		{"the kinds decide in their order", Versions{Nodes: Seen{1, 1}, Services: Seen{9, 9}}, Versions{Nodes: Seen{2, 2}, Services: Seen{3, 3}}, before},
		{"no configuration", of(none, 0), of(7, 0), before},
		{"an older configuration", of(6, 10), of(7, 11), before},
		{"the same text of two versions", of(7, 10), of(7, 11), same},
		{"the configuration decides first", Versions{Config: ConfigVersion{6, 10}, Services: Seen{9, 9}}, Versions{Config: ConfigVersion{7, 11}}, before},
		{"a newer configuration", of(7, 11), of(6, 10), after},
	} {
		t.Run(test.name, func(t *testing.T) {
			if less, more := test.a.Less(test.b), test.b.Less(test.a); less != (test.want == before) || more != (test.want == after) {
				t.Errorf("%+v, %+v: less %t, more %t", test.a, test.b, less, more)
			}
		})
	}
}
