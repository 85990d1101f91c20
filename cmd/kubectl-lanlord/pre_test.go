package main

import (
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"
)

// mayCreate sets the rights of the user of a scenario to create objects.
func mayCreate(w *scenario, may func(resource string) bool) {
	w.client.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review, is := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		if is {
			review.Status.Allowed = may(review.Spec.ResourceAttributes.Resource)
		}
		return true, review, nil
	})
}

// TestDoctorPre checks a cluster with another program on a port of Lanlord, a network plugin, and a user who may not
// create ClusterRoles.
func TestDoctorPre(t *testing.T) {
	w := scenarioOf(t, "healthy")
	if discovery, is := w.client.Discovery().(*fakediscovery.FakeDiscovery); is {
		discovery.FakedServerVersion = &version.Info{Major: "1", Minor: "33+", GitVersion: "v1.33.2"}
	}
	mayCreate(w, func(resource string) bool { return resource != "clusterroles" })
	ctx, core := t.Context(), w.client.CoreV1()
	for _, node := range []string{"n2", "n1"} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "exporter-" + node, OwnerReferences: []metav1.OwnerReference{{Name: "exporter"}}},
			Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
				Name: "calico-node", Ports: []corev1.ContainerPort{{HostPort: 7572, ContainerPort: 80, Protocol: corev1.ProtocolTCP}, {ContainerPort: 7950}},
			}}},
		}
		if _, err := core.Pods("monitoring").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lanlord-system", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}}}
	if _, err := core.Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	text := w.run("doctor", "--pre")
	for _, want := range []string{
		"kubernetes     version v1.33.2", "REMARK     installed      Lanlord is in this cluster already, in lanlord-system", "network        Calico",
		"uses the port 7572 TCP on n1, n2, which Lanlord needs for metrics", "enforces the Pod Security level baseline",
		"you may not create clusterroles, which", "see https://github.com/lanlord/lanlord/blob/main/docs/", "3 problems", "[exit 1]",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("doctor --pre does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "7950 ") {
		t.Errorf("a port of a Pod's own network counts as a port of the node:\n%s", text)
	}
	if text := w.run("doctor", "--pre", "-o", "json"); !strings.Contains(text, `"link": "https://github.com/lanlord/lanlord/blob/main/docs/`) {
		t.Errorf("the JSON has no links:\n%s", text)
	}
	if text := w.run("doctor", "--pre", "--lanlord-namespace", "second"); !strings.Contains(text,
		"the speakers of the Lanlord lanlord-system/speaker-1 use 7572 (--listen), 7573 (--status-listen), 7950 (--gossip-port) of their nodes") ||
		!strings.Contains(text, "as deploy/second does") {
		t.Errorf("before a second installation:\n%s", text)
	}
	admin := scenarioOf(t, "namespace-admin")
	mayCreate(admin, func(string) bool { return false })
	if text := admin.run("doctor", "--pre"); !strings.Contains(text, "the right to list pods is missing") || !strings.Contains(text, "[exit ") {
		t.Errorf("the administrator of a namespace sees\n%s", text)
	}
	if text := w.run("doctor", "--pre", "--wait"); !strings.Contains(text, "[exit 2]") {
		t.Errorf("--pre with --wait:\n%s", text)
	}
}
