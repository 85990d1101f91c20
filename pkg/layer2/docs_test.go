package layer2

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs requires that every test named in docs/layer2.md exists, and that every rule in the page names a test.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/layer2.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	definition := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range definition.FindAllStringSubmatch(string(source), -1) {
			defined[match[1]] = true
		}
	}
	name := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	rules, setups := 0, false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "## ") {
			setups = line == "## Set-ups of nodes\n" // which the tests of e2e/vm hold
		}
		names := name.FindAllStringSubmatch(line, -1)
		for _, match := range names {
			if !defined[match[1]] && match[1] != "TestWire" {
				t.Errorf("docs/layer2.md names %s, which does not exist", match[1])
			}
		}
		if cells := strings.Split(line, "|"); !setups && len(cells) == 5 && !strings.HasPrefix(cells[1], "---") && cells[1] != " rule " {
			rules++
			if len(names) == 0 {
				t.Errorf("docs/layer2.md: no test holds the rule:%s", cells[1])
			}
		}
	}
	if rules < 40 {
		t.Errorf("found %d rules; the test reads the wrong lines", rules)
	}
}

// TestDocsListTheDefaultExclusions requires that docs/layer2.md lists every default pattern, except the hexadecimal
// digits in patterns; the page describes these digits.
func TestDocsListTheDefaultExclusions(t *testing.T) {
	text, err := os.ReadFile("../../docs/layer2.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range DefaultExclude() {
		name, _, _ := strings.Cut(pattern, "[0-9a-f]")
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/layer2.md does not list %s", pattern)
		}
	}
}
