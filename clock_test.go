package lanlord_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wallClock are the functions and methods of package time that make of a time one that the wall clock alone tells. Whatever compares only
// what time.Now has returned goes by the monotonic clock, so that nothing happens when the machine's clock is set.
var wallClock = []string{
	"Unix", "UnixMilli", "UnixMicro", "UnixNano", "Round", "Truncate", "Date", "Parse", "ParseInLocation", "UTC", "Local", "In", "AddDate",
}

// wallClockUses are the files of the deciding packages where that is meant, and why.
var wallClockUses = map[string]string{
	"pkg/layer2/transfer_linux.go":    "the kernel's time of arrival; a clock that is set costs what waits at that moment",
	"pkg/ownership/guards.go":         "a date that never comes, and when two nodes became ready, each by its own clock",
	"pkg/controller/decide.go":        "the ages of Services, all by the API server's clock",
	"pkg/speaker/describe.go":         "told to people",
	"pkg/speaker/describe_routing.go": "told to people",
	"pkg/controller/status.go":        "told to people",
	"pkg/kube/status.go":              "told to people",
	"pkg/kube/health.go":              "a duration that is logged",
	"pkg/kube/told.go":                "the name of an Event",
	"pkg/kube/metrics.go":             "told in a metric",
	"pkg/membership/meta.go":          "a time on the wire, by the clock of the node that sends it",
	"pkg/succession/active.go":        "when the node became ready, for the next process",
	"pkg/succession/place.go":         "when the node became ready, from the process before",
	"pkg/kube/convert.go":             "times of the API server, told to people",
	"pkg/kube/past.go":                "the begin of a withdraw-delay, for the next controller; a clock that is set moves the end of the delay",
	"pkg/controller/withdrawals.go":   "told to people",
	"pkg/patrol/patrol.go":            "all nodes derive the number of a period from the time of day; a clock that is set repeats or leaves out a probe",
}

// TestNothingGoesByTheWallClock looks for times without a monotonic part in the packages that decide something. A clock that is set cannot
// be shown to a process otherwise: Go asks the kernel and not the C library, namespaces have no wall clock of their own, and the
// machine's belongs to others.
func TestNothingGoesByTheWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, top := range []string{
		"pkg/allocator", "pkg/controller", "pkg/election", "pkg/handover", "pkg/kube", "pkg/layer2", "pkg/membership", "pkg/speaker",
		"pkg/gossip", "pkg/notify", "pkg/ownership", "pkg/peers", "pkg/placement", "pkg/succession", "pkg/patrol",
	} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			calls, err := wallClockCalls(path)
			for _, call := range calls {
				used[path] = true
				if wallClockUses[path] == "" {
					t.Errorf("%s: %s goes by the wall clock: compare what time.Now returns, or say in wallClockUses why not", path, call)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for path := range wallClockUses {
		if !used[path] {
			t.Errorf("%s does not use the wall clock: take it out of wallClockUses", path)
		}
	}
}

// wallClockCalls returns the names of such functions that a file calls, of package time or of a value.
func wallClockCalls(path string) (calls []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	ofOther := func(name string) bool {
		return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
			path := strings.Trim(i.Path.Value, `"`)
			return path != "time" && (i.Name != nil && i.Name.Name == name || i.Name == nil && filepath.Base(path) == name)
		})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(wallClock, f.Sel.Name) {
			return true
		}
		if of, plain := f.X.(*ast.Ident); !plain || !ofOther(of.Name) {
			calls = append(calls, f.Sel.Name)
		}
		return true
	})
	return calls, nil
}
