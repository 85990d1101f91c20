package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	deploy = "../../deploy"
	// testPod is the Pod of helm test, which only a chart has.
	testPod = "Pod lanlord-test"
)

// helm runs Helm and returns what it printed.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), "../helm.sh", args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// render returns the objects that the chart makes with these flags, by kind and name.
func render(t *testing.T, flags ...string) map[string]unstructured.Unstructured {
	t.Helper()
	text, err := helm(t, append([]string{"template", "lanlord", filepath.Join(deploy, "helm", "lanlord"), "--namespace", "lanlord-system"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, []byte(text))
}

// objects reads manifests.
func objects(t *testing.T, text []byte) map[string]unstructured.Unstructured {
	t.Helper()
	all := map[string]unstructured.Unstructured{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1<<16)
	for {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if o.Object == nil {
			continue
		}
		key := o.GetKind() + " " + o.GetName()
		if _, twice := all[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		all[key] = o
	}
}

// as converts one of the objects, which must be there.
func as[T any](t *testing.T, all map[string]unstructured.Unstructured, key string) T {
	t.Helper()
	var typed T
	o, ok := all[key]
	if !ok {
		t.Fatalf("there is no %s", key)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return typed
}

// TestDefaultsAreTheManifest compares, field by field, what the chart makes without values with deploy/install.yaml.
func TestDefaultsAreTheManifest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := objects(t, text), render(t)
	delete(want, "Namespace lanlord-system") // a release is installed into one that is there, or that Helm makes
	for key, o := range want {
		other, ok := got[key]
		if !ok {
			t.Errorf("the chart has no %s", key)
			continue
		}
		compare(t, key, o.Object, other.Object)
	}
	for key := range got {
		if _, ok := want[key]; !ok && key != testPod {
			t.Errorf("the chart has %s, and the manifest has not", key)
		}
	}
}

// TestMetalLBIsTheOverlay compares, field by field, what the chart makes for MetalLB's resources with deploy/metallb-crs.
func TestMetalLBIsTheOverlay(t *testing.T) {
	want, got := kustomized(t, "metallb-crs"), render(t, "--set", "configSource=metallb", "--set", "config.inline.address-pools=null")
	delete(want, "Namespace lanlord-system")
	for key, o := range want {
		if other, ok := got[key]; ok {
			compare(t, key, sorted(o.Object), sorted(other.Object))
		} else {
			t.Errorf("the chart has no %s", key)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok && key != testPod {
			t.Errorf("the chart has %s, and the overlay has not", key)
		}
	}
	all := render(t, "--set", "configSource=metallb", "--set", "metallb.namespace=lb", "--set-json", "metallb.passwordSecrets=[]")
	for _, key := range []string{"Deployment controller", "DaemonSet speaker"} {
		o := all[key]
		if text := fmt.Sprint(o.Object); !strings.Contains(text, "--config-source=metallb --config-namespace=lb") {
			t.Errorf("%s does not read the namespace lb: %s", key, text)
		}
	}
	for _, name := range []string{"controller", "speaker", "viewer"} {
		o := all["Role lanlord-metallb-"+name]
		if o.GetNamespace() != "lb" || strings.Contains(fmt.Sprint(o.Object), "secrets") {
			t.Errorf("the Role of the %s is %v", name, o.Object)
		}
	}
}

// sorted sorts the arguments of the containers of a workload: their order does not matter.
func sorted(object map[string]any) map[string]any {
	containers, found, err := unstructured.NestedSlice(object, "spec", "template", "spec", "containers")
	if err != nil || !found {
		return object
	}
	for _, c := range containers {
		if args, ok := c.(map[string]any)["args"].([]any); ok {
			slices.SortFunc(args, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
	if err := unstructured.SetNestedSlice(object, containers, "spec", "template", "spec", "containers"); err != nil {
		return object
	}
	return object
}

// TestNetworkPolicyIsTheManifest compares the chart's with deploy/networkpolicy.yaml.
func TestNetworkPolicyIsTheManifest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "networkpolicy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const key = "NetworkPolicy controller"
	want, got := objects(t, text)[key], render(t, "--set", "networkPolicy.enabled=true")[key]
	compare(t, key, want.Object, got.Object)
}

// TestGatewaysAreTheOverlay compares the rights that the chart gives for Gateways with those of deploy/gateways, and looks for the
// flag.
func TestGatewaysAreTheOverlay(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "gateways", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := render(t, "--set", "gateways=true")
	for key, o := range objects(t, text) {
		compare(t, key, o.Object, all[key].Object)
	}
	c := as[appsv1.Deployment](t, all, "Deployment controller").Spec.Template.Spec.Containers[0]
	if !slices.Contains(c.Args, "--gateways") {
		t.Errorf("the controller has no --gateways: %v", c.Args)
	}
}

// ofHelm reports whether a field is a label by which people find the objects of a release, or the instance in a selector.
func ofHelm(at, key string) bool {
	if key == "app.kubernetes.io/instance" && (strings.HasSuffix(at, ".matchLabels") || strings.HasSuffix(at, ".spec.selector") ||
		strings.HasSuffix(at, ".template.metadata.labels")) {
		return true
	}
	return strings.HasSuffix(at, ".metadata.labels") && !strings.Contains(at, "template") && slices.Contains([]string{
		"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart",
	}, key)
}

// compare reports each field in which two objects differ.
func compare(t *testing.T, at string, want, got any) {
	t.Helper()
	wantMap, isMap := want.(map[string]any)
	gotMap, alsoMap := got.(map[string]any)
	if isMap && alsoMap {
		for key := range wantMap {
			compare(t, at+"."+key, wantMap[key], gotMap[key])
		}
		for key := range gotMap {
			if _, ok := wantMap[key]; !ok && !ofHelm(at, key) {
				t.Errorf("%s.%s is %v in the chart alone", at, key, gotMap[key])
			}
		}
		return
	}
	wantList, isList := want.([]any)
	gotList, alsoList := got.([]any)
	if isList && alsoList && len(wantList) == len(gotList) {
		for i := range wantList {
			compare(t, fmt.Sprintf("%s[%d]", at, i), wantList[i], gotList[i])
		}
		return
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s is %v in the manifest, and %v in the chart", at, want, got)
	}
}

// TestValues changes every value, and looks for it where it is to take effect.
func TestValues(t *testing.T) {
	all := render(t, "-f", "testdata/values.yaml")
	deployment := as[appsv1.Deployment](t, all, "Deployment controller")
	daemonSet := as[appsv1.DaemonSet](t, all, "DaemonSet speaker")
	for name, spec := range map[string]corev1.PodSpec{"controller": deployment.Spec.Template.Spec, "speaker": daemonSet.Spec.Template.Spec} {
		c := spec.Containers[0]
		args := strings.Join(c.Args, " ")
		for _, flag := range []string{
			"--log-level=debug", "--log-format=json", "--config-map=pools", "--load-balancer-class=example.com/lanlord", "--listen=:9999", "--status-listen=127.0.0.1:9998", "--pprof",
		} {
			if !strings.Contains(args, flag) {
				t.Errorf("%s has no %s: %s", name, flag, args)
			}
		}
		if strings.Contains(args, "--gossip-port=7999") != (name == "speaker") {
			t.Errorf("the gossip port is the speaker's: %s has %s", name, args)
		}
		checks := map[string]bool{
			"image":          c.Image == "registry.example/lanlord:v1" && c.ImagePullPolicy == corev1.PullAlways,
			"pull secret":    len(spec.ImagePullSecrets) == 1 && spec.ImagePullSecrets[0].Name == "registry",
			"account":        spec.ServiceAccountName == "my-"+name,
			"priority class": spec.PriorityClassName == "important",
			"node selector":  reflect.DeepEqual(spec.NodeSelector, map[string]string{"role": "edge"}),
			"tolerations":    len(spec.Tolerations) == 1 && spec.Tolerations[0].Key == "edge",
			"affinity":       spec.Affinity != nil && spec.Affinity.NodeAffinity != nil,
			"resources":      c.Resources.Requests.Cpu().String() == "1" && len(c.Resources.Limits) == 0,
			"environment":    slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "GOGC" && e.Value == "50" }),
			"container": c.SecurityContext.SELinuxOptions != nil && c.SecurityContext.SELinuxOptions.Type == "spc_t" &&
				*c.SecurityContext.ReadOnlyRootFilesystem,
			"spread": len(spec.TopologySpreadConstraints) == 1 && spec.TopologySpreadConstraints[0].MaxSkew == 1,
		}
		for what, ok := range checks {
			if !ok {
				t.Errorf("%s: the %s is not as the values say: %+v", name, what, spec)
			}
		}
	}
	for name, template := range map[string]corev1.PodTemplateSpec{"controller": deployment.Spec.Template, "speaker": daemonSet.Spec.Template} {
		if template.Labels["team"] != "edge" || template.Labels["app"] != "lanlord" || template.Labels["helm.sh/chart"] != "" {
			t.Errorf("the Pods of the %s have the labels %v", name, template.Labels)
		}
	}
	if s := deployment.Spec; s.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || *s.RevisionHistoryLimit != 3 {
		t.Errorf("the Deployment has %+v and keeps %d revisions", s.Strategy, *s.RevisionHistoryLimit)
	}
	if s := daemonSet.Spec; s.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || *s.RevisionHistoryLimit != 3 {
		t.Errorf("the DaemonSet has %+v and keeps %d revisions", s.UpdateStrategy, *s.RevisionHistoryLimit)
	}
	for key, o := range all {
		if o.GetKind() != "PodMonitor" && (o.GetLabels()["cost-center"] != "42" || o.GetLabels()["app.kubernetes.io/instance"] != "lanlord") {
			t.Errorf("%s has the labels %v", key, o.GetLabels())
		}
	}
	for name, annotations := range map[string]map[string]string{
		"controller": deployment.Spec.Template.Annotations, "speaker": daemonSet.Spec.Template.Annotations,
	} {
		if want := map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9999", "note": "here"}; !reflect.DeepEqual(annotations, want) {
			t.Errorf("%s has the annotations %v, want %v", name, annotations, want)
		}
	}
	config := as[corev1.ConfigMap](t, all, "ConfigMap pools").Data["config"]
	for _, line := range []string{"  name: default", "  protocol: layer2", "  - 192.168.1.240-192.168.1.250"} {
		if !strings.Contains(config, line+"\n") {
			t.Errorf("the ConfigMap has no line %q:\n%s", line, config)
		}
	}
	if keys := as[corev1.Secret](t, all, "Secret lanlord-gossip").StringData; keys["key-1"] != "0123456789abcdef" {
		t.Errorf("the gossip Secret has %v", keys)
	}
	for _, key := range []string{"ClusterRole edge-controller", "ClusterRole edge-speaker", "PodMonitor lanlord"} {
		if _, ok := all[key]; !ok {
			t.Errorf("there is no %s", key)
		}
	}
	for _, key := range []string{"ServiceAccount my-controller", "ServiceAccount my-speaker"} {
		if _, ok := all[key]; ok {
			t.Errorf("there is a %s although it is not to be made", key)
		}
	}
	checkSubjects(t, all, "my-controller", "my-speaker")
	policy := as[networkingv1.NetworkPolicy](t, all, "NetworkPolicy controller")
	if port := policy.Spec.Ingress[0].Ports[0].Port; port.IntValue() != 9999 {
		t.Errorf("the NetworkPolicy lets in to port %v", port)
	}
	if ports := policy.Spec.Egress[0].Ports; len(ports) != 2 || ports[0].Port.IntValue() != 16443 || ports[1].Port.IntValue() != 9999 {
		t.Errorf("the NetworkPolicy lets out to %v", ports)
	}
	if service := as[corev1.Service](t, all, "Service lanlord-status"); service.Spec.Ports[0].Port != 9999 {
		t.Errorf("the Service of the status has %+v", service.Spec.Ports)
	}
	checkSecrets(t, as[rbacv1.Role](t, all, "Role lanlord-speaker"), []string{"lanlord-gossip", "tor-a", "tor-b"})
}

// checkSecrets fails the test unless a Role lets list and watch the Secrets of these names, and no others.
func checkSecrets(t *testing.T, role rbacv1.Role, want []string) {
	t.Helper()
	for _, rule := range role.Rules {
		if slices.Contains(rule.Resources, "secrets") && slices.Contains(rule.Verbs, "list") && !slices.Equal(rule.ResourceNames, want) {
			t.Errorf("the Role %s lets read the Secrets %q, want %q", role.Name, rule.ResourceNames, want)
		}
	}
}

// TestNoPasswordSecret makes a Role that lets the speakers read the keys of the gossip alone, and never all Secrets.
func TestNoPasswordSecret(t *testing.T) {
	all := render(t, "--set-json", "bgp.passwordSecrets=[]")
	checkSecrets(t, as[rbacv1.Role](t, all, "Role lanlord-speaker"), []string{"lanlord-gossip"})
}

// checkSubjects fails the test unless every binding is to an account of the release's namespace, and to the right name.
func checkSubjects(t *testing.T, all map[string]unstructured.Unstructured, accounts ...string) {
	t.Helper()
	found := 0
	for key, o := range all {
		subjects, _, err := unstructured.NestedSlice(o.Object, "subjects")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range subjects {
			subject := s.(map[string]any)
			name := fmt.Sprint(subject["name"])
			if subject["namespace"] != "lanlord-system" || !strings.HasSuffix(o.GetName(), strings.TrimPrefix(name, "my-")) {
				t.Errorf("%s binds %v", key, subject)
			}
			found++
		}
	}
	if found != 2*len(accounts) {
		t.Errorf("%d subjects, want two for each of %v", found, accounts)
	}
}

// TestWrongValues are refused, with the key that is wrong.
func TestWrongValues(t *testing.T) {
	for _, test := range []struct{ set, names string }{
		{"loglevel=debug", "loglevel"},
		{"logLevel=loud", "logLevel"},
		{"metrics.port=99999", "port"},
		{"gossip.keys.a=short", "keys"},
		{"speaker.image=x", "image"},
		{"bgp.passwordSecrets={Upper}", "passwordSecrets"},
		{"bgp.passwordSecrets={lanlord-gossip}", "passwordSecrets"},
		{"controller.extraArgs={pprof}", "extraArgs"},
		{"fullnameOverride=Edge", "fullnameOverride"},
		{"statusPage.port=0", "port"},
		{"config.inline.adress-pools=x", "adress-pools"},
		{"config.inline.layer2.rate=5", "rate"},
		{"config.inline.bgp.drains=1s", "drains"},
		{"config.inline.address-pools[0].name=a,config.inline.address-pools[0].addresses={10.0.0.0/24},config.inline.address-pools[0].protocol=l2", "protocol"},
		{"config.inline.address-pools[0].name=a", "addresses"},
		{"config.inline.peers[0].peer-asn=x", "peer-asn"},
	} {
		_, err := helm(t, "template", "lanlord", filepath.Join(deploy, "helm", "lanlord"), "--set", test.set)
		if err == nil || !strings.Contains(err.Error(), test.names) {
			t.Errorf("--set %s: %v, want an error that names %s", test.set, err, test.names)
		}
	}
}

// TestLint is Helm's own opinion.
func TestLint(t *testing.T) {
	if out, err := helm(t, "lint", "--strict", filepath.Join(deploy, "helm", "lanlord")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
