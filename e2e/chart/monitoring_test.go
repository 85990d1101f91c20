package chart

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestMonitoring compares the alerts and the dashboard of the chart with deploy/monitoring, and leaves out one alert.
func TestMonitoring(t *testing.T) {
	for _, name := range []string{"rules.yaml", "dashboard.json"} {
		want, err := os.ReadFile(filepath.Join(deploy, "monitoring", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(deploy, "helm", "lanlord", "files", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("files/%s of the chart is not deploy/monitoring/%s: copy the file", name, name)
		}
	}
	all := render(t, "--set", "metrics.prometheusRule.enabled=true", "--set", "metrics.prometheusRule.labels.team=edge",
		"--set", "metrics.prometheusRule.disabled={LanlordPoolFilling}", "--set", "metrics.dashboard.enabled=true")
	text, err := os.ReadFile(filepath.Join(deploy, "monitoring", "prometheusrule.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const key = "PrometheusRule lanlord"
	rule := all[key]
	if rule.GetLabels()["team"] != "edge" {
		t.Errorf("the PrometheusRule has the labels %v", rule.GetLabels())
	}
	want, got := alerts(t, objects(t, text)[key]), alerts(t, rule)
	if _, ok := want["LanlordPoolFilling"]; !ok || len(want) < 5 {
		t.Fatalf("deploy/monitoring has the alerts %v", want)
	}
	delete(want, "LanlordPoolFilling")
	compare(t, key, want, got)
	dashboard := as[corev1.ConfigMap](t, all, "ConfigMap lanlord-dashboard")
	file, err := os.ReadFile(filepath.Join(deploy, "monitoring", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	if dashboard.Labels["grafana_dashboard"] != "1" || strings.TrimSpace(dashboard.Data["lanlord.json"]) != strings.TrimSpace(string(file)) {
		t.Errorf("the dashboard has the labels %v and %d bytes", dashboard.Labels, len(dashboard.Data["lanlord.json"]))
	}
}

// alerts returns the rules of a PrometheusRule by the names of their alerts.
func alerts(t *testing.T, o unstructured.Unstructured) map[string]any {
	t.Helper()
	groups, _, err := unstructured.NestedSlice(o.Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, g := range groups {
		rules, _, err := unstructured.NestedSlice(g.(map[string]any), "rules")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			all[fmt.Sprint(r.(map[string]any)["alert"])] = r
		}
	}
	return all
}

// TestReadme checks that the page of the chart describes each value.
func TestReadme(t *testing.T) {
	dir := filepath.Join(deploy, "helm", "lanlord")
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	described := func(path string) bool { return bytes.Contains(page, []byte("\n| `"+path+"` | ")) }
	var missing func(path string, value any)
	missing = func(path string, value any) {
		if described(path) {
			return
		}
		fields, ok := value.(map[string]any)
		if !ok || len(fields) == 0 {
			t.Errorf("README.md of the chart does not describe %s", path)
		}
		for name, field := range fields {
			missing(path+"."+name, field)
		}
	}
	for name, value := range values {
		missing(name, value)
	}
}

// TestOptions makes the objects that are not made by default, and leaves out those that a cluster may forbid.
func TestOptions(t *testing.T) {
	all := render(t, "--set", "controller.podDisruptionBudget.enabled=true", "--set", "rbac.create=false",
		"--set", "speaker.serviceAccount.annotations.note=here", "--set", "metrics.podMonitor.enabled=true",
		"--set-json", `metrics.podMonitor.metricRelabelings=[{"action":"labeldrop","regex":"pod"}]`)
	if b := as[policyv1.PodDisruptionBudget](t, all, "PodDisruptionBudget controller"); b.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("the PodDisruptionBudget is %+v", b.Spec)
	}
	if a := as[corev1.ServiceAccount](t, all, "ServiceAccount speaker"); a.Annotations["note"] != "here" {
		t.Errorf("the ServiceAccount has the annotations %v", a.Annotations)
	}
	for key := range all {
		if strings.Contains(key, "Role") {
			t.Errorf("there is a %s although rbac.create is false", key)
		}
	}
	if text := fmt.Sprint(all["PodMonitor lanlord"].Object); !strings.Contains(text, "labeldrop") {
		t.Errorf("the PodMonitor is %s", text)
	}
	byDigest := "sha256:" + strings.Repeat("0a", 32)
	for tag, want := range map[string]string{"": "lanlord/lanlord@" + byDigest, "v2": "lanlord/lanlord:v2@" + byDigest} {
		text := fmt.Sprint(render(t, "--set", "image.digest="+byDigest, "--set", "image.tag="+tag)["DaemonSet speaker"].Object)
		if !strings.Contains(text, "image:"+want+" ") {
			t.Errorf("with the tag %q, the image is not %s: %s", tag, want, text)
		}
	}
}
