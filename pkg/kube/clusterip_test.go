package kube

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestIsClusterIP checks the addresses of the API server's Service, and other addresses.
func TestIsClusterIP(t *testing.T) {
	object := func(namespace, name string, addrs ...string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIPs: addrs},
		}
	}
	client := fakeClient{fake.NewClientset(object("default", "kubernetes", "10.96.0.1", "fd00:96::1"), object("default", "web", "10.96.0.2"),
		object("team", "kubernetes", "10.96.0.3"))}
	for text, want := range map[string]bool{
		"10.96.0.1": true, "fd00:96:0::1": true, // the second address is spelt differently in the Service
		"10.96.0.2": false, "10.96.0.3": false, "192.0.2.10": false,
	} {
		if got, err := isClusterIP(t.Context(), client, netip.MustParseAddr(text)); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	if got, err := isClusterIP(t.Context(), fakeClient{fake.NewClientset()}, netip.MustParseAddr("10.96.0.1")); got || err != nil {
		t.Errorf("without the Service: %v, %v", got, err)
	}
}

// TestThroughClusterIP checks that there is no function outside of a pod, with a kubeconfig, and with a name in place
// of an address.
func TestThroughClusterIP(t *testing.T) {
	for _, test := range []struct {
		host, kubeconfig string
		want             bool
	}{
		{"10.96.0.1", "", true}, {"10.96.0.1", "/etc/kubeconfig", false}, {"", "", false}, {"api.example.org", "", false},
	} {
		t.Setenv(hostEnv, test.host)
		if got := ThroughClusterIP(fakeClient{fake.NewClientset()}, test.kubeconfig) != nil; got != test.want {
			t.Errorf("%+v: a sign: %v", test, got)
		}
	}
}
