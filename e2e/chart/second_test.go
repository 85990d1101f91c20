package chart

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lanlord/lanlord/e2e/controlplane"
)

// TestSecondInstallation builds deploy/base and deploy/second: no object of the cluster is in both, and the speakers share no
// port.
func TestSecondInstallation(t *testing.T) {
	first, second := kustomized(t, "base"), kustomized(t, "second")
	if len(second) != len(first) {
		t.Errorf("the second installation has %d objects, and the first one %d", len(second), len(first))
	}
	for key, o := range second {
		if other, both := first[key]; both && o.GetNamespace() == other.GetNamespace() {
			t.Errorf("%s of %q is in both installations", key, o.GetNamespace())
		}
		for _, subject := range subjects(o) {
			if subject["namespace"] != "lanlord-second" {
				t.Errorf("%s is for the ServiceAccount %v", key, subject)
			}
		}
	}
	pod := as[appsv1.DaemonSet](t, second, "DaemonSet speaker").Spec.Template
	c := pod.Spec.Containers[0]
	args := strings.Join(c.Args, " ")
	for _, want := range []string{"--load-balancer-class=lanlord.io/second", "--listen=:7582", "--status-listen=127.0.0.1:7583", "--gossip-port=7960"} {
		if !strings.Contains(args, want) {
			t.Errorf("the speakers have no %s: %s", want, args)
		}
	}
	if c.ReadinessProbe.HTTPGet.Port.IntValue() != 7582 || c.LivenessProbe.HTTPGet.Port.IntValue() != 7582 || pod.Annotations["prometheus.io/port"] != "7582" {
		t.Errorf("the port of --listen is not everywhere: %+v, %v", c, pod.Annotations)
	}
}

func kustomized(t *testing.T, overlay string) map[string]unstructured.Unstructured {
	t.Helper()
	command := exec.CommandContext(t.Context(), "kubectl", "kustomize", filepath.Join(deploy, overlay))
	binaries, err := controlplane.Binaries()
	if err != nil {
		t.Fatal(err)
	}
	command.Path, command.Err = filepath.Join(binaries, "hyperkube"), nil
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, text)
}

func subjects(o unstructured.Unstructured) (all []map[string]any) {
	list, _, _ := unstructured.NestedSlice(o.Object, "subjects")
	for _, s := range list {
		if subject, is := s.(map[string]any); is {
			all = append(all, subject)
		}
	}
	return all
}
