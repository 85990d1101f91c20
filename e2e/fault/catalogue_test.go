package fault

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the table into e2e/README.md")

// TestCatalogue checks the words of each fault and the times of each environment.
func TestCatalogue(t *testing.T) {
	seen := map[Kind]bool{}
	for _, f := range Catalogue() {
		if seen[f.Kind] || f.Kind == "" || f.About == "" || len(f.In) == 0 {
			t.Errorf("twice, or not described: %+v", f)
		}
		seen[f.Kind] = true
		if f.Dark != Prompt && f.Dark != Detected || f.Overlap != Handover && f.Overlap != Heard {
			t.Errorf("%s has the wrong bounds", f.Kind)
		}
	}
	for e, least := range map[Environment]int{Measured: 11, Namespaces: 40, OnKind: 17} {
		if rules := e.Rules(); len(rules) < least {
			t.Errorf("environment %d has %d faults, want at least %d", e, len(rules), least)
		}
		for _, r := range e.Rules() {
			if r.Shortest < time.Second || r.Longest < r.Shortest || r.Scope < Node || r.Scope >= Scopes || r.Dark < r.Overlap {
				t.Errorf("%+v", r)
			}
			if r.Has(Gone) && !r.Has(Away) {
				t.Errorf("%s: a node that is of no use is also of little use", r.Kind)
			}
		}
	}
}

// TestRules compares entries with the rules of an environment that changes some of their properties.
func TestRules(t *testing.T) {
	rule := func(e Environment, k Kind) Rule {
		for _, r := range e.Rules() {
			if r.Kind == k {
				return r
			}
		}
		return Rule{}
	}
	for _, test := range []struct {
		e    Environment
		want Rule
	}{
		{Namespaces, Rule{Kind: "crash", Scope: Process, Shortest: 3 * time.Second, Longest: 12 * time.Second,
			Dark: 5 * time.Second, Overlap: 500 * time.Millisecond, Effects: Away | Gone}},
		{OnKind, Rule{Kind: "crash", Scope: Process, Shortest: 3 * time.Second, Longest: 15 * time.Second, Recovery: 20 * time.Second,
			Dark: 8 * time.Second, Overlap: 5 * time.Second, Effects: Away | Gone | Blind | Idle | Unwired}},
		{OnKind, Rule{Kind: "rollout", Scope: Cluster, Shortest: time.Second, Longest: time.Second, Recovery: 30 * time.Second, Every: 4,
			Dark: 3 * time.Second, Overlap: time.Second, Effects: Everywhere}},
		{Measured, Rule{}},
	} {
		if got := rule(test.e, test.want.Kind); got != test.want {
			t.Errorf("%+v, want %+v", got, test.want)
		}
	}
}

// TestTable compares the table of e2e/README.md with the catalogue.
func TestTable(t *testing.T) {
	const file, begin, end = "../README.md", "| fault | happens to | description |", "\n\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(begin))
	if at < 0 {
		t.Fatalf("%s has no table that begins with %q", file, begin)
	}
	size := bytes.Index(text[at:], []byte(end))
	got, want := string(text[at:at+size+1]), table()
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table in %s differs from the catalogue; go test ./fault -update writes the table. It should be\n%s", file, want)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(got), []byte(want), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table returns the catalogue as a table in Markdown.
func table() string {
	var b strings.Builder
	b.WriteString("| fault | happens to | description | alone | in namespaces | on kind |\n|---|---|---|---|---|---|\n")
	for _, f := range Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |", f.Kind, f.Scope, f.About)
		for _, e := range []Environment{Measured, Namespaces, OnKind} {
			cell := ""
			if t, ok := f.In[e]; ok {
				cell = fmt.Sprintf("%.0f to %.0f s", t.Shortest.Seconds(), t.Longest.Seconds())
				if t.Shortest == t.Longest {
					cell = fmt.Sprintf("%.0f s", t.Longest.Seconds())
				}
				if t.How != "" {
					cell += ": " + t.How
				}
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}
