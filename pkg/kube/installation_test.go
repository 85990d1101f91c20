package kube

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// controllerPod returns the Pod of a controller with these arguments.
func controllerPod(namespace, name string, args ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "lanlord", "component": "controller"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Command: []string{"/controller"}, Args: args}}},
	}
}

// TestInstallations reads the namespaces and the flags of controllers.
func TestInstallations(t *testing.T) {
	api := newFakeAPI(
		controllerPod("b", "controller-1", "--config-map=pools", "-load-balancer-class", "lanlord.io/lanlord"),
		controllerPod("b", "controller-2", "--config-map=of the second Pod"),
		controllerPod("a", "controller-1", "--log-level=info", "--config-maps=x"),
	)
	found, err := Installations(t.Context(), api, "")
	if got := fmt.Sprint(found); err != nil || got != "[{a config } {b pools lanlord.io/lanlord}]" {
		t.Errorf("%s, %v", got, err)
	}
	api.fail(&apiDown{})
	if _, err := Installations(t.Context(), api, "b"); err == nil {
		t.Error("no error while the API server is down")
	}
}

// TestMissingSecret looks for the entry of a Secret.
func TestMissingSecret(t *testing.T) {
	api := newFakeAPI()
	api.PrependReactor("get", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetNamespace() != "a" {
			return false, nil, nil
		}
		return true, &corev1.Secret{Data: map[string][]byte{"tor": []byte("x")}}, nil
	})
	for _, c := range []struct{ namespace, name, key, want string }{
		{"a", "bgp", "tor", ""},
		{"a", "bgp", "other", `the Secret a/bgp has no entry "other"`},
		{"b", "bgp", "tor", "there is no Secret b/bgp"},
	} {
		if got := MissingSecret(t.Context(), api, c.namespace, c.name, c.key); got != c.want {
			t.Errorf("%s/%s %s: %q, want %q", c.namespace, c.name, c.key, got, c.want)
		}
	}
}
