package main

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/status"
)

// manyServices is the number of Services for the figures in docs/kubectl-plugin.md.
const manyServices = 2000

// newManyServices returns the healthy cluster with manyServices additional Services.
func newManyServices(tb testing.TB) *scenario {
	archive, err := txtar.ParseFile("testdata/healthy.txtar")
	if err != nil {
		tb.Fatal(err)
	}
	w := newScenario(tb, archive)
	speakers := make([]status.Speaker, 3)
	for i := range speakers {
		if err := json.Unmarshal(w.says[fmt.Sprintf("speaker-%d", i+1)], &speakers[i]); err != nil {
			tb.Fatal(err)
		}
	}
	for n := range manyServices {
		addr := fmt.Sprintf("10.1.%d.%d", n/250, n%250+1)
		name := fmt.Sprintf("s%04d", n)
		o := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "many", Name: name, Annotations: map[string]string{kube.AllocatedFromAnnotation: "lan"}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", IPFamilies: []corev1.IPFamily{"IPv4"}},
			Status: corev1.ServiceStatus{
				LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: addr}}},
				Conditions:   []metav1.Condition{{Type: kube.ConditionType, Status: "True", Reason: "Assigned", Message: addr + ` from pool "lan"`}},
			},
		}
		if err := w.client.Tracker().Add(o); err != nil {
			tb.Fatal(err)
		}
		owner := n % len(speakers)
		for i := range speakers {
			s, services := &speakers[i], []string{"many/" + name}
			if i == owner {
				s.Owned = append(s.Owned, status.Owned{Address: addr, Services: services, Since: noon, Reason: "new", Elected: s.Node})
				continue
			}
			s.Watched = append(s.Watched, status.Watched{
				Address: addr, Services: services, Elected: speakers[owner].Node, Reason: "NotElected", Message: speakers[owner].Node + " is elected",
			})
		}
	}
	for i := range speakers {
		if w.says[fmt.Sprintf("speaker-%d", i+1)], err = json.Marshal(speakers[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return w
}

// BenchmarkTables measures the commands on a cluster with 2,000 Services, without the time that the API server takes.
func BenchmarkTables(b *testing.B) {
	w := newManyServices(b)
	for _, command := range []string{"services", "status", "doctor"} {
		b.Run(command, func(b *testing.B) {
			for b.Loop() {
				if status := w.start(b.Context(), io.Discard, io.Discard, command); status == exitError {
					b.Fatal(status)
				}
			}
		})
	}
}

// TestManyServices guards against work that grows with the square of the number of Services. Such work would take
// minutes.
func TestManyServices(t *testing.T) {
	w := newManyServices(t)
	began := time.Now()
	if status := w.start(t.Context(), io.Discard, t.Output(), "services"); status != exitOK {
		t.Errorf("status %d", status)
	}
	t.Logf("services: %v", time.Since(began))
}
