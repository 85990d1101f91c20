// Package monitoring_test holds the alerts, the dashboard, the runbooks and the list of metrics to what the binaries serve.
package monitoring_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write prometheusrule.yaml instead of comparing it")

// rule is an alert as a rule file has it.
type rule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) []rule {
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal([]byte(read(t, "rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("%d alerts; the test reads the wrong thing", len(all))
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs Prometheus' own tool.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("LANLORD_TOOLS") == "required" {
			t.Fatal("the program promtool is missing: install the Debian package prometheus")
		}
		t.Skip("without promtool, which the Debian package prometheus has (make deps)")
	}
	command := exec.Command("promtool", args...)
	command.Stdin = strings.NewReader(stdin)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "", "check", "rules", "rules.yaml")
	promtool(t, "", "test", "rules", "rules_test.yaml")
}

// TestMetalLBRules checks the recording rules with MetalLB's names: that Prometheus accepts them, that they use metrics and labels
// that there are, and that docs/metrics.md has each name.
func TestMetalLBRules(t *testing.T) {
	promtool(t, "", "check", "rules", "--lint=none", "metallb-rules.yaml")
	promtool(t, "", "test", "rules", "metallb-rules_test.yaml")
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "metallb-rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	metrics, doc := golden(t), read(t, "../../docs/metrics.md")
	for _, r := range file.Groups[0].Rules {
		if checkExpression(t, r.Record, r.Expr, metrics) == 0 {
			t.Errorf("%s is made of no metric of Lanlord", r.Record)
		}
		short := regexp.MustCompile(`^metallb_allocator_(addresses|ipv4|ipv6).*|^metallb_bfd_session_(up|down)_events$`)
		if !short.MatchString(r.Record) && !strings.Contains(doc, "`"+r.Record+"`") {
			t.Errorf("docs/metrics.md does not name %s", r.Record)
		}
	}
}

// TestEveryAlert has a case in which it fires, a page that tells what to do, and labels and sentences.
func TestEveryAlert(t *testing.T) {
	var cases struct {
		Tests []struct {
			Cases []struct {
				Alert string `yaml:"alertname"`
				Want  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "rules_test.yaml")), &cases); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, test := range cases.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Want) > 0
		}
	}
	pages := map[string]bool{}
	for _, r := range rules(t) {
		if !fires[r.Alert] {
			t.Errorf("rules_test.yaml has no case in which %s fires", r.Alert)
		}
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no severity, summary or description", r.Alert)
		}
		page, ok := strings.CutPrefix(r.Annotations["runbook_url"], "https://github.com/lanlord/lanlord/blob/main/docs/runbooks/")
		pages[page] = true
		if text := read(t, "../../docs/runbooks/"+page); !ok || !strings.HasPrefix(text, "# "+r.Alert+"\n") {
			t.Errorf("the page %s of %s does not begin with the alert's name", page, r.Alert)
		}
		_, look, _ := strings.Cut(read(t, "../../docs/runbooks/"+page), "\n## Look\n\n")
		if !strings.HasPrefix(look, "    kubectl lanlord ") {
			t.Errorf("the first command of the page %s is not one of kubectl lanlord", page)
		}
	}
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !pages[filepath.Base(file)] {
			t.Errorf("%s is the page of no alert", file)
		}
	}
}

// TestPrometheusRule is the same rules in the operator's form.
func TestPrometheusRule(t *testing.T) {
	_, groups, _ := strings.Cut(read(t, "rules.yaml"), "groups:\n")
	want := "# Made from rules.yaml by go test ./deploy/monitoring -update.\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n" +
		"  name: lanlord\n  namespace: lanlord-system\n  labels: {app.kubernetes.io/name: lanlord}\nspec:\n  groups:\n" +
		regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(groups, "  $1")
	if *update {
		if err := os.WriteFile("prometheusrule.yaml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, "prometheusrule.yaml") != want {
		t.Error("prometheusrule.yaml is not what rules.yaml says (-update writes it)")
	}
}

// metric is one of those that the binaries serve.
type metric struct {
	name, kind, help string
	labels           []string
	binaries         []string
}

// golden reads what the tests of both binaries pin.
func golden(t *testing.T) map[string]*metric {
	metrics := map[string]*metric{}
	for _, binary := range []string{"controller", "speaker"} {
		var last *metric
		for line := range strings.Lines(read(t, "../../cmd/"+binary+"/testdata/metrics.txt")) {
			line = strings.TrimSuffix(line, "\n")
			if label, ok := strings.CutPrefix(line, "\t"); ok {
				if !slices.Contains(last.labels, label) {
					last.labels = append(last.labels, label)
				}
				continue
			}
			head, help, _ := strings.Cut(line, ": ")
			name, kind, _ := strings.Cut(head, " ")
			if metrics[name] == nil {
				metrics[name] = &metric{name: name, kind: strings.ToLower(kind), help: help}
			}
			last = metrics[name]
			last.binaries = append(last.binaries, binary)
		}
	}
	if len(metrics) < 30 {
		t.Fatalf("%d metrics; the test reads the wrong thing", len(metrics))
	}
	return metrics
}

// TestMetricsByPromtool lints them all.
func TestMetricsByPromtool(t *testing.T) {
	var text strings.Builder
	for _, m := range golden(t) {
		var labels []string
		for _, l := range m.labels {
			labels = append(labels, l+`="x"`)
		}
		in := strings.Join(labels, ",")
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		if m.kind != "histogram" {
			fmt.Fprintf(&text, "%s{%s} 1\n", m.name, in)
			continue
		}
		le := strings.Join(append(labels, `le="+Inf"`), ",")
		fmt.Fprintf(&text, "%s_bucket{%s} 1\n%s_sum{%s} 1\n%s_count{%s} 1\n", m.name, le, m.name, in, m.name, in)
	}
	promtool(t, text.String(), "check", "metrics")
}

var (
	inExpression = regexp.MustCompile(`\b((?:lanlord|process|go)_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	labelIn      = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	// ofTheScrape are labels that Prometheus adds.
	ofTheScrape = []string{"namespace", "pod", "instance", "cluster"}
	// ofOthers are metrics that client_golang makes, and that both binaries have.
	ofOthers = []string{"process_resident_memory_bytes", "process_cpu_seconds_total"}
)

// checkExpression holds the metrics of an expression, and their labels, to the golden files.
func checkExpression(t *testing.T, where, expr string, metrics map[string]*metric) (found int) {
	t.Helper()
	for _, match := range inExpression.FindAllStringSubmatch(expr, -1) {
		name := match[1]
		if slices.Contains(ofOthers, name) {
			found++
			continue
		}
		m := metrics[name]
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, part); ok && metrics[base] != nil && metrics[base].kind == "histogram" {
				m = metrics[base]
			}
		}
		if m == nil {
			t.Errorf("%s uses %s, which neither binary has", where, name)
			continue
		}
		found++
		for _, label := range labelIn.FindAllStringSubmatch(match[2], -1) {
			if !slices.Contains(m.labels, label[1]) && !slices.Contains(ofTheScrape, label[1]) {
				t.Errorf("%s asks %s for the label %s, which it does not have", where, name, label[1])
			}
		}
	}
	return found
}

// TestAlertsUseWhatThereIs also by default: no alert needs --address-metrics.
func TestAlertsUseWhatThereIs(t *testing.T) {
	metrics := golden(t)
	for _, r := range rules(t) {
		if checkExpression(t, r.Alert, r.Expr, metrics) == 0 {
			t.Errorf("%s uses no metric of ours", r.Alert)
		}
		for _, optional := range []string{"lanlord_speaker_announced{", "lanlord_speaker_announced)", "lanlord_service_address{", "lanlord_service_address)"} {
			if strings.Contains(r.Expr, optional) {
				t.Errorf("%s uses %s, which is not there by default", r.Alert, optional)
			}
		}
	}
}

func TestDashboard(t *testing.T) {
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	metrics, ids, expressions := golden(t), map[int]bool{}, 0
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: the number or the title is not its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			expressions++
			for _, match := range inExpression.FindAllStringSubmatch(target.Expr, -1) {
				if !strings.Contains(match[2], `cluster=~"$cluster",namespace=~"$namespace"`) {
					t.Errorf("panel %q shows %s of clusters and namespaces that are not selected", p.Title, match[1])
				}
			}
			// The name of a pool, of a peer or of a Pod is not unique among clusters, and a number of one cluster says nothing of another.
			if mixed := regexp.MustCompile(`(by|on) \((le, )?(pool|peer|pod|instance)|\) - sum\(`).FindString(target.Expr); mixed != "" {
				t.Errorf("panel %q mixes clusters: %s", p.Title, target.Expr)
			}
			if checkExpression(t, "panel "+p.Title, target.Expr, metrics) == 0 {
				t.Errorf("panel %q uses no metric of ours: %s", p.Title, target.Expr)
			}
		}
	}
	if expressions < 20 || len(dashboard.Templating.List) != 3 {
		t.Errorf("%d expressions, %d variables", expressions, len(dashboard.Templating.List))
	}
}

// TestMetricsAreDocumented holds the table of docs/metrics.md to the golden files.
func TestMetricsAreDocumented(t *testing.T) {
	metrics := golden(t)
	const start = "<!-- all metrics -->\n"
	doc := read(t, "../../docs/metrics.md")
	before, rest, ok := strings.Cut(doc, start)
	table, after, end := strings.Cut(rest, start)
	if !ok || !end {
		t.Fatalf("docs/metrics.md has no table between two lines %q", start)
	}
	want := "| metric | kind | labels | of | |\n|---|---|---|---|---|\n"
	names := []string{}
	for name := range metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := metrics[name]
		of := strings.Join(m.binaries, ", ")
		if len(m.binaries) == 2 {
			of = "both"
		}
		want += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", name, m.kind, strings.Join(m.labels, ", "), of, m.help)
	}
	if *update {
		if err := os.WriteFile("../../docs/metrics.md", []byte(before+start+want+start+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("the table of docs/metrics.md is not what the binaries serve (-update writes it); want\n%s", want)
	}
	checkExpression(t, "docs/metrics.md", before+after, metrics)
}
