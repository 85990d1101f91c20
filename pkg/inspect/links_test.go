package inspect

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/reason"
)

// anchors returns the anchors of the headings of a page, as GitHub makes them.
func anchors(t *testing.T, page string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	drop := regexp.MustCompile(`[^\p{L}\p{N}\s_-]`)
	for line := range strings.SplitSeq(string(text), "\n") {
		if heading := strings.TrimLeft(line, "#"); heading != line && strings.HasPrefix(heading, " ") {
			plain := drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			list = append(list, strings.ReplaceAll(plain, " ", "-"))
		}
	}
	return list
}

// TestLinks checks that each page that a reason or a check links to exists and has the anchor, that each check has a
// page, and that each reason that can be a problem has one.
func TestLinks(t *testing.T) {
	links := map[string]bool{}
	for _, c := range checkPages {
		links[checkLink(c.check)] = true
	}
	words := []string{stateConflict, stateDisputed, statePending, stateUnknown, stateSessionDown, stateFamilyRefused, reasonUndecided}
	for _, a := range reason.Assignments() {
		if a != reason.Assigned && a != reason.Surplus {
			words = append(words, a.String())
		}
	}
	for _, a := range reason.Announcements() {
		if a != reason.Announced && a != reason.NotInPool && a != reason.NodeAddress {
			words = append(words, a.String())
		}
	}
	for _, r := range reason.Routes() {
		if r != reason.Routed {
			words = append(words, r.String())
		}
	}
	for _, word := range words {
		link := Runbook(word)
		if link == "" {
			t.Errorf("%s has no page", word)
			continue
		}
		links[link] = true
	}
	for _, word := range []string{"Assigned", "Announced", "Routed", ""} {
		if link := Runbook(word); link != "" {
			t.Errorf("%s, which is no problem, has the page %s", word, link)
		}
	}
	if len(links) < 12 {
		t.Fatalf("%d links", len(links))
	}
	for link := range links {
		path, ours := strings.CutPrefix(link, Docs)
		page, anchor, _ := strings.Cut(path, "#")
		if list := anchors(t, page); !ours || anchor != "" && !slices.Contains(list, anchor) {
			t.Errorf("%s: the page has the anchors %q", link, list)
		}
	}
	for _, each := range checks() {
		if checkLink(each.name) == "" {
			t.Errorf("the check %s has no page", each.name)
		}
	}
	for _, check := range Prepare(&Ground{Minor: -1}).Checks {
		if checkLink(check.Name) == "" {
			t.Errorf("the check %s has no page", check.Name)
		}
	}
}
