package allocator

import "testing"

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
