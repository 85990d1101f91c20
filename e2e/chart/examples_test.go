package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// repository holds the chart and the manifests for the examples.
const repository = "https://github.com/lanlord/lanlord"

// example returns the object of a file under deploy/examples.
func example(t *testing.T, key string, path ...string) unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{deploy, "examples"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := objects(t, text)[key]
	if !ok {
		t.Fatalf("%s has no %s", filepath.Join(path...), key)
	}
	return o
}

// field returns a string of an object, which must be there.
func field(t *testing.T, o unstructured.Unstructured, path ...string) string {
	t.Helper()
	text, ok, err := unstructured.NestedString(o.Object, path...)
	if !ok || err != nil {
		t.Fatalf("%s has no %s: %v", o.GetKind(), strings.Join(path, "."), err)
	}
	return text
}

// exists fails the test unless a file of the repository exists.
func exists(t *testing.T, path ...string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(append([]string{"../.."}, path...)...)); err != nil {
		t.Errorf("the example names a path that does not exist: %v", err)
	}
}

// rendered has both versions of Helm render the chart with the values of an example, and the controller check the
// configuration.
func rendered(t *testing.T, o unstructured.Unstructured, path ...string) {
	t.Helper()
	values, ok, err := unstructured.NestedMap(o.Object, path...)
	if !ok || err != nil {
		t.Fatalf("%s has no values: %v", o.GetKind(), err)
	}
	text, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, major := range majors {
		t.Setenv("LANLORD_HELM", major)
		all := render(t, "-f", file)
		config := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(config, []byte(as[corev1.ConfigMap](t, all, "ConfigMap config").Data["config"]), 0o600); err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), "go", "run", "./cmd/controller", "--check-config", config)
		check.Dir = "../.."
		if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), "default") {
			t.Errorf("Helm %s: the configuration of the example: %v\n%s", major, err, out)
		}
	}
}

// TestArgoCD reads the example for Argo CD, and renders the chart with the values in the example.
func TestArgoCD(t *testing.T) {
	o := example(t, "Application lanlord", "argocd", "application.yaml")
	if o.GetAPIVersion() != "argoproj.io/v1alpha1" || field(t, o, "spec", "source", "repoURL") != repository {
		t.Errorf("the Application is %v", o.Object)
	}
	exists(t, field(t, o, "spec", "source", "path"), "Chart.yaml")
	namespace := field(t, o, "spec", "destination", "namespace")
	enforces(t, o, "spec", "syncPolicy", "managedNamespaceMetadata", "labels")
	if namespace != "lanlord-system" {
		t.Errorf("the namespace is %s", namespace)
	}
	rendered(t, o, "spec", "source", "helm", "valuesObject")
}

// enforces fails the test unless labels make the Pod Security level privileged.
func enforces(t *testing.T, o unstructured.Unstructured, path ...string) {
	t.Helper()
	if level := field(t, o, append(path, "pod-security.kubernetes.io/enforce")...); level != "privileged" {
		t.Errorf("the namespace enforces the level %s", level)
	}
}

// TestFlux reads the examples for Flux, and renders the chart with the values in them.
func TestFlux(t *testing.T) {
	source := example(t, "GitRepository lanlord", "flux", "gitrepository.yaml")
	if field(t, source, "spec", "url") != repository {
		t.Errorf("the GitRepository is %v", source.Object)
	}
	release := example(t, "HelmRelease lanlord", "flux", "helmrelease.yaml")
	exists(t, field(t, release, "spec", "chart", "spec", "chart"), "Chart.yaml")
	plain := example(t, "Kustomization lanlord", "flux", "plain.yaml")
	exists(t, field(t, plain, "spec", "path"), "kustomization.yaml")
	for _, ref := range []string{
		field(t, release, "spec", "chart", "spec", "sourceRef", "name"), field(t, plain, "spec", "sourceRef", "name"),
	} {
		if ref != source.GetName() {
			t.Errorf("the source is %s, and the GitRepository is %s", ref, source.GetName())
		}
	}
	for _, o := range []unstructured.Unstructured{release, plain} {
		if o.GetNamespace() != source.GetNamespace() {
			t.Errorf("%s is in the namespace %s, and the GitRepository in %s", o.GetKind(), o.GetNamespace(), source.GetNamespace())
		}
	}
	namespace := example(t, "Namespace lanlord-system", "flux", "namespace.yaml")
	enforces(t, namespace, "metadata", "labels")
	for _, of := range []string{"targetNamespace", "storageNamespace"} {
		if field(t, release, "spec", of) != namespace.GetName() {
			t.Errorf("%s is %s", of, field(t, release, "spec", of))
		}
	}
	rendered(t, release, "spec", "values")
	listed := resourcesOf(t)
	for _, file := range []string{"namespace.yaml", "gitrepository.yaml", "helmrelease.yaml"} {
		if !strings.Contains(listed, file) {
			t.Errorf("kustomization.yaml lists %s, and not %s", listed, file)
		}
	}
}

// resourcesOf returns the resources of the kustomization.yaml of the examples for Flux, each of which must exist.
func resourcesOf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "examples", "flux", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var k struct{ Resources []string }
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	for _, file := range k.Resources {
		exists(t, "deploy", "examples", "flux", file)
	}
	return fmt.Sprint(k.Resources)
}

// TestPageExample renders the example that publishes the page. Only the login may reach the page, and the base must stay
// as it is.
func TestPageExample(t *testing.T) {
	command := exec.CommandContext(t.Context(), "kubectl", "kustomize", filepath.Join(deploy, "examples", "page"))
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, text)
	controller := as[appsv1.Deployment](t, all, "Deployment controller")
	containers := controller.Spec.Template.Spec.Containers
	if len(containers) != 2 || containers[0].Name != "controller" || containers[1].Name != "login" {
		t.Fatalf("the Pod has the containers %+v", containers)
	}
	for _, arg := range containers[0].Args {
		if strings.HasPrefix(arg, "--status-listen") {
			t.Errorf("the page leaves the loopback address: %s", arg)
		}
	}
	for _, want := range []string{"--upstream=http://127.0.0.1:7573/", "--pass-host-header=false"} {
		if !slices.Contains(containers[1].Args, want) {
			t.Errorf("the login lacks %s", want)
		}
	}
	for _, e := range containers[1].Env {
		if e.Value != "" || e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
			t.Errorf("%s does not come from a Secret", e.Name)
		}
	}
	service := as[corev1.Service](t, all, "Service lanlord-page")
	if len(service.Spec.Ports) != 1 || service.Spec.Ports[0].TargetPort.StrVal != "login" {
		t.Errorf("the Service leads to %+v", service.Spec.Ports)
	}
	for key, value := range service.Spec.Selector {
		if controller.Spec.Template.Labels[key] != value {
			t.Errorf("the Service selects %s=%s, and the Pod has %v", key, value, controller.Spec.Template.Labels)
		}
	}
	as[networkingv1.Ingress](t, all, "Ingress lanlord-page")
}
