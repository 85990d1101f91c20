package lab

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTargets has a target for each port, one for a container without any, and none for a pod without an address.
func TestTargets(t *testing.T) {
	pod := func(name, ip string, ports ...corev1.ContainerPort) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, Labels: map[string]string{"app.kubernetes.io/name": "lanlord"}},
			Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "c", Ports: ports}}},
			Status:     corev1.PodStatus{PodIP: ip, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}
	}
	groups := targetsOf([]corev1.Pod{
		pod("with", "10.0.0.1", corev1.ContainerPort{Name: "a", ContainerPort: 1}, corev1.ContainerPort{Name: "b", ContainerPort: 2}),
		pod("without", "10.0.0.2"), pod("six", "fd00::1"), pod("new", ""),
	})
	var got []string
	for _, g := range groups {
		got = append(got, g.Labels["__meta_kubernetes_pod_name"]+" "+g.Targets[0]+" "+g.Labels["__meta_kubernetes_pod_container_port_name"])
	}
	want := []string{"with 10.0.0.1:1 a", "with 10.0.0.1:2 b", "without 10.0.0.2 ", "six [fd00::1] "}
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	labels := groups[0].Labels
	for name, want := range map[string]string{
		"__meta_kubernetes_namespace": "n", "__meta_kubernetes_pod_label_app_kubernetes_io_name": "lanlord",
		"__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name": "true", "__meta_kubernetes_pod_ready": "true", "__meta_kubernetes_pod_node_name": "node",
	} {
		if labels[name] != want {
			t.Errorf("%s is %q, want %q", name, labels[name], want)
		}
	}
}
