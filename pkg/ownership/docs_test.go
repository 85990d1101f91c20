package ownership

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	ownershipPage   = "../../docs/ownership.md"
	developmentPage = "../../docs/development.md"
	// blockStart and blockEnd enclose the copy of the table in docs/ownership.md.
	blockStart = "<!-- table: go test ./pkg/ownership -update -->\n"
	blockEnd   = "<!-- end of table -->\n"
)

// TestDocsShowTheTable compares docs/ownership.md with the transition table: the page shows every line of the table,
// and explains every event, condition and action. -update writes the lines.
func TestDocsShowTheTable(t *testing.T) {
	page := readPage(t, ownershipPage)
	before, rest, started := strings.Cut(page, blockStart)
	shown, after, ended := strings.Cut(rest, blockEnd)
	if !started || !ended {
		t.Fatalf("%s has no block between the lines %q and %q", ownershipPage, blockStart, blockEnd)
	}
	lines := readTable(t)
	want := "| from | event | condition | next | actions |\n|---|---|---|---|---|\n"
	for _, l := range lines {
		want += "| " + strings.Join([]string{
			strings.Join(l.from, ", "), strings.Join(l.events, ", "), l.condition, l.next,
			strings.Join(l.actions, ", "),
		}, " | ") + " |\n"
	}
	if *update && shown != want {
		if err := os.WriteFile(ownershipPage, []byte(before+blockStart+want+blockEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if shown != want {
		t.Errorf("the table of %s is not that of table.go (-update writes it); want\n%s", ownershipPage, want)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(before+after, -1) {
		explained[m[1]] = true
	}
	for _, l := range lines {
		for _, name := range slices.Concat(l.events, l.names, l.actions) {
			if !explained[name] {
				t.Errorf("%s does not explain `%s` outside of the table", ownershipPage, name)
				explained[name] = true
			}
		}
	}
}

// TestDocsPointToLines requires a line of the table for each rule in "A newcomer's test" of docs/development.md.
func TestDocsPointToLines(t *testing.T) {
	_, section, _ := strings.Cut(readPage(t, developmentPage), "\n## A newcomer's test\n")
	section, _, _ = strings.Cut(section, "\n## ")
	lines, rules := readTable(t), 0
	for row := range strings.Lines(section) {
		cells := strings.Split(row, "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "---") || cells[1] == " rule " {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		rules++
		if !slices.ContainsFunc(lines, func(l line) bool {
			return slices.Contains(l.from, cells[2]) && slices.Contains(l.events, cells[3]) &&
				l.condition == cells[4] && l.next == cells[5]
		}) {
			t.Errorf("%s: no line of the table leads from %s by %s to %s if %q", developmentPage, cells[2], cells[3],
				cells[5], cells[4])
		}
	}
	if rules < 10 {
		t.Errorf("found %d rules in %s; the test reads the wrong lines, or rules are missing", rules, developmentPage)
	}
}

// line is a line of the table in docs/ownership.md. names lists the conditions without "not" and "and".
type line struct {
	from, events    []string
	condition, next string
	names, actions  []string
}

// readTable reads the lines from the source, because a function has no name at run time.
func readTable(t *testing.T) (lines []line) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "table.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]ast.Expr{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			sets[spec.Names[0].Name] = spec.Values[0]
		}
		return true
	})
	rows, ok := sets["table"].(*ast.CompositeLit)
	if !ok || len(rows.Elts) != len(table) {
		t.Fatal("table.go does not list the table as one literal")
	}
	for _, row := range rows.Elts {
		cells := row.(*ast.CompositeLit).Elts
		l := line{from: names(cells[0], sets), events: names(cells[1], nil), next: names(cells[3], nil)[0],
			actions: names(cells[4], nil)}
		l.names = names(cells[2], nil)
		l.condition = condition(cells[2])
		lines = append(lines, l)
	}
	return lines
}

// names returns the names in an expression such as of(A, B) | c, in order, without the names of called functions. names
// replaces each name in sets by the names in its expression.
func names(x ast.Expr, sets map[string]ast.Expr) (list []string) {
	switch x := x.(type) {
	case *ast.Ident:
		if set, ok := sets[x.Name]; ok {
			return names(set, sets)
		}
		if x.Name != "nil" {
			list = []string{x.Name}
		}
	case *ast.BinaryExpr:
		list = slices.Concat(names(x.X, sets), names(x.Y, sets))
	case *ast.CallExpr:
		for _, arg := range x.Args {
			list = append(list, names(arg, sets)...)
		}
	}
	return list
}

// condition returns a guard in words.
func condition(x ast.Expr) string {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return strings.Join(names(x, nil), "")
	}
	var parts []string
	for _, arg := range call.Args {
		parts = append(parts, condition(arg))
	}
	if call.Fun.(*ast.Ident).Name == "not" {
		return "not " + parts[0]
	}
	return strings.Join(parts, " and ")
}

func readPage(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
