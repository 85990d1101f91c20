package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// claimed returns the claims of a snapshot as text.
func claimed(s cluster.Snapshot) string {
	var parts []string
	for _, c := range s.Claims {
		part := fmt.Sprintf("%s %s %s", c.By, c.Addr, c.Holder)
		if c.Managed {
			part += " ours"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// shown returns the names of the Services in a snapshot, with the external IPs and the Gateway addresses of each
// Service.
func shown(s cluster.Snapshot) string {
	var parts []string
	for _, svc := range s.Services {
		parts = append(parts, fmt.Sprintf("%s%v%v", svc.Key.Name, svc.ExternalIPs, svc.GatewayAddresses))
	}
	return strings.Join(parts, " ")
}

// with returns a Service with external IPs and with addresses in the status.
func with(o *corev1.Service, external []string, shown ...string) *corev1.Service {
	o.Spec.ExternalIPs, o.Status.LoadBalancer.Ingress = external, nil
	for _, ip := range shown {
		o.Status.LoadBalancer.Ingress = append(o.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return o
}

func gatewayWith(name, requested, shows string) *gateway {
	addresses := func(text string) (all gatewayAddresses) {
		for value := range strings.FieldsSeq(text) {
			kind := "IPAddress"
			if _, err := netip.ParseAddr(value); err != nil {
				kind = "Hostname"
			}
			all.Addresses = append(all.Addresses, gatewayAddress{Type: kind, Value: value})
		}
		return all
	}
	return &gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Spec: addresses(requested), Status: addresses(shows),
	}
}

// TestClaims checks that the controller sees the addresses of other objects, and that snapshots hide a Service that
// only claims addresses.
func TestClaims(t *testing.T) {
	foreign := func(external []string, shown ...string) *corev1.Service {
		o := with(service("foreign"), external, shown...)
		o.Spec.LoadBalancerClass = new("example.com/other")
		return o
	}
	plain := func(external ...string) *corev1.Service {
		o := with(service("plain"), external)
		o.Spec.Type = corev1.ServiceTypeClusterIP
		return o
	}
	name := with(service("name"), []string{"10.0.0.77"})
	name.Spec.Type, name.Spec.ClusterIP = corev1.ServiceTypeExternalName, ""
	n1 := node("n1", "10.0.0.1")
	n1.Status.Addresses = append(n1.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.1"},
		corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "127.0.0.1"})
	api := newFakeAPI(n1, name, foreign(nil, "10.0.0.8"), plain("10.0.0.9", "nonsense", "10.0.0.9"),
		with(service("ours"), []string{"10.0.0.7", "::ffff:10.0.0.6"}, "10.0.0.5"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		expect := func(when, want, services string, woken bool) {
			t.Helper()
			n := wakes.take()
			snapshot := s.Snapshot()
			if got := claimed(snapshot); got != want || woken != (n > 0) {
				t.Errorf("%s: %q after %d wake-ups, want %q", when, got, n, want)
			}
			if got := shown(snapshot); got != services {
				t.Errorf("%s: the Services %s, want %s", when, got, services)
			}
		}
		const ours = "ExternalIPs 10.0.0.6 a/ours ours; ExternalIPs 10.0.0.7 a/ours ours; "
		const one = "ours[10.0.0.7 10.0.0.6][]"
		expect("first", ours+"Status 10.0.0.8 a/foreign; ExternalIPs 10.0.0.9 a/plain; Node 203.0.113.1 /n1", one, false)

		annotated := foreign(nil, "10.0.0.8")
		annotated.Annotations = map[string]string{"app": "x"}
		api.put(annotated)
		expect("nothing new", ours+"Status 10.0.0.8 a/foreign; ExternalIPs 10.0.0.9 a/plain; Node 203.0.113.1 /n1", one, false)

		api.put(foreign([]string{"10.0.0.4"}, "10.0.0.3", "fe80::1"))
		expect("another address", "Status 10.0.0.3 a/foreign; ExternalIPs 10.0.0.4 a/foreign; "+ours+"ExternalIPs 10.0.0.9 a/plain; Node 203.0.113.1 /n1", one, true)

		// An own write does not change the claims, even before the watch has shown the write.
		api.hold("services")
		seen := s.Snapshot().Services[0]
		update := cluster.Update{Key: seen.Key, UID: seen.UID, Version: seen.Version, Ingress: []netip.Addr{netip.MustParseAddr("10.0.0.7")}}
		if err := s.Write(t.Context(), update); err != nil {
			t.Fatal(err)
		}
		wakes.take()
		expect("written", "Status 10.0.0.3 a/foreign; ExternalIPs 10.0.0.4 a/foreign; "+ours+
			"ExternalIPs 10.0.0.9 a/plain; Node 203.0.113.1 /n1", one, false)
		api.release("services")
		wakes.take()

		// Write refuses a hidden Service. A hidden Service may become one of Lanlord's.
		key := cluster.Key{Namespace: "a", Name: "plain"}
		if err := s.Write(t.Context(), cluster.Update{Key: key}); !errors.Is(err, cluster.ErrChanged) {
			t.Errorf("a hidden Service is written: %v", err)
		}
		api.remove(foreign(nil))
		api.put(node("n1", "10.0.0.1"))
		api.put(with(service("plain"), []string{"10.0.0.9"}))
		expect("others are gone", ours+"ExternalIPs 10.0.0.9 a/plain ours", one+" plain[10.0.0.9][]", true)
		api.put(plain())
		expect("ours no more", strings.TrimSuffix(ours, "; "), one, true)
	})
}

// TestGateways checks that the addresses of Gateways are claims, and that Services see the addresses that their
// Gateways request.
func TestGateways(t *testing.T) {
	generated := service("web")
	generated.Labels = map[string]string{gatewayLabel: "public"}
	api := newFakeAPI(generated, service("other"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		expect := func(when, want, services string, woken bool) {
			t.Helper()
			n := wakes.take()
			snapshot := s.Snapshot()
			if got := claimed(snapshot) + " | " + shown(snapshot); got != want+" | "+services || woken != (n > 0) {
				t.Errorf("%s: %q after %d wake-ups, want %q", when, got, n, want+" | "+services)
			}
		}
		before := s.Snapshot().Services[1]
		api.put(gatewayWith("public", "10.0.0.5 edge.example.com fd00::5", ""))
		expect("a request", "", "other[][] web[][10.0.0.5 fd00::5]", true)
		if len(before.GatewayAddresses) > 0 || before.Gateway != (cluster.Key{Namespace: "a", Name: "public"}) {
			t.Errorf("the Service of an older snapshot: %v, %v", before.Gateway, before.GatewayAddresses)
		}
		api.put(gatewayWith("public", "10.0.0.5 edge.example.com fd00::5", "edge.example.com 10.0.0.6 169.254.0.1"))
		expect("a status", "Gateway 10.0.0.6 a/public", "other[][] web[][10.0.0.5 fd00::5]", true)
		listener := gatewayWith("public", "10.0.0.5 fd00::5", "10.0.0.6")
		listener.Annotations = map[string]string{"x": "y"}
		api.put(listener)
		expect("nothing new", "Gateway 10.0.0.6 a/public", "other[][] web[][10.0.0.5 fd00::5]", false)
		api.put(gatewayWith("second", "10.0.0.8", ""))
		expect("a Gateway without a Service", "Gateway 10.0.0.6 a/public", "other[][] web[][10.0.0.5 fd00::5]", false)
		moved := service("web")
		moved.Labels = map[string]string{gatewayLabel: "second"}
		api.put(moved)
		expect("of another Gateway", "Gateway 10.0.0.6 a/public", "other[][] web[][10.0.0.8]", true)
		api.remove(gatewayWith("public", "", ""))
		api.remove(gatewayWith("second", "", ""))
		expect("gone", "", "other[][] web[][]", true)
	})
}

// TestGatewaysAreUnknown checks that the Store works while the API server does not know the kind of Gateways or refuses
// access, and that the Store finds the Gateways afterwards.
func TestGatewaysAreUnknown(t *testing.T) {
	group := schema.GroupResource{Group: gatewayVersion.Group, Resource: "gateways"}
	for _, refusal := range []error{apierrors.NewNotFound(group, ""), apierrors.NewForbidden(group, "", errors.New("no right"))} {
		generated := service("web")
		generated.Labels = map[string]string{gatewayLabel: "public"}
		api := newFakeAPI(generated, gatewayWith("public", "10.0.0.5", ""))
		api.refused["gateways"] = refusal
		inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
			if got := shown(s.Snapshot()); got != "web[][]" {
				t.Errorf("the Services are %s", got)
			}
			if err := s.WaitFresh(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			if n := log.count("resource=gateways"); n != 1 {
				t.Errorf("%d lines about it:\n%s", n, log.text.String())
			}
			api.mu.Lock()
			delete(api.refused, "gateways")
			api.mu.Unlock()
			time.Sleep(time.Minute)
			if got := shown(s.Snapshot()); got != "web[][10.0.0.5]" {
				t.Errorf("the Services are %s", got)
			}
		})
	}
}
