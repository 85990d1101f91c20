package allocator

import (
	"regexp"
	"testing"
)

// TestReasonNames fails when a Reason was added without a name, or with one that Kubernetes would refuse in a condition.
func TestReasonNames(t *testing.T) {
	word := regexp.MustCompile(`^([A-Z][a-z]+)+$`)
	seen := map[string]Reason{}
	for r := range Reason(Reasons) {
		name := r.String()
		if !word.MatchString(name) {
			t.Errorf("Reason(%d) is %q, want a word in CamelCase", r, name)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("Reason(%d) and Reason(%d) are both %q", other, r, name)
		}
		seen[name] = r
	}
}

func TestReasonAboutRequest(t *testing.T) {
	byPools := map[Reason]bool{Assigned: true, NoPool: true, QuotaReached: true, NoFreeAddress: true}
	for r := range Reason(Reasons) {
		if r.AboutRequest() == byPools[r] {
			t.Errorf("%s.AboutRequest() is %t", r, r.AboutRequest())
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		size int
		want string
	}{
		{"", 5, ""},
		{"12345", 5, "12345"},
		{"123456", 5, "12…"},
		{"12äöü", 7, "12ä…"},
		{"äöüäöü", 6, "ä…"},
	} {
		if got := Shorten(c.text, c.size); got != c.want || len(got) > c.size {
			t.Errorf("Shorten(%q, %d) = %q, want %q", c.text, c.size, got, c.want)
		}
	}
}
