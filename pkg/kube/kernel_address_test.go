package kube

import (
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/controller"
)

// TestKernelAddressOfService reports two addresses as addresses of a node's kernel: the address of one Service, and the
// address that another Service requests. The first Service loses its address, no Service gets either address, and the
// condition names the node.
func TestKernelAddressOfService(t *testing.T) {
	held := service("held")
	held.Annotations = map[string]string{AllocatedFromAnnotation: "lan"}
	held.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.168.56.12"}}
	held.CreationTimestamp = metav1.Unix(1, 0)
	wants := service("wants")
	wants.Annotations = map[string]string{AddressesAnnotation: "192.168.56.11"}
	api := newFakeAPI(configMap(onePool), node("n1", "192.168.56.2"), held, wants)
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		if got := controller.Decide(s.Snapshot(), nil); len(got.Updates) != 2 || len(got.Updates[1].Ingress) != 1 {
			t.Fatalf("before: %+v", got.Updates)
		}
		api.put(pod("speaker-1", "n1", `{"addresses":["192.168.56.2","192.168.56.11","192.168.56.12"]}`))
		synctest.Wait()
		for _, u := range controller.Decide(s.Snapshot(), nil).Updates {
			var text strings.Builder
			text.WriteString(u.Condition.Message)
			for _, e := range append(u.Before, u.Events...) {
				text.WriteString(" " + e.Message)
			}
			for _, a := range u.Ingress {
				if a.String() != "192.168.56.13" {
					t.Errorf("%s gets %s, which node n1 has", u.Key, a)
				}
			}
			if !strings.Contains(text.String(), "the address of node n1") {
				t.Errorf("%s does not learn which node has its address: %s", u.Key, text.String())
			}
		}
	})
}
