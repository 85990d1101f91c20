package scale

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// otherClass is of Services that Lanlord leaves alone.
const otherClass = "example.com/other"

func ours(i int) string   { return fmt.Sprintf("ours-%05d", i) }
func others(i int) string { return fmt.Sprintf("other-%05d", i) }

// createService creates one without endpoints, with labels and a selector as usual.
func (r *Rig) createService(ctx context.Context, name string, class *string) error {
	_, err := r.server.Admin.CoreV1().Services(appNamespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/version": "1.0.0",
		}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class, AllocateLoadBalancerNodePorts: new(false),
			Selector: map[string]string{"app.kubernetes.io/name": name},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "https", Port: 443}},
		},
	}, metav1.CreateOptions{})
	return err
}

// createSlice gives a Service three endpoints on the first nodes, as its controller does.
func (r *Rig) createSlice(ctx context.Context, i int) error {
	endpoints := make([]discoveryv1.Endpoint, 3)
	for k := range endpoints {
		node := fmt.Sprintf("node-%d", (i+k)%r.options.Speakers)
		pod := fmt.Sprintf("%s-%d", ours(i), k)
		endpoints[k] = discoveryv1.Endpoint{
			Addresses:  []string{netip.AddrFrom4([4]byte{10, 97 + byte(k), byte(i >> 8), byte(i)}).String()},
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
			NodeName:   &node,
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: appNamespace, Name: pod, UID: types.UID(pod)},
		}
	}
	_, err := r.server.Admin.DiscoveryV1().EndpointSlices(appNamespace).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: ours(i), Labels: map[string]string{discoveryv1.LabelServiceName: ours(i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   endpoints,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}, {Name: new("https"), Port: new(int32(8443))}},
	}, metav1.CreateOptions{})
	return err
}

// patchOther writes a status as the controller does, with as many bytes, to a Service that the controller leaves alone. round
// makes each write a change.
func (r *Rig) patchOther(ctx context.Context, i, round int) error {
	addr := netip.AddrFrom4([4]byte{10, 90 + byte(round), byte(i >> 8), byte(i)})
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/ip-allocated-from-pool":"wire"}},`+
		`"status":{"loadBalancer":{"ingress":[{"ip":%q,"ipMode":"VIP"}]},"conditions":[{"type":"example.com/AddressAssigned",`+
		`"status":"True","reason":"Assigned","message":"%s from pool \"wire\"","lastTransitionTime":%q}]}}`,
		addr, addr, time.Now().UTC().Format(time.RFC3339))
	_, err := r.bare.CoreV1().Services(appNamespace).Patch(ctx, others(i), types.StrategicMergePatchType, patch,
		metav1.PatchOptions{FieldManager: "reference"}, "status")
	return err
}

// addresses returns those that our Services have, by number. Each must have one, and another one than all others.
func (r *Rig) addresses(ctx context.Context) ([]netip.Addr, error) {
	list, err := r.server.Admin.CoreV1().Services(appNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all, holders := make([]netip.Addr, 0, r.services), make(map[netip.Addr]string)
	for _, s := range list.Items {
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer || s.Spec.LoadBalancerClass != nil {
			continue
		}
		if len(s.Status.LoadBalancer.Ingress) != 1 {
			return nil, fmt.Errorf("%s has %d addresses", s.Name, len(s.Status.LoadBalancer.Ingress))
		}
		addr, err := netip.ParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
		if err != nil {
			return nil, err
		}
		if other, taken := holders[addr]; taken {
			return nil, fmt.Errorf("%s and %s both have %s", other, s.Name, addr)
		}
		holders[addr] = s.Name
		all = append(all, addr)
	}
	if len(all) < r.services {
		return nil, fmt.Errorf("%d of %d Services", len(all), r.services)
	}
	return all, nil
}

// clearStatus makes a Service of ours what it was before it had an address.
func (r *Rig) clearStatus(ctx context.Context, i int) error {
	const patch = `{"metadata":{"annotations":{"lanlord.io/ip-allocated-from-pool":null,"lanlord.io/assignment":null}},"status":{"loadBalancer":{"ingress":null},` +
		`"conditions":[{"$patch":"replace"}]}}`
	_, err := r.server.Admin.CoreV1().Services(appNamespace).Patch(ctx, ours(i), types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{}, "status")
	return err
}
