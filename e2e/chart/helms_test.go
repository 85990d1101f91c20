package chart

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// majors are the major versions of Helm that users have. The other tests of this package use Helm 4.
var majors = []string{"3", "4"}

// TestHelmsAgree has Helm 3 and Helm 4 render the same objects, and refuse the same values.
func TestHelmsAgree(t *testing.T) {
	directory := filepath.Join(deploy, "helm", "lanlord")
	for _, flags := range [][]string{
		nil,
		{"-f", "testdata/values.yaml"},
		{"--set", "namespace.create=true,openshift.enabled=true,networkPolicy.enabled=true"},
		{"--kube-version", "1.28.0"},
		{"--kube-version", "1.37.2"},
	} {
		t.Setenv("LANLORD_HELM", "3")
		three := render(t, flags...)
		t.Setenv("LANLORD_HELM", "4")
		four := render(t, flags...)
		if !reflect.DeepEqual(three, four) {
			t.Errorf("with %v Helm 3 makes %d objects and Helm 4 %d, and they differ", flags, len(three), len(four))
		}
	}
	for _, major := range majors {
		t.Setenv("LANLORD_HELM", major)
		if _, err := helm(t, "template", "lanlord", directory, "--set", "openshift.enable=true"); err == nil ||
			!strings.Contains(err.Error(), "openshift") {
			t.Errorf("Helm %s: a value that does not exist: %v", major, err)
		}
		if out, err := helm(t, "lint", "--strict", directory); err != nil {
			t.Errorf("Helm %s: %v\n%s", major, err, out)
		}
	}
}

// TestOpenShift wants no bindings by default, and otherwise one of each ServiceAccount to the role of an SCC.
func TestOpenShift(t *testing.T) {
	if all := render(t); strings.Contains(fmt.Sprint(all), "openshift") {
		t.Error("the defaults have something for OpenShift")
	}
	all := render(t, "--set", "openshift.enabled=true,speaker.serviceAccount.name=my-speaker")
	for key, want := range map[string][2]string{
		"RoleBinding lanlord-speaker-scc":    {"system:openshift:scc:privileged", "my-speaker"},
		"RoleBinding lanlord-controller-scc": {"system:openshift:scc:nonroot-v2", "controller"},
	} {
		b := as[rbacv1.RoleBinding](t, all, key)
		if b.RoleRef.Kind != "ClusterRole" || b.RoleRef.Name != want[0] || len(b.Subjects) != 1 ||
			b.Subjects[0].Name != want[1] || b.Subjects[0].Namespace != "lanlord-system" {
			t.Errorf("%s is %+v", key, b)
		}
	}
}

// TestNamespace wants the Namespace of deploy/base from the chart where asked for, and left in place by helm uninstall.
func TestNamespace(t *testing.T) {
	n := as[corev1.Namespace](t, render(t, "--set", "namespace.create=true"), "Namespace lanlord-system")
	want := example(t, "Namespace lanlord-system", "..", "base", "namespace.yaml")
	if !reflect.DeepEqual(n.Labels, want.GetLabels()) || n.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("the Namespace is %+v, want the labels %v", n.ObjectMeta, want.GetLabels())
	}
}
