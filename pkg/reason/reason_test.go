package reason

import (
	"fmt"
	"regexp"
	"testing"
)

// TestEveryReasonHasOneWord checks that every value has a word: each word is unique in its type, is CamelCase, and
// parses back into its value.
func TestEveryReasonHasOneWord(t *testing.T) {
	t.Run("Assignment", func(t *testing.T) { testWords(t, Assignments(), AssignmentCount, ParseAssignment) })
	t.Run("Announcement", func(t *testing.T) { testWords(t, Announcements(), AnnouncementCount, ParseAnnouncement) })
	t.Run("Exclusion", func(t *testing.T) { testWords(t, Exclusions(), ExclusionCount, ParseExclusion) })
	t.Run("Unshared", func(t *testing.T) { testWords(t, UnsharedReasons(), UnsharedCount, ParseUnshared) })
	t.Run("Route", func(t *testing.T) { testWords(t, Routes(), RouteCount, ParseRoute) })
	t.Run("Watch", func(t *testing.T) { testWords(t, Watches(), WatchCount, ParseWatch) })
}

func testWords[T interface {
	~uint8
	fmt.Stringer
}](t *testing.T, values []T, count int, parse func(string) (T, bool)) {
	camelCase := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	if len(values) != count {
		t.Errorf("%d values are listed, the count is %d", len(values), count)
	}
	for i, v := range values {
		if int(v) != i {
			t.Errorf("value %d is listed as number %d", v, i)
		}
		if !camelCase.MatchString(v.String()) {
			t.Errorf("value %d has the word %q; it must be CamelCase", v, v)
		}
		if back, ok := parse(v.String()); !ok || back != v {
			t.Errorf("%s parses back as %d, %v", v, back, ok)
		}
	}
	for _, text := range []string{"", "announced", "Later", fmt.Sprint(T(count))} {
		if v, ok := parse(text); ok {
			t.Errorf("%q parses as %s", text, v)
		}
	}
}

// TestOneWordOneMeaning checks that a word for an address's state belongs to one type only: the status page and the
// JSON show Announcement and Watch in one field.
func TestOneWordOneMeaning(t *testing.T) {
	for _, w := range Watches() {
		if a, ok := ParseAnnouncement(w.String()); ok {
			t.Errorf("%s is a Watch and the Announcement %d", w, a)
		}
	}
}

func TestEveryReasonHasAText(t *testing.T) {
	texts := map[string]bool{}
	check := func(word, text string) {
		t.Helper()
		if text == "" || texts[text] {
			t.Errorf("%s has the text %q, which is empty or belongs to another reason too", word, text)
		}
		texts[text] = true
	}
	for _, a := range Announcements() {
		check(a.String(), a.Text())
	}
	for _, e := range Exclusions() {
		check(e.String(), e.Text())
	}
	for _, w := range Watches() {
		check(w.String(), w.Text())
	}
	for _, r := range Routes() {
		check(r.String(), r.Text())
	}
}

func TestAValueThatDoesNotExistIsShown(t *testing.T) {
	if got := Exclusion(200).String(); got != "reason.Exclusion(200)" {
		t.Errorf("got %q", got)
	}
}

func TestAboutRequest(t *testing.T) {
	byPools := map[Assignment]bool{Assigned: true, NoPool: true, QuotaReached: true, NoFreeAddress: true, StatusContested: true}
	for _, a := range Assignments() {
		if a.AboutRequest() == byPools[a] {
			t.Errorf("%s.AboutRequest() is %t", a, a.AboutRequest())
		}
	}
}
