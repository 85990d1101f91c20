package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

const (
	standardNamespace = "lanlord-system"
	standardManifest  = "../deploy/install.yaml"
	chart             = "../deploy/helm/lanlord"
	previousImage     = "lanlord-e2e/lanlord:previous"
)

// TestUpgrade installs the previous commit and upgrades it to this one under load, which loses nothing. Then it uninstalls, which
// leaves nothing behind.
func TestUpgrade(t *testing.T) {
	previous := previousManifest(t)
	l := lab.Open(t)
	before := inventory(l)
	in, addr := installed(t, l, func() { l.MustKubectl("apply", "-f", previous) }, func() {
		l.MustKubectl("delete", "--ignore-not-found", "-f", standardManifest)
	})
	load := in.startLoad([]netip.Addr{addr})
	in.MustKubectl("apply", "-f", standardManifest)
	in.rolledOutIn(standardNamespace)
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
	in.MustKubectl("delete", "-f", standardManifest)
	in.checkUninstalled(addr)
	in.checkInventory(before)
}

// TestHelm installs, upgrades and uninstalls the chart.
func TestHelm(t *testing.T) {
	l := lab.Open(t)
	before := inventory(l)
	addr := l.FreeAddresses(lab.IPv4, 1)[0]
	values := filepath.Join(t.TempDir(), "values.yaml")
	// Another test may have left its installation on the cluster, so the chart does not look for one.
	if err := os.WriteFile(values, fmt.Appendf(nil, "checkPorts: false\nconfig:\n  inline:\n    address-pools:\n    - {name: a, protocol: layer2, addresses: [%s]}\n", addr), 0o600); err != nil {
		t.Fatal(err)
	}
	helm := func(args ...string) {
		t.Helper()
		command(t, "./helm.sh", append(args, "--kubeconfig", l.Kubeconfig(), "--namespace", standardNamespace)...)
	}
	in, addr := installed(t, l, func() { helm("install", "lanlord", chart, "--create-namespace", "-f", values) }, func() {
		l.MustKubectl("delete", "--ignore-not-found", "namespace", standardNamespace)
		l.MustKubectl("delete", "--ignore-not-found", "clusterrole,clusterrolebinding", "-l", "app=lanlord")
	}, addr)
	helm("test", "lanlord", "--logs")
	load := in.startLoad([]netip.Addr{addr})
	helm("upgrade", "lanlord", chart, "-f", values, "--set", "logLevel=debug", "--set", "networkPolicy.enabled=true", "--set", "helmTest.patience=3s")
	in.rolledOutIn(standardNamespace)
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
	in.helmTestFails()
	helm("uninstall", "lanlord", "--wait")
	in.checkUninstalled(addr)
	left := in.MustKubectl("-n", standardNamespace, "get", "deployments,daemonsets,roles,rolebindings,secrets,leases", "-o", "name")
	if want := "secret/lanlord-gossip\nsecret/lanlord-viewer\nlease.coordination.k8s.io/lanlord-controller\n"; left != want {
		t.Errorf("Helm leaves\n%swant\n%s", left, want)
	}
	in.MustKubectl("delete", "namespace", standardNamespace)
	in.checkInventory(before)
}

// helmTestFails gives the speakers a wrong flag, and then takes the controller away: helm test fails each time, and names the
// fault.
func (in *installation) helmTestFails() {
	in.t.Helper()
	test := func(want string) {
		in.t.Helper()
		out, err := exec.CommandContext(in.t.Context(), "./helm.sh", "test", "lanlord", "--logs", "--kubeconfig", in.Kubeconfig(),
			"--namespace", standardNamespace).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			in.t.Errorf("helm test ends with %v, and does not say %q:\n%s", err, want, out)
		}
	}
	in.MustKubectl("-n", standardNamespace, "patch", "daemonset", "speaker", "--type=json", "-p",
		`[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--no-such-flag"}]`)
	in.WaitFor("a speaker that does not start", patience, in.restartedSpeaker)
	test("is not ready: ")
	in.MustKubectl("-n", standardNamespace, "rollout", "undo", "daemonset/speaker")
	in.MustKubectl("-n", standardNamespace, "scale", "deployment/controller", "--replicas=0")
	in.MustKubectl("-n", standardNamespace, "wait", "pod", "-l", "component=controller", "--for=delete", "--timeout=60s")
	test("/installed\": ")
	in.MustKubectl("-n", standardNamespace, "scale", "deployment/controller", "--replicas=1")
	in.rolledOutIn(standardNamespace)
}

// restartedSpeaker returns nil if the container of a speaker has ended.
func (in *installation) restartedSpeaker(ctx context.Context) error {
	list, err := in.Clientset.CoreV1().Pods(standardNamespace).List(ctx, metav1.ListOptions{LabelSelector: "component=speaker"})
	if err != nil {
		return err
	}
	for _, pod := range list.Items {
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Terminated != nil || c.LastTerminationState.Terminated != nil {
				return nil
			}
		}
	}
	return errors.New("the containers of all speakers run")
}

// installed installs Lanlord and exposes a Deployment with one address.
func installed(t *testing.T, l *lab.Lab, install, uninstall func(), given ...netip.Addr) (*installation, netip.Addr) {
	t.Helper()
	in := &installation{Lab: l, t: t}
	in.namespace = l.Namespace()
	t.Cleanup(uninstall)
	install()
	var addr netip.Addr
	if len(given) > 0 {
		addr = given[0]
	} else {
		addr = l.FreeAddresses(lab.IPv4, 1)[0]
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(pool(addr)), 0o600); err != nil {
			t.Fatal(err)
		}
		l.MustKubectl("-n", standardNamespace, "create", "configmap", "config", "--from-file=config="+file)
	}
	in.rolledOutIn(standardNamespace)
	in.Deploy(in.namespace, "web", 2)
	in.expose("web", "web", withEcho(nil))
	in.waitForAddresses("web", addr)
	in.owner(addr)
	in.meetAllPods(addr, "web")
	return in, addr
}

// checkUninstalled fails the test unless nobody answers for the address any more, and the Service still shows it: nobody is
// there to take it out of its status.
func (in *installation) checkUninstalled(addr netip.Addr) {
	in.t.Helper()
	in.nobodyAnswers(addr)
	in.waitForAddresses("web", addr)
	in.MustKubectl("delete", "namespace", in.namespace)
	in.MustKubectl("create", "namespace", in.namespace) // for the test's end
}

// previousManifest builds the commit before this one, brings its image to the nodes, and returns its manifest.
func previousManifest(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	archive := command(t, "git", "-C", "..", "archive", "HEAD~1")
	if err := os.WriteFile(filepath.Join(dir, "commit.tar"), []byte(archive), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "tar", "-C", dir, "-xf", filepath.Join(dir, "commit.tar"))
	command(t, "env", "CGO_ENABLED=0", "go", "build", "-C", dir, "-trimpath", "-buildvcs=false", "-o", "image/", "./cmd/controller", "./cmd/speaker")
	if err := os.WriteFile(filepath.Join(dir, "image", "Dockerfile"), []byte("FROM scratch\nCOPY controller speaker /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "docker", "build", "-q", "-t", previousImage, filepath.Join(dir, "image"))
	command(t, "./cluster.sh", "load", previousImage)
	text, err := os.ReadFile(filepath.Join(dir, "deploy", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "previous.yaml")
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("image: lanlord/lanlord:dev"), []byte("image: "+previousImage)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rolledOutIn waits until the Deployment and the DaemonSet of a namespace have their new pods, and no others.
func (in *installation) rolledOutIn(namespace string) {
	in.t.Helper()
	began := time.Now()
	in.MustKubectl("-n", namespace, "rollout", "status", "deployment/controller", "--timeout=180s")
	in.MustKubectl("-n", namespace, "rollout", "status", "daemonset/speaker", "--timeout=180s")
	in.t.Logf("rolled out after %v", time.Since(began).Round(100*time.Millisecond))
}

// inventory is all that the API server has, but what comes and goes by itself.
func inventory(l *lab.Lab) []string {
	kinds := strings.Fields(l.MustKubectl("api-resources", "--verbs=list", "-o", "name"))
	kinds = slices.DeleteFunc(kinds, func(kind string) bool {
		return slices.Contains([]string{"events", "events.events.k8s.io", "pods", "endpoints", "endpointslices.discovery.k8s.io", "componentstatuses"}, kind)
	})
	lines := l.MustKubectl("get", strings.Join(kinds, ","), "--all-namespaces", "--ignore-not-found",
		"-o", `jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
	return strings.Split(strings.TrimSpace(lines), "\n")
}

// checkInventory fails the test if there is more than before.
func (in *installation) checkInventory(before []string) {
	in.t.Helper()
	in.WaitFor("the cluster to be as before", patience, func(ctx context.Context) error {
		var more []string
		for _, line := range inventory(in.Lab) {
			if !slices.Contains(before, line) && !strings.Contains(line, in.namespace) {
				more = append(more, line)
			}
		}
		if len(more) > 0 {
			return errors.New("left behind: " + strings.Join(more, ", "))
		}
		return nil
	})
}
