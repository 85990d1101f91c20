package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/metallb"
)

// sideClass is what deploy/class serves.
const sideClass = "lanlord.io/lanlord"

// installMetalLB installs MetalLB v0.13.5 with its resources for the first two of four free addresses, and a Deployment
// web. manifest is the path of MetalLB's own manifest.
func installMetalLB(t *testing.T) (in *installation, manifest string, free []netip.Addr) {
	t.Helper()
	dir, _ := metalLB(t, "v0.13")
	l := lab.Open(t)
	manifest = manifestFor(t, metallb.NativeManifest(dir))
	free = l.FreeAddresses(lab.IPv4, 4)
	in = &installation{Lab: l, t: t}
	l.Apply("-f", manifest)
	in.rolledOut()
	in.applyResources(free[0], free[1])
	in.namespace = l.Namespace()
	in.Deploy(in.namespace, "web", 2)
	return in, manifest, free
}

// TestFromMetalLBResources follows docs/migrate-from-metallb.md with MetalLB v0.13.5 itself and its custom resources: first both
// side by side, each with its own class and pools, then Lanlord instead of it, and back.
func TestFromMetalLBResources(t *testing.T) {
	controller := filepath.Join(t.TempDir(), "controller")
	command(t, "go", "build", "-C", "..", "-o", controller, "./cmd/controller")
	in, manifest, free := installMetalLB(t)
	in.expose("web", "old", withEcho(nil))
	in.waitForAddresses("old", free[0])
	in.owner(free[0])
	in.meetAllPods(free[0], "web")

	t.Log("side by side")
	converted := filepath.Join(t.TempDir(), "config.yaml")
	const section = "## v0.13 and later"
	own := []string{"bin/controller", controller, "config.yaml", converted, "~/.kube/config", in.Kubeconfig(), "metallb-native.yaml", manifest}
	in.follow(migrationPage, section, 0, own...)
	bytes, err := os.ReadFile(converted)
	if err != nil {
		t.Fatal(err)
	}
	text := string(bytes)
	if !strings.Contains(text, "no-export: 65535:65281") {
		t.Errorf("the Community is not converted:\n%s", text)
	}
	writeFile(t, converted, strings.ReplaceAll(strings.ReplaceAll(text, free[0].String(), free[2].String()), free[1].String(), free[3].String()))
	t.Cleanup(func() { in.MustKubectl("delete", "--ignore-not-found", "-f", standardManifest) })
	in.follow(migrationPage, section, 2, own...)
	in.rolledOutIn(standardNamespace)
	load := in.startLoad(free[:1])
	in.expose("web", "new", func(s *corev1.Service) { s.Spec.LoadBalancerClass = new(sideClass) })
	in.waitForAddresses("new", free[2])
	in.owner(free[2])
	in.meetAllPods(free[2], "web")
	in.expose("web", "mine", nil)
	in.waitForAddresses("mine", free[1])
	in.owner(free[1])
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
	in.MustKubectl("-n", in.namespace, "delete", "service", "new")

	t.Log("instead of it")
	writeFile(t, converted, text)
	in.follow(migrationPage, section, 1, own...)
	if said := command(t, controller, "--kubeconfig", in.Kubeconfig(), "--check-config", converted, "--against-cluster"); !strings.Contains(said, "No Service of the cluster would get another address") {
		t.Errorf("--check-config says:\n%s", said)
	}
	seen := in.followAddresses()
	load = in.startLoad(free[:2])
	in.follow(migrationPage, section, 3, own...)
	in.settled(free[:2])
	load.stop()
	load.checkDarkAtMost(darkest)
	seen.check("old", free[0])
	seen.check("mine", free[1])

	t.Log("back")
	seen = in.followAddresses()
	load = in.startLoad(free[:2])
	in.follow(migrationPage, section, 4, own...)
	in.settled(free[:2])
	load.stop()
	load.checkDarkAtMost(darkest)
	seen.check("old", free[0])
	seen.check("mine", free[1])
}

// applyResources gives MetalLB a pool, when its webhooks are ready.
func (in *installation) applyResources(from, to netip.Addr) {
	in.t.Helper()
	file := filepath.Join(in.t.TempDir(), "resources.yaml")
	writeFile(in.t, file, fmt.Sprintf(`apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: %[1]s}
spec:
  addresses: [%[2]s-%[3]s]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: %[1]s}
spec:
  ipAddressPools: [lan]
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: known, namespace: %[1]s}
spec: {communities: [{name: no-export, value: "65535:65281"}]}
`, systemNamespace, from, to))
	in.WaitFor("MetalLB's webhooks", patience, func(context.Context) error {
		_, err := in.Kubectl("apply", "-f", file)
		if err != nil {
			time.Sleep(time.Second)
		}
		return err
	})
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
