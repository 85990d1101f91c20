package soak

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// had is a Service with annotations and addresses.
func had(name, asks, shares string, addrs ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Annotations: map[string]string{}}}
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	if asks != "" {
		s.Annotations[AddressesAnnotation] = asks
	}
	if shares != "" {
		s.Annotations[SharingAnnotation] = shares
	}
	for _, a := range addrs {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return s
}

func TestLedgerFinds(t *testing.T) {
	for _, test := range []struct {
		name, want string
		history    []*corev1.Service
	}{
		{"an ordinary life", "", []*corev1.Service{had("a", "", ""), had("a", "", "", "192.0.2.1")}},
		{"an address with two Services", "192.0.2.1 is of ns/b", []*corev1.Service{had("a", "", "", "192.0.2.1"), had("b", "", "", "192.0.2.1")}},
		{"a shared address", "", []*corev1.Service{had("a", "", "k", "192.0.2.1"), had("b", "", "k", "192.0.2.1")}},
		{"another key", "192.0.2.1 is of ns/b", []*corev1.Service{had("a", "", "k", "192.0.2.1"), had("b", "", "l", "192.0.2.1")}},
		{"a change without a reason", "without a reason", []*corev1.Service{had("a", "", "", "192.0.2.1"), had("a", "", "", "192.0.2.2")}},
		{"a change with a reason", "", []*corev1.Service{
			had("a", "", "", "192.0.2.1"), had("a", "192.0.2.2", "", "192.0.2.1"), had("a", "192.0.2.2", "", "192.0.2.2")}},
		{"a wish that is taken back", "", []*corev1.Service{
			had("a", "", "", "192.0.2.1"), had("a", "192.0.2.2", "", "192.0.2.1"), had("a", "", "", "192.0.2.1")}},
		{"another address than asked for", "asks for 192.0.2.2 and is given", []*corev1.Service{had("a", "192.0.2.2", ""), had("a", "192.0.2.2", "", "192.0.2.1")}},
		{"no address", "ns/a wants", []*corev1.Service{had("a", "", "")}},
	} {
		l := NewLedger()
		var found []string
		last := make(map[string]*corev1.Service)
		for i, s := range test.history {
			c := apiserver.Change{After: s}
			if before := last[s.Name]; before != nil {
				c.Before = before
			}
			last[s.Name] = s
			found = append(found, l.Note(c, start.Add(time.Duration(i)*time.Second))...)
		}
		found = append(found, l.Waiting(start.Add(time.Minute).After)...)
		if got := strings.Join(found, "; "); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: found %q, want %q", test.name, got, test.want)
		}
	}
}

// TestLedgerForgets lets the next Service have an address of one that is deleted.
func TestLedgerForgets(t *testing.T) {
	l := NewLedger()
	a, b := had("a", "", "", "192.0.2.1"), had("b", "", "", "192.0.2.1")
	found := l.Note(apiserver.Change{After: a}, start)
	found = append(found, l.Note(apiserver.Change{Before: a}, start)...)
	if found = append(found, l.Note(apiserver.Change{After: b}, start)...); len(found) > 0 || len(l.Addrs()) != 1 || l.Len() != 1 {
		t.Errorf("found %q, %v", found, l.Addrs())
	}
}
