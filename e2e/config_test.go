package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanlord/lanlord/e2e/lab"
)

// TestBrokenConfigChangesNothing breaks the ConfigMap under traffic. The message is where the user looks, traffic goes on,
// and both binaries survive a restart with the broken ConfigMap without dropping what works.
func TestBrokenConfigChangesNothing(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, free...)
	in.Deploy(in.namespace, "web", 2)
	in.expose("web", "web", nil)
	in.waitForAddresses("web", free[0])
	in.owner(free[0])
	in.meetAllPods(free[0], "web")
	traffic := in.StartHTTP(load(free[0]))

	in.configure("address-pools:\n- name: nginx-ip-range\n  protocol: layer2\n  adresses:\n  - 172.30.0.99/33\n")
	in.waitForEvent(systemNamespace, "ConfigMap", "config", "ConfigRejected", "adresses", "line 4")
	in.configure(fmt.Sprintf("address-pools:\n- name: nginx-ip-range\n  protocol: layer2\n  addresses: [%s-%s]\n", free[1], free[0]))
	in.waitForEvent(systemNamespace, "ConfigMap", "config", "ConfigRejected", "nginx-ip-range", "reversed")
	in.expose("web", "second", nil)
	in.waitForAddresses("second", free[1]) // by the last good configuration
	if report := traffic.Stop(); report.Failed > 0 {
		t.Errorf("traffic was disturbed: %s %v", report, report.Errors)
	}

	in.MustKubectl("-n", systemNamespace, "rollout", "restart", "deployment/controller", "daemonset/speaker")
	in.MustKubectl("-n", systemNamespace, "rollout", "status", "daemonset/speaker", "--timeout=120s")
	in.waitForPods()
	for _, addr := range free {
		in.owner(addr)
		in.meetAllPods(addr, "web")
	}

	// The way back: the next good configuration is taken at once.
	in.MustKubectl("-n", in.namespace, "delete", "service", "second")
	in.configure(pool(free[0]))
	in.expose("web", "third", nil)
	in.waitForEvent(in.namespace, "Service", "third", "NoFreeAddress")
	in.waitForAddresses("web", free[0])
}

// TestChangedConfigWins moves the pool. Services get new addresses, and are told why.
func TestChangedConfigWins(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, free[0])
	in.Deploy(in.namespace, "web", 1)
	in.expose("web", "web", nil)
	in.waitForAddresses("web", free[0])
	in.owner(free[0])
	in.configure(pool(free[1]))
	in.waitForAddresses("web", free[1])
	in.waitForEvent(in.namespace, "Service", "web", "Withdrawn", free[0].String())
	in.owner(free[1])
	in.meetAllPods(free[1], "web")
	in.nobodyAnswers(free[0])
	// An empty document, as of a template that rendered to nothing, takes no address away.
	in.configure("")
	in.waitForEvent(systemNamespace, "ConfigMap", "config", "ConfigRejected", "withdraw the address of every Service")
	in.owner(free[1])
	in.waitForAddresses("web", free[1])
	in.configure("address-pools: []\nallocation: {withdraw-all: true}\n")
	in.waitForAddresses("web")
	in.nobodyAnswers(free[1])
}

// TestInstallManifest holds the rendered manifest to its source, and installs it as a user without kustomize does.
func TestInstallManifest(t *testing.T) {
	l := lab.Open(t)
	rendered := l.MustKubectl("kustomize", "../deploy/base")
	file := filepath.Join("..", "deploy", "install.yaml")
	if have, err := os.ReadFile(file); err != nil || string(have) != rendered {
		t.Errorf("%s is not what kubectl kustomize deploy/base prints (%v); run kubectl kustomize deploy/base > deploy/install.yaml", file, err)
	}
	l.Apply("-f", file)
	l.MustKubectl("apply", "-f", "../deploy/config.example.yaml")
	l.MustKubectl("-n", "lanlord-system", "rollout", "status", "deployment/controller", "--timeout=120s")
	l.MustKubectl("-n", "lanlord-system", "rollout", "status", "daemonset/speaker", "--timeout=120s")
}
