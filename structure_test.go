package lanlord_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// structured are the packages that TestStructure holds to its limits. A package that does not exist yet is skipped.
var structured = []string{"pkg/ownership", "pkg/peers", "pkg/placement", "pkg/routes", "pkg/notify", "pkg/speaker"}

const (
	mostFields  = 14
	mostMethods = 25
	// mostTableLines is how many lines the transition table of pkg/ownership has at most, so that it fits on a screen.
	mostTableLines = 60
)

// TestStructure keeps the packages readable: no struct and no type grows large, one file writes each field, and the
// files of a package have an order, in which each depends on those before it only.
func TestStructure(t *testing.T) {
	for _, dir := range structured {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p := parsePackage(t, dir)
			p.checkSizes(t)
			p.checkWriters(t)
			p.checkOrder(t)
		})
	}
}

// source is a package whose own names are resolved. What it imports is not.
type source struct {
	set   *token.FileSet
	files []*ast.File
	info  types.Info
	pkg   *types.Package
}

// emptyImports gives every import as a package without names, so that only the package's own names are resolved.
type emptyImports struct{}

func (emptyImports) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	p.MarkComplete()
	return p, nil
}

func parsePackage(t *testing.T, dir string) *source {
	t.Helper()
	p := &source{set: token.NewFileSet(), info: types.Info{Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no files: %v", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(p.set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		p.files = append(p.files, file)
	}
	config := types.Config{Importer: emptyImports{}, Error: func(error) {}} // the errors are about what is imported
	p.pkg, _ = config.Check(dir, p.set, p.files, &p.info)
	return p
}

func (p *source) file(at token.Pos) string { return filepath.Base(p.set.Position(at).Filename) }

// checkSizes counts the fields of each struct, the methods of each type, and the lines of the transition table.
func (p *source) checkSizes(t *testing.T) {
	methods := map[string]int{}
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, is := n.Type.(*ast.StructType); is && s.Fields.NumFields() > mostFields {
					t.Errorf("%s: struct %s has %d fields, more than %d; which of them belong together?", p.file(n.Pos()), n.Name, s.Fields.NumFields(), mostFields)
				}
			case *ast.FuncDecl:
				if n.Recv != nil {
					methods[strings.TrimPrefix(types.ExprString(n.Recv.List[0].Type), "*")]++
				}
			case *ast.ValueSpec:
				table, is := ast.Expr(nil), len(n.Names) == 1 && n.Names[0].Name == "table" && len(n.Values) == 1
				if is {
					table = n.Values[0]
				}
				if c, is := table.(*ast.CompositeLit); is && len(c.Elts) > 0 {
					first, last := p.set.Position(c.Elts[0].Pos()).Line, p.set.Position(c.Elts[len(c.Elts)-1].End()).Line
					if lines := last - first + 1; lines > mostTableLines {
						t.Errorf("the transition table has %d lines, more than %d", lines, mostTableLines)
					}
				}
			}
			return true
		})
	}
	for name, n := range methods {
		if n > mostMethods {
			t.Errorf("type %s has %d methods, more than %d", name, n, mostMethods)
		}
	}
}

// checkWriters finds the files that assign to each field, or to the whole struct. Values of composite literals are no
// assignments.
func (p *source) checkWriters(t *testing.T) {
	writers := map[string]map[string]bool{}
	write := func(s *types.Named, field, file string) {
		key := s.Obj().Name() + "." + field
		if writers[key] == nil {
			writers[key] = map[string]bool{}
		}
		writers[key][file] = true
	}
	assign := func(to ast.Expr) {
		for {
			index, is := to.(*ast.IndexExpr)
			if !is {
				break
			}
			to = index.X
		}
		switch x := to.(type) {
		case *ast.SelectorExpr:
			if s := p.structOf(x.X); s != nil {
				write(s, x.Sel.Name, p.file(to.Pos()))
			}
		case *ast.StarExpr:
			if s := p.structOf(x.X); s != nil {
				for field := range s.Underlying().(*types.Struct).Fields() {
					write(s, field.Name(), p.file(to.Pos()))
				}
			}
		}
	}
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, to := range n.Lhs {
					assign(to)
				}
			case *ast.IncDecStmt:
				assign(n.X)
			}
			return true
		})
	}
	for _, field := range slices.Sorted(maps.Keys(writers)) {
		if files := writers[field]; len(files) > 1 {
			t.Errorf("field %s is written in %v; give one file a method that does it", field, slices.Sorted(maps.Keys(files)))
		}
	}
}

// structOf returns the struct of this package that x is, or points to, nil for anything else.
func (p *source) structOf(x ast.Expr) *types.Named {
	is := p.info.Types[x].Type
	if is == nil {
		return nil
	}
	if to, pointer := is.Underlying().(*types.Pointer); pointer {
		is = to.Elem()
	}
	named, _ := types.Unalias(is).(*types.Named)
	if named == nil || named.Obj().Pkg() != p.pkg {
		return nil
	}
	if _, is := named.Underlying().(*types.Struct); !is {
		return nil
	}
	return named
}

// checkOrder draws an arrow from each file to those that declare what it uses, and fails for a circle.
func (p *source) checkOrder(t *testing.T) {
	arrows := map[string]map[string]string{} // from, to, an example
	for id, object := range p.info.Uses {
		if object.Pkg() != p.pkg || !object.Pos().IsValid() {
			continue
		}
		from, to := p.file(id.Pos()), p.file(object.Pos())
		if from == to {
			continue
		}
		if arrows[from] == nil {
			arrows[from] = map[string]string{}
		}
		if is := arrows[from][to]; is == "" || id.Name < is {
			arrows[from][to] = id.Name
		}
	}
	// Files that nothing in a circle depends on, or that depend on nothing in one, are taken away until only circles are
	// left.
	for changed := true; changed; {
		changed = false
		for _, file := range slices.Collect(maps.Keys(arrows)) {
			maps.DeleteFunc(arrows[file], func(to, _ string) bool { return arrows[to] == nil })
			used := slices.ContainsFunc(slices.Collect(maps.Values(arrows)), func(to map[string]string) bool { return to[file] != "" })
			if len(arrows[file]) == 0 || !used {
				delete(arrows, file)
				changed = true
			}
		}
	}
	var circles []string
	for from, list := range arrows {
		for to, name := range list {
			circles = append(circles, fmt.Sprintf("%s uses %s of %s", from, name, to))
		}
	}
	slices.SortFunc(circles, cmp.Compare[string])
	if len(circles) > 0 {
		t.Errorf("files depend on each other in a circle:\n\t%s", strings.Join(circles, "\n\t"))
	}
}
