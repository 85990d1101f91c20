package privilege

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/lanlord/lanlord/e2e/inside"
	"github.com/lanlord/lanlord/e2e/metallb"
)

const (
	definitionPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	groupPath      = "/apis/metallb.io/"
)

// definitions returns MetalLB's CustomResourceDefinitions as its own manifest has them, with the webhook that nobody
// serves.
func definitions(t *testing.T, version string) []unstructured.Unstructured {
	t.Helper()
	all, err := metallb.Definitions(inside.File(version + ".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 6 {
		t.Fatalf("MetalLB %s has %d CustomResourceDefinitions", version, len(all))
	}
	return all
}

// define applies MetalLB's CustomResourceDefinitions, and waits until the API server serves them.
func define(t *testing.T, client kubernetes.Interface, version string) {
	t.Helper()
	for _, d := range definitions(t, version) {
		text, err := json.Marshal(d.Object)
		if err != nil {
			t.Fatal(err)
		}
		if err := apply(t.Context(), restOf(client), definitionPath+"/"+d.GetName(), text); err != nil {
			t.Fatal(err)
		}
		plural, _, _ := strings.Cut(d.GetName(), ".")
		path := groupPath + "v1beta1/" + plural
		if plural == "bgppeers" {
			path = groupPath + "v1beta2/" + plural // the other version needs MetalLB's webhook
		}
		served := func() bool {
			_, err := restOf(client).Get().AbsPath(path).DoRaw(t.Context())
			return err == nil
		}
		if !await(t, served) {
			t.Fatalf("%s are not served", d.GetName())
		}
	}
}

// undefine deletes MetalLB's CustomResourceDefinitions, and waits until they are gone with their resources.
func undefine(t *testing.T, client kubernetes.Interface, version string) {
	t.Helper()
	for _, d := range definitions(t, version) {
		if err := restOf(client).Delete().AbsPath(definitionPath + "/" + d.GetName()).Do(t.Context()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range definitions(t, version) {
		gone := func() bool {
			err := restOf(client).Get().AbsPath(definitionPath + "/" + d.GetName()).Do(t.Context()).Error()
			return apierrors.IsNotFound(err)
		}
		if !await(t, gone) {
			t.Fatalf("%s are still there", d.GetName())
		}
	}
}

// plurals are the kinds of MetalLB's resources in paths.
var plurals = map[string]string{
	"IPAddressPool": "ipaddresspools", "L2Advertisement": "l2advertisements", "BGPAdvertisement": "bgpadvertisements",
	"BGPPeer": "bgppeers", "Community": "communities", "BFDProfile": "bfdprofiles", "AddressPool": "addresspools",
}

// customPath returns the path of a resource of MetalLB.
func customPath(o *unstructured.Unstructured, namespace string) string {
	return fmt.Sprintf("/apis/%s/namespaces/%s/%s/%s", o.GetAPIVersion(), namespace, plurals[o.GetKind()], o.GetName())
}

// applyCustom applies a resource of MetalLB.
func applyCustom(ctx context.Context, client kubernetes.Interface, namespace, text string) error {
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		return err
	}
	o.SetNamespace(namespace)
	body, err := json.Marshal(o.Object)
	if err != nil {
		return err
	}
	return apply(ctx, restOf(client), customPath(&o, namespace), body)
}

func apply(ctx context.Context, client rest.Interface, path string, body []byte) error {
	err := client.Patch(types.ApplyPatchType).AbsPath(path).Param("fieldManager", "test").Param("force", "true").Body(body).
		Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("apply %s: %w", path, err)
	}
	return nil
}

func restOf(client kubernetes.Interface) rest.Interface { return client.Discovery().RESTClient() }
