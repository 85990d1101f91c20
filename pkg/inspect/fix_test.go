package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// TestEveryReasonIsExplained checks that each reason has a fix here and a row in docs/status.md.
func TestEveryReasonIsExplained(t *testing.T) {
	docs := readDocs(t, "status.md")
	check := func(word, text string) {
		t.Helper()
		if text == "" {
			t.Errorf("%s has no fix", word)
		}
		if !strings.Contains(docs, "\n| `"+word+"` | ") {
			t.Errorf("no table of docs/status.md has a row for `%s`", word)
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
	for _, r := range reason.Routes() {
		if r != reason.Routed {
			check(r.String(), routeFix(r))
			check(r.String(), mendOf(r.String()))
		}
	}
	for _, w := range reason.Watches() {
		check(w.String(), watchHint(w))
	}
}

// TestEveryStateIsExplained checks that each state of an address has a text, a row in docs/ownership.md and a word in
// docs/status.md. The reports who and why must show the state, except for the usual states Owner and Standby, which
// appear as yes or no only.
func TestEveryStateIsExplained(t *testing.T) {
	states, columns := readDocs(t, "ownership.md"), readDocs(t, "status.md")
	for i := range ownership.StateCount {
		s := ownership.State(i)
		word := status.AddressState(s.String())
		if word.Text() == "" {
			t.Errorf("%s has no text", s)
		}
		answers := map[bool]string{true: "yes", false: "no"}[s.Answers()]
		if !strings.Contains(states, fmt.Sprintf("\n| %s | %s | ", s, answers)) {
			t.Errorf("no table of docs/ownership.md has a row for %s with %q", s, answers)
		}
		if !strings.Contains(columns, "`"+s.String()+"`") {
			t.Errorf("docs/status.md does not name `%s`", s)
		}
		c := answered("n1", "n1")
		if s.Holds() {
			c.Speakers[0].Says.Owned[0].State = word
		} else {
			c.Speakers[1].Says.Watched[0].State = word
		}
		a := Who(c, addr)
		at := slices.IndexFunc(a.Speakers, func(v SpeakerView) bool { return v.State == word })
		if at < 0 || a.Speakers[at].Answers != s.Answers() {
			t.Errorf("who shows %+v for %s", a.Speakers, s)
		}
		var who, why strings.Builder
		if err := errors.Join(a.WriteText(&who), Why(c, key, nil).WriteText(&why)); err != nil {
			t.Fatal(err)
		}
		usual := s == ownership.Owner || s == ownership.Standby
		if strings.Contains(who.String(), "("+s.String()+")") == usual || strings.Contains(why.String(), "is in state "+s.String()) == usual {
			t.Errorf("%s:\n%s\n%s", s, who.String(), why.String())
		}
	}
}

func readDocs(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExclusionFixes(t *testing.T) {
	got := exclusionFixes(map[string]int{"NoSpeaker": 1, "Deleting": 0, "Cordoned": 2, "Later": 3})
	const want = "uncordon a node, or remove move-on-cordon from the configuration; " +
		"see why the speaker is not ready: kubectl lanlord doctor"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
