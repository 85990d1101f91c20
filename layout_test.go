package lanlord_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lanlord/lanlord/"

// mayImport is the table of docs/design.md: what each package may import from this module. Tests of a package may
// import what they like.
var mayImport = map[string][]string{
	"pkg/config":         {},
	"pkg/metallb":        {"pkg/config"},
	"pkg/cluster":        {"pkg/config", "pkg/reason"},
	"pkg/allocator":      {"pkg/config", "pkg/cluster", "pkg/reason"},
	"pkg/election":       {},
	"pkg/membership":     {},
	"pkg/byaddr":         {},
	"pkg/checksum":       {},
	"pkg/layer2":         {"pkg/byaddr", "pkg/checksum", "pkg/pathprobe", "pkg/checksum"},
	"pkg/pathprobe":      {"pkg/checksum"},
	"pkg/patrol":         {"pkg/status"},
	"pkg/layer2/lantest": {"pkg/layer2", "pkg/pathprobe"},
	"pkg/kube":           {"pkg/cluster", "pkg/config", "pkg/metallb", "pkg/reason", "pkg/status"},
	"pkg/controller":     {"pkg/cluster", "pkg/config", "pkg/allocator", "pkg/reason", "pkg/status"},
	"pkg/placement":      {"pkg/byaddr", "pkg/cluster", "pkg/config", "pkg/election", "pkg/layer2", "pkg/membership", "pkg/reason"},
	"pkg/routes":         {"pkg/cluster", "pkg/config", "pkg/election", "pkg/membership", "pkg/placement", "pkg/reason"},
	"pkg/bfd":            {"pkg/bfd/session", "pkg/bfd/wire"},
	"pkg/bfd/session":    {"pkg/bfd/wire"},
	"pkg/bfd/wire":       {},
	"pkg/bgp":            {"pkg/bfd", "pkg/bgp/session", "pkg/bgp/wire"},
	"pkg/bgp/wire":       {},
	"pkg/bgp/session":    {"pkg/bgp/wire"},
	"pkg/bgp/routertest": {"pkg/bfd", "pkg/bfd/session", "pkg/bfd/wire", "pkg/bgp/wire"},
	"pkg/peers":          {"pkg/cluster", "pkg/layer2", "pkg/membership"},
	"pkg/ownership":      {"pkg/layer2", "pkg/membership", "pkg/peers", "pkg/placement", "pkg/reason"},
	"pkg/notify":         {"pkg/cluster", "pkg/ownership", "pkg/placement", "pkg/reason"},
	"pkg/speaker": {"pkg/byaddr", "pkg/cluster", "pkg/config", "pkg/layer2", "pkg/membership", "pkg/notify", "pkg/ownership", "pkg/pathprobe", "pkg/patrol", "pkg/peers", "pkg/placement",
		"pkg/reason", "pkg/status", "pkg/bgp", "pkg/bfd", "pkg/routes"},
	"pkg/daemon":              {},
	"pkg/daemon/daemontest":   {"pkg/daemon"},
	"pkg/config/configtest":   {},
	"pkg/cluster/clustertest": {},
	"pkg/reason":              {},
	"pkg/status":              {},
	"pkg/page":                {"pkg/cluster", "pkg/inspect", "pkg/reason", "pkg/status"},
	"pkg/handover":            {},
	"pkg/succession":          {"pkg/bfd", "pkg/bgp", "pkg/config", "pkg/daemon", "pkg/handover", "pkg/layer2", "pkg/membership"},
	"pkg/gossip":              {"pkg/cluster", "pkg/membership"},
	"pkg/serviceproxy":        {},
	"pkg/pace":                {},
	"pkg/schedslice":          {},
	"pkg/processors":          {},
	"pkg/inspect":             {"pkg/cluster", "pkg/config", "pkg/reason", "pkg/status"},
	"pkg/rehearsal":           {"pkg/cluster", "pkg/config", "pkg/controller", "pkg/kube", "pkg/membership", "pkg/placement", "pkg/reason"},
	"cmd/controller":          {"pkg/cluster", "pkg/config", "pkg/allocator", "pkg/kube", "pkg/controller", "pkg/daemon", "pkg/metallb", "pkg/status", "pkg/page", "pkg/rehearsal", "pkg/inspect"},
	"cmd/speaker": {"pkg/cluster", "pkg/config", "pkg/kube", "pkg/layer2", "pkg/membership", "pkg/speaker", "pkg/daemon", "pkg/status", "pkg/page",
		"pkg/succession", "pkg/gossip", "pkg/serviceproxy", "pkg/pace", "pkg/processors", "pkg/schedslice", "pkg/bgp"},

	"cmd/kubectl-lanlord": {"pkg/cluster", "pkg/config", "pkg/kube", "pkg/daemon", "pkg/inspect", "pkg/membership", "pkg/metallb", "pkg/reason", "pkg/rehearsal", "pkg/status", "pkg/page"},
}

// pure are the packages whose decisions must not depend on clients, sockets or clocks.
var pure = []string{"pkg/config", "pkg/metallb", "pkg/cluster", "pkg/allocator", "pkg/byaddr", "pkg/election", "pkg/inspect", "pkg/placement", "pkg/ownership", "pkg/routes", "pkg/bgp/wire", "pkg/bgp/session",
	"pkg/bfd/wire", "pkg/bfd/session", "pkg/pathprobe", "pkg/patrol"}

// pluginOnly are what only the plugin may use. The clientset, and what is made with it, would bring all kinds of Kubernetes along, and
// templates every method there is (see TestLinkerLeavesMethodsOut).
var pluginOnly = []string{
	"github.com/spf13/cobra", "k8s.io/client-go/tools/remotecommand", "k8s.io/client-go/tools/portforward", "k8s.io/client-go/transport/spdy", "k8s.io/client-go/kubernetes", "k8s.io/client-go/kubernetes/scheme",
	"k8s.io/client-go/tools/leaderelection", "k8s.io/client-go/tools/events", "k8s.io/client-go/informers", "k8s.io/client-go/tools/record",
	"html/template", "text/template",
}

// mayUseNetIP are the edges where the kernel's and Kubernetes' types are converted to netip.
var mayUseNetIP = []string{"pkg/layer2", "pkg/layer2/lantest", "pkg/kube", "pkg/membership"}

func TestLayout(t *testing.T) {
	files := goFiles(t)
	if len(files) < 20 {
		t.Fatalf("found %d Go files; the test looks in the wrong place", len(files))
	}
	for _, file := range files {
		dir := filepath.ToSlash(filepath.Dir(file))
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("%s: package %s is not in the table of docs/design.md; add it there and here, with what it may import", file, dir)
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		checkImports(t, file, dir, tree, allowed)
		checkBody(t, file, dir, tree)
	}
	for dir := range mayImport {
		if _, err := os.Stat(filepath.Join(dir, "doc.go")); err != nil && strings.HasPrefix(dir, "pkg/") {
			t.Errorf("%s has no doc.go; the folders are the table of contents, and doc.go is the sentence behind each entry", dir)
		}
	}
}

func checkImports(t *testing.T, file, dir string, tree *ast.File, allowed []string) {
	for _, spec := range tree.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rest, ours := strings.CutPrefix(path, module); ours && !slices.Contains(allowed, rest) {
			t.Errorf("%s imports %s, which the table of docs/design.md does not allow: it would tie what is meant to stay apart", file, rest)
		}
		if strings.HasPrefix(path, "k8s.io/client-go") && dir != "pkg/kube" && !strings.HasPrefix(dir, "cmd/") {
			t.Errorf("%s imports %s: pkg/kube is the only user of client-go, so that decisions can be tested without a cluster", file, path)
		}
		if slices.Contains(pluginOnly, path) && dir != "cmd/kubectl-lanlord" {
			t.Errorf("%s imports %s, which is the plugin's alone: the daemons stay small without it", file, path)
		}
		if slices.Contains(pure, dir) && (path == "net" || path == "context" || path == "log/slog" || path == "os") {
			t.Errorf("%s imports %s: decisions are functions of values, without clients, logs or contexts", file, path)
		}
	}
}

func checkBody(t *testing.T, file, dir string, tree *ast.File) {
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				t.Errorf("%s has an init function: what runs before main cannot be tested or ordered", file)
			}
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			if pkg.Name == "net" && (n.Sel.Name == "IP" || n.Sel.Name == "IPNet") && !slices.Contains(mayUseNetIP, dir) {
				t.Errorf("%s uses net.%s: addresses are netip.Addr, which can be compared and used as a key; convert at the edges", file, n.Sel.Name)
			}
			if slices.Contains(pure, dir) && pkg.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "After") {
				t.Errorf("%s uses time.%s: a decision that reads a clock cannot be replayed", file, n.Sel.Name)
			}
		}
		return true
	})
}

// goFiles returns the module's own Go files that are no tests, relative to its root.
func goFiles(t *testing.T) []string {
	var files []string
	for _, root := range []string{"pkg", "cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
