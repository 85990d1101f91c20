package kindsoak

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

func service(name, app, addr string, port int32) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: appNamespace, Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": app}, Ports: []corev1.ServicePort{{Port: port}}},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: addr}}}},
	}
}

func endpoint(node string, ready, serving bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving}}
}

func endpoints(name, service string, all ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: appNamespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		Endpoints: all,
	}
}

func newWatcher() *watcher {
	return &watcher{
		happened: make(map[string]int), services: make(map[types.NamespacedName]*corev1.Service), slices: make(map[types.NamespacedName]*discoveryv1.EndpointSlice),
	}
}

// TestWatcher tells where Services may be, and which must answer.
func TestWatcher(t *testing.T) {
	w := newWatcher()
	macs := map[string]wire.MAC{"a": {1}, "b": {2}, "c": {3}}
	w.service(nil, service("moves", roaming, "192.0.2.1", 80))
	w.service(nil, service("stays", steady, "192.0.2.2", 81))
	w.slice(nil, endpoints("moves-1", "moves", endpoint("c", true, true), endpoint("a", false, false), endpoint("control", true, true)))
	w.slice(nil, endpoints("moves-2", "moves", endpoint("b", false, true), endpoint("c", true, true)))
	w.slice(nil, endpoints("others", "other", endpoint("a", true, true)))
	if got, want := fmt.Sprint(w.places(macs)), fmt.Sprint(map[types.NamespacedName][]wire.MAC{{Namespace: appNamespace, Name: "moves"}: {{2}, {3}}}); got != want {
		t.Errorf("places %s, want %s", got, want)
	}
	if got := slices.Collect(maps.Keys(w.targets())); !slices.Equal(got, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:81")}) {
		t.Errorf("targets %v", got)
	}
	if got := w.changes(); len(got) != 2 || got[0].Before != nil || len(w.changes()) != 0 {
		t.Errorf("changes %v", got)
	}
	w.slice(endpoints("moves-1", "moves"), nil)
	w.slice(nil, endpoints("moves-2", "moves"))
	if got := w.places(macs); len(got) != 1 || len(got[types.NamespacedName{Namespace: appNamespace, Name: "moves"}]) != 0 {
		t.Errorf("without endpoints the places are %v", got)
	}
	w.service(service("stays", steady, "192.0.2.2", 81), nil)
	if got := w.changes(); len(got) != 1 || got[0].After != nil || len(w.targets()) != 0 {
		t.Errorf("deleted: %v", got)
	}
}

// TestWatcherCountsEvents counts one that happens again each time.
func TestWatcherCountsEvents(t *testing.T) {
	w := newWatcher()
	event := func(count int32) *corev1.Event { return &corev1.Event{Reason: "Announced", Count: count} }
	w.event(nil, event(1))
	w.event(event(1), event(4))
	w.event(nil, &corev1.Event{Reason: "Assigned"})
	w.event(event(4), nil)
	if got := w.events(); len(got) != 2 || got["Announced"] != 4 || got["Assigned"] != 1 || len(w.events()) != 0 {
		t.Errorf("events %v", got)
	}
}
