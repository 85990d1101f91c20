package distribution

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	manifest  = "../../deploy/install.yaml"
	chart     = "../../deploy/helm/lanlord"
	namespace = "lanlord-system"
)

// helms are the major versions of Helm that users have.
var helms = []string{"3", "4"}

// TestServerSideApply applies the manifest with kubectl apply --server-side: on a new cluster, again, and after a change
// by another manager.
func TestServerSideApply(t *testing.T) {
	s := startServer(t)
	apply := []string{"apply", "--server-side", "-f", manifest}
	if out := s.must(apply...); strings.Contains(strings.ToLower(out), "warning") || strings.Count(out, "serverside-applied") < 10 {
		t.Errorf("the first apply says:\n%s", out)
	}
	version := func() string {
		return s.must("get", "-n", namespace, "daemonset,deployment,role,rolebinding,serviceaccount", "-o",
			"jsonpath={.items[*].metadata.resourceVersion}")
	}
	before := version()
	s.must(apply...)
	if after := version(); after != before {
		t.Errorf("the second apply changes objects: %s, before %s", after, before)
	}
	// A field that only the user sets stays. A field that differs from the manifest causes a conflict that names the field.
	s.must("-n", namespace, "annotate", "daemonset", "speaker", "example.org/note=kept")
	s.must("-n", namespace, "set", "image", "daemonset/speaker", "speaker=registry.example/lanlord:v1")
	_, err := s.Kubectl(apply...)
	if err == nil || !strings.Contains(err.Error(), "image") || !strings.Contains(err.Error(), "--force-conflicts") {
		t.Errorf("the conflict says: %v", err)
	}
	s.must(append(apply, "--force-conflicts")...)
	got := s.must("-n", namespace, "get", "daemonset", "speaker", "-o",
		"jsonpath={.metadata.annotations.example\\.org/note} {.spec.template.spec.containers[0].image}")
	if got != "kept lanlord/lanlord:dev" {
		t.Errorf("after --force-conflicts the DaemonSet has %q", got)
	}
}

// TestServerSideApplyAfterApply goes over from kubectl apply to kubectl apply --server-side, without a conflict.
func TestServerSideApplyAfterApply(t *testing.T) {
	s := startServer(t)
	s.must("apply", "-f", manifest)
	out := s.must("apply", "--server-side", "-f", manifest)
	if strings.Contains(strings.ToLower(out), "conflict") || strings.Count(out, "serverside-applied") < 10 {
		t.Errorf("the apply after kubectl apply says:\n%s", out)
	}
}

// helm runs one of the Helms as administrator.
func (s *server) helm(major string, args ...string) (string, error) {
	command := exec.CommandContext(s.t.Context(), "../helm.sh", append(args, "--kubeconfig", s.Kubeconfig("admin"))...)
	command.Env = append(os.Environ(), "LANLORD_HELM="+major)
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("helm %s %v: %w: %s", major, args, err, out)
	}
	return string(out), nil
}

// TestHelms installs, upgrades and removes a release with each Helm, into a Namespace that the chart labels for Pod Security
// admission, and with the bindings for OpenShift. The API server then admits the speaker's Pod.
func TestHelms(t *testing.T) {
	values := filepath.Join(t.TempDir(), "values.yaml")
	const text = "namespace: {create: true}\nopenshift: {enabled: true}\nconfig:\n  inline:\n    address-pools:\n" +
		"    - {name: default, protocol: layer2, addresses: [192.168.1.240-192.168.1.250]}\n"
	if err := os.WriteFile(values, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, major := range helms {
		t.Run("Helm "+major, func(t *testing.T) {
			s := startServer(t)
			run := func(args ...string) {
				t.Helper()
				if _, err := s.helm(major, append(args, "--namespace", namespace)...); err != nil {
					t.Fatal(err)
				}
			}
			install := []string{"install", "lanlord", chart, "--take-ownership", "-f", values}
			if major == "3" { // Helm 3 looks for what exists before it makes the Namespace
				s.must("create", "namespace", namespace)
			} else {
				install = append(install, "--create-namespace")
			}
			run(install...)
			labels := s.must("get", "namespace", namespace, "-o", "jsonpath={.metadata.labels}")
			if !strings.Contains(labels, `"pod-security.kubernetes.io/enforce":"privileged"`) {
				t.Errorf("the Namespace has the labels %s", labels)
			}
			s.admits(namespace)
			s.must("-n", namespace, "get", "rolebinding", "lanlord-speaker-scc", "lanlord-controller-scc")
			run("upgrade", "lanlord", chart, "-f", values, "--set", "logLevel=debug")
			if args := s.must("-n", namespace, "get", "daemonset", "speaker", "-o", "jsonpath={..args}"); !strings.Contains(args, "debug") {
				t.Errorf("after the upgrade the speaker has the arguments %s", args)
			}
			run("uninstall", "lanlord")
			if left := s.must("get", "clusterrole", "-o", "name"); strings.Contains(left, "lanlord") {
				t.Errorf("helm uninstall leaves %s", left)
			}
			s.must("get", "namespace", namespace)
		})
	}
}

// admits has the API server decide about the speaker's Pod in a namespace, and in another one that has the level baseline.
func (s *server) admits(namespace string) {
	s.t.Helper()
	s.must("create", "namespace", "strict")
	s.must("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=baseline")
	s.must("-n", "strict", "create", "serviceaccount", "speaker")
	template := s.must("-n", namespace, "get", "daemonset", "speaker", "-o", "jsonpath={.spec.template.spec}")
	for _, ns := range []string{namespace, "strict"} {
		file := filepath.Join(s.Dir, ns+".json")
		pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"try","namespace":%q},"spec":%s}`, ns, template)
		if err := os.WriteFile(file, []byte(pod), 0o600); err != nil {
			s.t.Fatal(err)
		}
		_, err := s.Kubectl("create", "--dry-run=server", "-f", file)
		if refused := err != nil && strings.Contains(err.Error(), "violates PodSecurity"); refused != (ns == "strict") {
			s.t.Errorf("the speaker's Pod in the namespace %s: %v", ns, err)
		}
	}
}

// TestReleases upgrades a release whose workloads have the selectors of an older chart, and refuses a second release whose
// speakers would share the ports of the nodes.
func TestReleases(t *testing.T) {
	for _, major := range helms {
		t.Run("Helm "+major, func(t *testing.T) {
			s := startServer(t)
			run := func(namespace string, args ...string) error {
				_, err := s.helm(major, append(args, "--namespace", namespace)...)
				return err
			}
			if err := run(namespace, "install", "lanlord", chart, "--create-namespace", "--set", "selectorWithInstance=false"); err != nil {
				t.Fatal(err)
			}
			if err := run(namespace, "upgrade", "lanlord", chart, "--set", "selectorWithInstance=true,logLevel=debug"); err != nil {
				t.Fatalf("the upgrade of a release of an older chart: %v", err)
			}
			selector := []string{"get", "daemonset", "-o", "jsonpath={.items[*].spec.selector.matchLabels}", "-n"}
			if got := s.must(append(selector, namespace)...); strings.Contains(got, "instance") {
				t.Errorf("after the upgrade the selector is %s", got)
			}
			second := []string{"install", "second", chart, "--create-namespace", "--set", "fullnameOverride=second"}
			for _, port := range []string{"metrics.port=7582", "gossip.port=7951", "statusPage.port=7583"} {
				name, _, _ := strings.Cut(port, "=")
				if err := run("other", second...); err == nil || !strings.Contains(err.Error(), "set "+name+" to another port") {
					t.Errorf("a second release without %s: %v", port, err)
				}
				second = append(second, "--set", port)
			}
			if err := run("other", second...); err != nil {
				t.Fatal(err)
			}
			if got := s.must(append(selector, "other")...); !strings.Contains(got, `"app.kubernetes.io/instance":"second"`) {
				t.Errorf("the selector of the second release is %s", got)
			}
			if err := run("other", "upgrade", "second", chart, "--reuse-values", "--set", "logLevel=debug"); err != nil {
				t.Errorf("the upgrade of the second release: %v", err)
			}
			if err := run("other", "install", "third", chart, "--set", "fullnameOverride=second,checkPorts=false"); err == nil ||
				!strings.Contains(err.Error(), "belongs to the release second") {
				t.Errorf("a third release with the names of the second: %v", err)
			}
		})
	}
}
