package kube

import (
	"slices"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// TestAnnounceFrom reads the annotations that prefer nodes. A wrong value of one annotation leaves the other annotation
// in force.
func TestAnnounceFrom(t *testing.T) {
	const (
		wrongFrom = "the annotation lanlord.io/announce-from is neither endpoints nor any and is not heeded"
		wrongNode = "the annotation lanlord.io/prefer-node does not hold the name of a Node and is not heeded"
	)
	for _, c := range []struct {
		from, node     string
		want           cluster.AnnounceFrom
		prefer         string
		problem, value string
	}{
		{"", "", cluster.FromPool, "", "", ""},
		{" endpoints ", "n1", cluster.FromEndpoints, "n1", "", ""},
		{"any", "", cluster.FromAny, "", "", ""},
		{"Endpoints", "n1", cluster.FromPool, "n1", wrongFrom, "Endpoints"},
		{"endpoints", "N 1", cluster.FromEndpoints, "", wrongNode, "N 1"},
		{"x", "N 1", cluster.FromPool, "", wrongNode + "; " + wrongFrom, "N 1;x"},
	} {
		o := service("s")
		o.Annotations = map[string]string{AnnounceFromAnnotation: c.from, PreferNodeAnnotation: c.node}
		row, ours := convertService(o, "")
		s := row.service
		if !ours || s.AnnounceFrom != c.want || s.PreferNode != c.prefer || s.PreferNodeProblem != c.problem ||
			s.PreferNodeValue != c.value {
			t.Errorf("%q, %q: %+v", c.from, c.node, s)
		}
	}
}

// TestOthers checks that Services of other classes appear apart from Lanlord's own, with the addresses that a service
// proxy serves, and that a Service may change between the two kinds.
func TestOthers(t *testing.T) {
	other := func(name string) *corev1.Service {
		o := service(name)
		o.Spec.LoadBalancerClass = new("example.com/gateway")
		o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		o.Annotations = map[string]string{AllocatedFromAnnotation: "a", AnnounceFromAnnotation: "endpoints"}
		o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{
			{IP: "10.0.0.1"}, {Hostname: "x.example.com"}, {IP: "10.0.0.2", IPMode: new(corev1.LoadBalancerIPModeProxy)},
			{IP: "fd00::1", IPMode: new(corev1.LoadBalancerIPModeVIP)},
		}
		return o
	}
	headless := other("headless")
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	headless.Annotations = nil
	api := newFakeAPI(configMap(onePool), service("b"), other("m"), other("a"), headless, slice("m-1", "m", "n1"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		snapshot := s.Snapshot()
		if ours, others := names(snapshot.Services), names(snapshot.Others); ours != "a/b" || others != "a/a a/m" {
			t.Fatalf("Services %s, others %s", ours, others)
		}
		m := snapshot.Others[1]
		if m.Managed || m.Marked() || m.Class != "example.com/gateway" || !slices.Equal(m.Ingress, addrs("10.0.0.1", "fd00::1")) ||
			m.AnnounceFrom != cluster.FromEndpoints || m.TrafficPolicy != cluster.TrafficLocal || !slices.Equal(m.ReadyNodes, []string{"n1"}) {
			t.Errorf("another class's Service: %+v", *m)
		}
		if s.assigned() {
			t.Error("the annotation of another Lanlord counts as an assignment of this one")
		}
		wakes.take()
		api.remove(other("m"))
		api.put(service("m"))
		api.put(other("z"))
		synctest.Wait()
		now := s.Snapshot()
		if ours, others := names(now.Services), names(now.Others); ours != "a/b a/m" || others != "a/a a/z" || wakes.take() == 0 {
			t.Errorf("Services %s, others %s", ours, others)
		}
		if names(snapshot.Others) != "a/a a/m" || now.Others[0] != snapshot.Others[0] {
			t.Error("the earlier snapshot has changed, or a Service that has not changed was copied")
		}
		if _, ours := ServiceOf(other("m"), ""); ours {
			t.Error("ServiceOf returns a Service of another class")
		}
		if o, found := OtherOf(other("m"), ""); !found || o.Class != "example.com/gateway" {
			t.Errorf("OtherOf returns %+v, %t", o, found)
		}
	})
}
