package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/lanlord/lanlord/e2e/metallb"
)

// TestMetalLBResourcesWhereTheyAre follows docs/migrate-from-metallb.md with MetalLB v0.13.5 itself, there and back:
// Lanlord reads MetalLB's resources where they are. Meanwhile the definitions are updated to those of v0.15 and v0.16,
// and resources come, go and are wrong. The Services keep their addresses all the time.
func TestMetalLBResourcesWhereTheyAre(t *testing.T) {
	in, manifest, free := installMetalLB(t)
	t.Cleanup(func() {
		in.MustKubectl("delete", "--ignore-not-found", "crd", "servicel2statuses.metallb.io", "servicebgpstatuses.metallb.io",
			"configurationstates.metallb.io")
	})
	in.expose("web", "first", withEcho(nil))
	in.waitForAddresses("first", free[0])
	in.expose("web", "second", withEcho(nil))
	in.waitForAddresses("second", free[1])
	in.meetAllPods(free[0], "web")
	const section = "## Its resources, where they are"
	t.Cleanup(func() { in.MustKubectl("delete", "--ignore-not-found", "-k", "../deploy/metallb-crs") })

	t.Log("from MetalLB to Lanlord")
	seen := in.followAddresses()
	load := in.startLoad(free[:2])
	in.follow(migrationPage, section, 1)
	in.settled(free[:2])
	load.stop()
	load.checkDarkAtMost(darkest)
	seen.check("first", free[0])
	seen.check("second", free[1])

	load = in.startLoad(free[:2])
	for i, version := range []string{"v0.15", "v0.16"} {
		t.Log("the definitions of", version)
		in.MustKubectl("apply", "-f", definitionsOf(t, version))
		name := fmt.Sprintf("more-%d", i)
		in.applyPool(name, free[2+i])
		in.expose("web", name, nil)
		in.waitForAddresses(name, free[2+i])
		in.owner(free[2+i])
	}
	t.Log("a resource that is wrong")
	in.applyPool("wrong", free[0])
	in.WaitFor("the Event on the resource", patience, func(ctx context.Context) error {
		list, err := in.Clientset.CoreV1().Events(systemNamespace).List(ctx,
			metav1.ListOptions{FieldSelector: "reason=ConfigRejected"})
		if err != nil {
			return err
		}
		for _, e := range list.Items {
			o := e.InvolvedObject
			if o.Kind == "IPAddressPool" && o.Name == "wrong" && strings.Contains(e.Message, "addresses[0]: ") {
				return nil
			}
		}
		return fmt.Errorf("there are %d Events", len(list.Items))
	})
	in.MustKubectl("-n", systemNamespace, "delete", "ipaddresspool", "wrong")
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()

	t.Log("from Lanlord back to MetalLB")
	seen = in.followAddresses()
	load = in.startLoad(free[:2])
	in.follow(migrationPage, section, 2, "metallb-native.yaml", manifest)
	in.settled(free[:2])
	load.stop()
	load.checkDarkAtMost(darkest)
	for i, name := range []string{"first", "second", "more-0", "more-1"} {
		seen.check(name, free[i])
	}
}

// applyPool applies an IPAddressPool with one address.
func (in *installation) applyPool(name string, addr netip.Addr) {
	in.t.Helper()
	file := filepath.Join(in.t.TempDir(), name+".yaml")
	writeFile(in.t, file, fmt.Sprintf("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: %s, namespace: %s}\n"+
		"spec: {addresses: [%s/32]}\n---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\n"+
		"metadata: {name: %s, namespace: %s}\nspec: {ipAddressPools: [%s]}\n", name, systemNamespace, addr, name, systemNamespace, name))
	in.MustKubectl("apply", "-f", file)
}

// definitionsOf writes the CustomResourceDefinitions of a version of MetalLB into a file.
func definitionsOf(t *testing.T, version string) string {
	t.Helper()
	folder, err := metallb.Folder(t.Context(), "metallb", version)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(metallb.NativeManifest(folder))
	if err != nil {
		t.Fatal(err)
	}
	var kept bytes.Buffer
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1<<16)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if object.GetKind() == "CustomResourceDefinition" {
			text, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&kept, "---\n%s\n", text)
		}
	}
	file := filepath.Join(t.TempDir(), version+".yaml")
	writeFile(t, file, kept.String())
	return file
}
