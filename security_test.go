package lanlord_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests has every test exist that docs/security.md names, and each line of its first table be held by one.
func TestSecurityNamesTests(t *testing.T) {
	text, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	definition := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range definition.FindAllSubmatch(source, -1) {
			defined[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	table, _, _ := strings.Cut(string(text), "### What nobody")
	held := 0
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && !strings.HasPrefix(cells[1], "---") && strings.TrimSpace(cells[1]) != "a host" {
			held++
			if !name.MatchString(cells[3]) {
				t.Errorf("no test holds what becomes of a host that%s", cells[1])
			}
		}
	}
	if held < 8 {
		t.Errorf("found %d attacks: the test reads the wrong lines", held)
	}
	doors := 0
	_, table, _ = strings.Cut(string(text), "\n## Doors\n")
	table, _, _ = strings.Cut(table, "\n#")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "door" {
			continue
		}
		doors++
		if open := strings.HasPrefix(strings.TrimSpace(cells[4]), "nothing"); open == name.MatchString(cells[5]) {
			t.Errorf("the door%sis bounded by%sand held by%q", cells[1], cells[4], strings.TrimSpace(cells[5]))
		}
	}
	if doors < 12 {
		t.Errorf("found %d doors: the test reads the wrong lines", doors)
	}
	for _, match := range name.FindAllStringSubmatch(string(text), -1) {
		if !defined[match[1]] {
			t.Errorf("docs/security.md names %s, which does not exist", match[1])
		}
	}
}
