package speaker

import (
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/membership"
)

// TestNeighbours has "e" look beside itself in rings of several sizes, where some are silent.
func TestNeighbours(t *testing.T) {
	for _, c := range []struct {
		about, ready, silent string
		want                 string
	}{
		{"alone", "e", "", ""},
		{"not ready itself", "d f", "", ""},
		{"two", "e f", "", "f"},
		{"three", "d e f", "", "d f"},
		{"the ring is closed", "a b c d e", "", "d a"},
		{"one is silent", "a b c d e f g", "f", "d f g"},
		{"both are silent", "a b c d e f g", "d f", "d c f g"},
		{"two in a row are silent", "a b c d e f g h", "f g", "d f g h a"},
		{"who is silent stays among them", "a b c d e f", "d c f a", "d c b a f"},
		{"all are silent", "c d e f g", "c d f g", "d c g f"},
		{"no more than eight a side", "e f g h i j k l m n o p q r s t u v w x y z", "f g h i j k l m n z y x w v u t s r", "z y x w v u t s f g h i j k l m"},
	} {
		var members []membership.Member
		for name := range strings.FieldsSeq(c.ready) {
			members = append(members, membership.Member{Name: name, State: membership.Ready})
		}
		members = append(members, membership.Member{Name: "ee", State: membership.Leaving})
		silent := strings.Fields(c.silent)
		got := neighbours("e", members, func(name string) bool { return slices.Contains(silent, name) })
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s: %q ready, %q silent: looks at %q, want %q", c.about, c.ready, c.silent, got, want)
		}
	}
}
