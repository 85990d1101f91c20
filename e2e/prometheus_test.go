package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/e2e/lab"
)

// The scrape is once a second, so that alerts take seconds.
const prometheusGlobal = `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
`

// byAnnotations is what a Prometheus has that scrapes the pods which ask for it by annotations.
const byAnnotations = `- job_name: pods
  file_sd_configs: [{files: [%s], refresh_interval: 2s}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true", action: keep}
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: (.+), target_label: __metrics_path__}
  - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]
    regex: ([^:]+)(?::\d+)?;(\d+)
    replacement: $1:$2
    target_label: __address__
  - {regex: __meta_kubernetes_pod_label_(.+), action: labelmap}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
`

// TestPrometheus has a real Prometheus scrape the pods, by their annotations and as the operator would by the PodMonitor, and the
// alerts of deploy/monitoring fire in the faults that they are for, and in none other.
func TestPrometheus(t *testing.T) {
	l := lab.Open(t)
	addrs := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, addrs...)
	in.deployBeside("web")
	in.expose("web", "web", nil)
	in.waitForAddresses("web", addrs[0])
	owner := in.owner(addrs[0])

	server := l.StartPrometheus(l.Nodes()[0])
	rules := map[string]string{"rules.yaml": shortened(t)}
	server.Run(prometheusGlobal+fmt.Sprintf(byAnnotations, server.Targets), rules)
	in.waitForTargets(server, "annotations")
	server.Run(prometheusGlobal+byPodMonitor(t, server.Targets), rules)
	in.waitForTargets(server, "the PodMonitor")
	in.checkMetricsOfAll()

	w := watcher{in, server}
	w.quietFor(10 * time.Second)
	fault := func(name string, body func(in *installation, w watcher)) {
		t.Run(name, func(t *testing.T) {
			sub := *in
			sub.Lab, sub.t = l.Sub(t), t
			body(&sub, watcher{&sub, server})
		})
	}
	fault("a ConfigMap that cannot be used", func(in *installation, w watcher) {
		in.configure("address-pools: [{name: a}]")
		w.waitFor("LanlordConfigStale")
		in.configure(pool(addrs...))
		w.waitFor()
	})
	fault("a full pool and a Service that waits", func(in *installation, w watcher) {
		in.expose("web", "second", nil)
		in.waitForAddresses("second", addrs[1])
		w.waitFor("LanlordPoolFull")
		in.expose("web", "third", nil)
		w.waitFor("LanlordPoolFull", "LanlordServiceWaiting")
		in.MustKubectl("-n", in.namespace, "delete", "service", "third", "second")
		w.waitFor()
	})
	fault("a speaker that hangs with its node", func(in *installation, w watcher) {
		in.Pause(owner)
		w.waitFor("LanlordSpeakerDown")
		in.Unpause(owner)
		w.waitFor()
	})
	fault("no controller", func(in *installation, w watcher) {
		in.MustKubectl("-n", systemNamespace, "scale", "deployment", "controller", "--replicas=0")
		w.waitFor("LanlordControllerDown")
		in.MustKubectl("-n", systemNamespace, "scale", "deployment", "controller", "--replicas=1")
		w.waitFor()
	})
	fault("a host that claims an address", func(in *installation, w watcher) {
		stranger := in.StartStranger()
		stranger.Take(addrs[0])
		stranger.Claim(addrs[0])
		w.waitFor("LanlordAddressConflict")
	})
}

// shortened returns the alerts with seconds in place of minutes. A node that comes back stays down for the alert for a while.
func shortened(t *testing.T) string {
	text, err := os.ReadFile("../deploy/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	short := regexp.MustCompile(`(?m)^( +for: ).*$`).ReplaceAllString(string(text), "${1}4s")
	return strings.NewReplacer("[15m:1m]", "[75s:5s]", "[1h]", "[5m]", "[5m]", "[20s]", "[2m]", "[8s]").Replace(short)
}

// byPodMonitor is what the operator makes of the PodMonitor.
func byPodMonitor(t *testing.T, targets string) string {
	text, err := os.ReadFile("../deploy/monitoring/podmonitor.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var monitor struct {
		Metadata struct{ Name string }
		Spec     struct {
			Selector            struct{ MatchLabels map[string]string }
			PodTargetLabels     []string
			PodMetricsEndpoints []struct {
				Path, Port  string
				Relabelings []struct {
					SourceLabels                            []string
					Regex, Replacement, TargetLabel, Action string
				}
			}
		}
	}
	if err := yaml.UnmarshalStrict([]byte(strings.NewReplacer("apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\n", "").Replace(
		dropLines(string(text), "  namespace:", "  labels:", "    interval:"))), &monitor); err != nil {
		t.Fatal(err)
	}
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	if endpoint.Port != "" {
		t.Fatal("the speakers declare no port, so that the PodMonitor must not ask for one")
	}
	relabelings := []map[string]any{
		{"source_labels": []string{"__meta_kubernetes_namespace"}, "regex": systemNamespace, "action": "keep"},
	}
	for _, name := range slices.Sorted(maps.Keys(monitor.Spec.Selector.MatchLabels)) {
		label := regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(name, "_")
		relabelings = append(relabelings, map[string]any{"action": "keep", "regex": "(" + monitor.Spec.Selector.MatchLabels[name] + ");true",
			"source_labels": []string{"__meta_kubernetes_pod_label_" + label, "__meta_kubernetes_pod_labelpresent_" + label}})
	}
	relabelings = append(relabelings, map[string]any{"action": "drop", "source_labels": []string{"__meta_kubernetes_pod_phase"}, "regex": "(Failed|Succeeded)"})
	for from, to := range map[string]string{"namespace": "namespace", "pod_container_name": "container", "pod_name": "pod"} {
		relabelings = append(relabelings, map[string]any{"source_labels": []string{"__meta_kubernetes_" + from}, "target_label": to})
	}
	for _, name := range monitor.Spec.PodTargetLabels {
		label := regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(name, "_")
		relabelings = append(relabelings, map[string]any{"source_labels": []string{"__meta_kubernetes_pod_label_" + label}, "target_label": label, "regex": "(.+)"})
	}
	relabelings = append(relabelings, map[string]any{"target_label": "job", "replacement": systemNamespace + "/" + monitor.Metadata.Name})
	for _, r := range endpoint.Relabelings {
		relabeling := map[string]any{"source_labels": r.SourceLabels, "target_label": r.TargetLabel}
		for key, value := range map[string]string{"regex": r.Regex, "replacement": r.Replacement, "action": r.Action} {
			if value != "" {
				relabeling[key] = value
			}
		}
		relabelings = append(relabelings, relabeling)
	}
	job, err := yaml.Marshal([]map[string]any{{
		"job_name":        "podMonitor/" + systemNamespace + "/" + monitor.Metadata.Name + "/0",
		"file_sd_configs": []map[string]any{{"files": []string{targets}, "refresh_interval": "2s"}},
		"metrics_path":    endpoint.Path, "relabel_configs": relabelings,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(job)
}

// dropLines leaves out the lines that begin with one of the prefixes.
func dropLines(text string, prefixes ...string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) }) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// waitForTargets waits until one controller and a speaker on each node are scraped, and nothing else.
func (in *installation) waitForTargets(server *lab.Prometheus, how string) {
	in.t.Helper()
	want := len(in.Nodes()) + 1
	took := in.WaitFor("all pods to be scraped", patience, func(ctx context.Context) error {
		targets, err := server.ActiveTargets(ctx)
		if err != nil {
			return err
		}
		up := 0
		for _, target := range targets {
			l := target.Labels
			if target.Health == "up" && l["namespace"] == systemNamespace && l["app_kubernetes_io_name"] == "lanlord" && l["component"] != "" {
				up++
			}
		}
		if up != want || len(targets) != want {
			return fmt.Errorf("%d of %d targets are up, want %d: %+v", up, len(targets), want, targets)
		}
		values, err := server.Query(ctx, `count(lanlord_build_info)`)
		if err == nil && !slices.Equal(values, []string{fmt.Sprint(want)}) {
			err = fmt.Errorf("%v processes tell of themselves, want %d", values, want)
		}
		return err
	})
	in.t.Logf("%d targets up by %s after %v", want, how, took.Round(100*time.Millisecond))
}

// checkMetricsOfAll has Prometheus' own linter read what both binaries serve.
func (in *installation) checkMetricsOfAll() {
	in.t.Helper()
	pods := in.Pods(systemNamespace, "component=controller")
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		pod, err := in.Clientset.CoreV1().Pods(systemNamespace).Get(in.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			in.t.Fatal(err)
		}
		in.lint("controller", netip.MustParseAddr(pod.Status.PodIP))
	}
	in.lint("speaker", in.Nodes()[0].IPv4)
}

func (in *installation) lint(binary string, addr netip.Addr) {
	in.t.Helper()
	text := in.ExecOnNode(in.Nodes()[0], "curl", "-sSf", "-g", "-m", "5", "http://"+netip.AddrPortFrom(addr, 7572).String()+"/metrics")
	command := exec.Command("promtool", "check", "metrics")
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		in.t.Errorf("promtool check metrics, %s: %v\n%s", binary, err, output)
	}
}

// watcher waits for alerts.
type watcher struct {
	*installation
	server *lab.Prometheus
}

func (w watcher) firing(ctx context.Context) ([]string, error) {
	alerts, err := w.server.Alerts(ctx)
	var names []string
	for _, a := range alerts {
		if a.State == "firing" && !slices.Contains(names, a.Labels["alertname"]) {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return names, err
}

// waitFor waits until exactly these alerts fire.
func (w watcher) waitFor(alerts ...string) {
	w.t.Helper()
	slices.Sort(alerts)
	took := w.WaitFor(fmt.Sprintf("alerts %v", alerts), patience, func(ctx context.Context) error {
		firing, err := w.firing(ctx)
		if err == nil && !slices.Equal(firing, alerts) {
			err = fmt.Errorf("these fire: %v", firing)
		}
		return err
	})
	w.t.Logf("alerts %v after %v", alerts, took.Round(100*time.Millisecond))
}

// quietFor fails if any alert fires meanwhile.
func (w watcher) quietFor(d time.Duration) {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < d; time.Sleep(time.Second) {
		if firing, err := w.firing(w.t.Context()); err != nil || len(firing) > 0 {
			w.t.Fatalf("these fire without a fault: %v, %v", firing, err)
		}
	}
}
