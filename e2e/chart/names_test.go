package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestNames renders the chart with other names, and checks that the objects refer to each other.
func TestNames(t *testing.T) {
	for _, c := range []struct{ set, prefix string }{
		{"fullnameOverride=edge", "edge"},
		{"nameOverride=balancer", "lanlord-balancer"},
		{"nameOverride=lan", "lanlord"}, // a part of the name of the release
	} {
		all := render(t, "--set", c.set, "--set", "networkPolicy.enabled=true,controller.podDisruptionBudget.enabled=true,metrics.podMonitor.enabled=true")
		for _, key := range []string{
			"Deployment %-controller", "DaemonSet %-speaker", "ServiceAccount %-controller", "ServiceAccount %-speaker", "Role %-controller",
			"Role %-speaker", "Role %-viewer", "ClusterRole %-controller", "ClusterRole %-speaker", "ClusterRole %-viewer",
			"NetworkPolicy %-controller", "PodDisruptionBudget %-controller", "PodMonitor %", "Service lanlord-status", "Pod %-test",
		} {
			if key = strings.ReplaceAll(key, "%", c.prefix); all[key].Object == nil {
				t.Errorf("with %s there is no %s", c.set, key)
			}
		}
		checkSubjects(t, all, c.prefix+"-controller", c.prefix+"-speaker")
		speaker := as[appsv1.DaemonSet](t, all, "DaemonSet "+c.prefix+"-speaker").Spec
		if speaker.Template.Spec.ServiceAccountName != c.prefix+"-speaker" {
			t.Errorf("with %s the account is %s", c.set, speaker.Template.Spec.ServiceAccountName)
		}
		for key, value := range speaker.Selector.MatchLabels {
			if speaker.Template.Labels[key] != value {
				t.Errorf("with %s the Pods lack the label %s=%s of the selector", c.set, key, value)
			}
		}
		if speaker.Selector.MatchLabels["app.kubernetes.io/instance"] != "lanlord" || speaker.Template.Labels["app.kubernetes.io/name"] != "lanlord" {
			t.Errorf("with %s the selector is %v", c.set, speaker.Selector.MatchLabels)
		}
	}
	all := render(t, "--set", "selectorWithInstance=false")
	if s := as[appsv1.DaemonSet](t, all, "DaemonSet speaker").Spec.Selector; len(s.MatchLabels) != 2 {
		t.Errorf("without the instance the selector is %v", s.MatchLabels)
	}
	off := as[appsv1.DaemonSet](t, render(t, "--set", "statusPage.enabled=false"), "DaemonSet speaker").Spec.Template.Spec.Containers[0]
	if !slices.Contains(off.Args, "--status-listen=") {
		t.Errorf("without the page the speaker has the arguments %v", off.Args)
	}
	pod := as[corev1.Pod](t, render(t, "--set", "metrics.port=9999"), testPod)
	if pod.Annotations["helm.sh/hook"] != "test" || pod.Spec.Containers[0].Args[1] != "http://lanlord-status.lanlord-system.svc:9999/installed" {
		t.Errorf("helm test runs %+v", pod.Spec.Containers[0])
	}
}

// TestInlineExample accepts the example of the configuration, which has every key, under config.inline.
func TestInlineExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := as[corev1.ConfigMap](t, objects(t, text), "ConfigMap config").Data["config"]
	var document map[string]any
	if err := yaml.Unmarshal([]byte(config), &document); err != nil {
		t.Fatal(err)
	}
	values, err := yaml.Marshal(map[string]any{"config": map[string]any{"inline": document}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, values, 0o600); err != nil {
		t.Fatal(err)
	}
	render(t, "-f", file)
}

// TestInlineKeys compares the keys in the schema of config.inline with the keys that the programs read.
func TestInlineKeys(t *testing.T) {
	var read []string
	for _, name := range []string{"raw.go", "rawbgp.go", "preferred.go"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "pkg", "config", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`\{"([a-z0-9-]+)", (?:r\.|list\(|func\()`).FindAllStringSubmatch(string(text), -1) {
			read = append(read, match[1])
		}
	}
	text, err := os.ReadFile(filepath.Join(deploy, "helm", "lanlord", "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Definitions map[string]struct {
			Properties map[string]any
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, name := range []string{
		"configuration", "allocation", "layer2", "bgpSettings", "pool", "selector", "expression", "preference", "quota", "advertisement", "peer", "bfdProfile",
	} {
		for key := range schema.Definitions[name].Properties {
			allowed = append(allowed, key)
		}
	}
	slices.Sort(read)
	slices.Sort(allowed)
	if read, allowed = slices.Compact(read), slices.Compact(allowed); len(read) < 40 || !slices.Equal(read, allowed) {
		t.Errorf("pkg/config reads\n%q\nand the schema of config.inline allows\n%q", read, allowed)
	}
}
