package wire

import (
	"crypto/rand"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	systemNamespace = "lanlord-system"
	appNamespace    = "default"
	poolName        = "wire"
)

// configuration is the ConfigMap: one pool, and what the options add to it and below layer2. Pings are the kernels' to answer
// here, at least. Options can have a configuration of their own.
func configuration(o Options) *corev1.ConfigMap {
	text := fmt.Sprintf("address-pools:\n- name: %s\n  protocol: layer2\n  addresses: [%s, \"%s\"]\n", poolName, services4, services6)
	if o.Pool != "" {
		text += "  " + o.Pool + "\n"
	}
	text += fmt.Sprintf("layer2: {ping: %t", o.Ping)
	if o.Layer2 != "" {
		text += ", " + o.Layer2
	}
	text += "}\n"
	if o.Config != "" {
		text = o.Config
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"},
		Data:       map[string]string{"config": text},
	}
}

// gossipSecret is what the controller would make.
func gossipSecret() *corev1.Secret {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "lanlord-gossip"},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{"key-1": key},
	}
}

// nodeObjects are a Node, whose second address is where its speaker gossips, and the Pod of the speaker.
func nodeObjects(name string, number int) []runtime.Object {
	return []runtime.Object{
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: host(lan4, number).Addr().String()},
				{Type: corev1.NodeInternalIP, Address: host(gossip6, number).Addr().String()},
			}},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: systemNamespace, Name: podName(name), Labels: map[string]string{"app": "lanlord", "component": "speaker"},
			},
			Spec: corev1.PodSpec{
				NodeName: name, ServiceAccountName: "speaker", Containers: []corev1.Container{{Name: "speaker", Image: "lanlord/lanlord"}},
			},
		},
	}
}

func podName(node string) string { return "speaker-" + node }

func serviceName(number int) string { return fmt.Sprintf("s%05d", number) }

// serviceObjects are a Service as the controller leaves it, with an address, and an endpoint for it somewhere.
func serviceObjects(number int, addr netip.Addr) []runtime.Object {
	name := serviceName(number)
	family, addressType, clusterIP, pod := corev1.IPv4Protocol, discoveryv1.AddressTypeIPv4, "10.96.0.0", "10.97.0.1"
	if addr.Is6() {
		family, addressType, clusterIP, pod = corev1.IPv6Protocol, discoveryv1.AddressTypeIPv6, "fd00:96::", "fd00:95::1"
	}
	cluster := host(netip.PrefixFrom(netip.MustParseAddr(clusterIP), 32), number+1).Addr().String()
	ready := true
	return []runtime.Object{
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: appNamespace, Name: name, Annotations: map[string]string{"lanlord.io/ip-allocated-from-pool": poolName},
			},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ClusterIP: cluster, ClusterIPs: []string{cluster},
				IPFamilies: []corev1.IPFamily{family}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
			},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{
				Ingress: []corev1.LoadBalancerIngress{{IP: addr.String()}},
			}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: appNamespace, Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name},
			},
			AddressType: addressType,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{pod}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		},
	}
}
