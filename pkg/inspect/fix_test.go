package inspect

import (
	"os"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/reason"
)

// TestEveryReasonIsExplained checks that no reason was added without a fix here and an entry in the documentation.
func TestEveryReasonIsExplained(t *testing.T) {
	docs := ""
	for _, file := range []string{"../../docs/status.md", "../../docs/troubleshooting.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs += string(text)
	}
	check := func(word, text string) {
		t.Helper()
		if text == "" {
			t.Errorf("%s has no fix", word)
		}
		if !strings.Contains(docs, "`"+word+"`") {
			t.Errorf("neither docs/status.md nor docs/troubleshooting.md lists `%s`", word)
		}
	}
	for _, a := range reason.Assignments() {
		if a != reason.Assigned {
			check(a.String(), assignmentFix(a))
			check(a.String(), mendOf(a.String()))
		}
	}
	for _, a := range reason.Announcements() {
		if a != reason.Announced {
			check(a.String(), announcementFix(a).text)
			check(a.String(), mendOf(a.String()))
		}
	}
	for _, e := range reason.Exclusions() {
		if e != reason.Eligible {
			check(e.String(), exclusionFix(e))
		}
	}
	for _, w := range reason.Watches() {
		check(w.String(), watchHint(w))
	}
}

func TestExclusionFixes(t *testing.T) {
	got := exclusionFixes(map[string]int{"NoSpeaker": 1, "Deleting": 0, "Cordoned": 2, "Later": 3})
	const want = "uncordon a node, or remove move-on-cordon from the configuration; " +
		"see why the speaker is not ready: kubectl lanlord doctor"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
