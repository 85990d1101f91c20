package vm_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/vm"
)

// The addresses of the Service for all set-ups.
var (
	service4 = netip.MustParseAddr("192.0.2.100")
	service6 = netip.MustParseAddr("2001:db8::100")
)

const configuration = `address-pools:
- name: vm
  protocol: layer2
  addresses: [192.0.2.100-192.0.2.119, "2001:db8::100-2001:db8::119"]
`

// configure makes the ConfigMap, and a Service with both addresses.
func (w *world) configure() {
	w.t.Helper()
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "config"}, Data: map[string]string{"config": configuration},
	}
	if _, err := w.Admin.CoreV1().ConfigMaps(namespace).Create(w.t.Context(), config, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.addService("web", service4, service6)
}

// addService makes a Service that asks for addresses, and an endpoint for each family.
func (w *world) addService(name string, addresses ...netip.Addr) {
	w.t.Helper()
	asked, families := "", []corev1.IPFamily{}
	for i, a := range addresses {
		family, kind, pod := corev1.IPv4Protocol, discoveryv1.AddressTypeIPv4, "10.97.0.1"
		if a.Is6() {
			family, kind, pod = corev1.IPv6Protocol, discoveryv1.AddressTypeIPv6, "fd00:97::1"
		}
		if i > 0 {
			asked += ","
		}
		asked, families = asked+a.String(), append(families, family)
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i), Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: kind, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{pod}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		}
		if _, err := w.Admin.DiscoveryV1().EndpointSlices("default").Create(w.t.Context(), slice, metav1.CreateOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	policy := corev1.IPFamilyPolicySingleStack
	if len(families) > 1 {
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"lanlord.io/load-balancer-ips": asked}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: families, IPFamilyPolicy: &policy,
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
	if _, err := w.Admin.CoreV1().Services("default").Create(w.t.Context(), service, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// removeService removes a Service of addService.
func (w *world) removeService(name string) {
	ctx := context.Background()
	if err := w.Admin.CoreV1().Services("default").Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		w.t.Error(err)
	}
	if err := w.Admin.DiscoveryV1().EndpointSlices("default").DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + name}); err != nil {
		w.t.Error(err)
	}
}

// member is a machine that is a node of the cluster.
type member struct {
	*vm.Machine
	w *world
	// name is the Node's, and address the InternalIP in the network of the management.
	name    string
	address netip.Prefix
	// flags are further flags of the speaker, and runner is the command that runs the speaker, empty for none.
	flags, runner []string
}

// join makes the Node of a machine and configures the last port, for the management. The speaker is not started.
func (w *world) join(t *testing.T, m *vm.Machine, name string, number, port int) *member {
	t.Helper()
	n := &member{Machine: m, w: w, name: name, address: netip.MustParsePrefix(fmt.Sprintf("10.99.0.%d/24", 10+number))}
	ctx := t.Context()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	if _, err := w.Admin.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.leave(name) })
	status := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, n.address.Addr())
	if _, err := w.Admin.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "speaker-" + name, Labels: map[string]string{"app": "lanlord", "component": "speaker"}},
		Spec:       corev1.PodSpec{NodeName: name, ServiceAccountName: "speaker", Containers: []corev1.Container{{Name: "speaker", Image: "lanlord/lanlord"}}},
	}
	if _, err := w.Admin.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.run(t, fmt.Sprintf("ip link set eth%d down\nip link set eth%d name mgmt0\nip link set mgmt0 up\nip addr add %s dev mgmt0", port, port, n.address))
	for _, file := range []string{w.Kubeconfig(controlplane.Speaker), w.Kubeconfig("admin")} {
		n.put(t, file)
	}
	for _, name := range []string{"ca.crt", "admin.crt", "admin.key"} {
		n.put(t, w.dir+"/"+name)
	}
	return n
}

// leave removes the objects of a node.
func (w *world) leave(name string) {
	ctx, now := context.Background(), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
	if err := w.Admin.CoreV1().Pods(namespace).Delete(ctx, "speaker-"+name, now); err != nil {
		w.t.Error(err)
	}
	if err := w.Admin.CoreV1().Nodes().Delete(ctx, name, now); err != nil {
		w.t.Error(err)
	}
}

// startSpeaker starts the speaker of a node.
func (n *member) startSpeaker(t *testing.T) {
	t.Helper()
	args := slices.Concat(n.runner, []string{"/bin/speaker", "--kubeconfig=" + n.w.Kubeconfig(controlplane.Speaker), "--namespace=" + namespace,
		"--node-name=" + n.name, "--pod-name=speaker-" + n.name, "--gossip-address=" + n.address.Addr().String(), "--kube-proxy-metrics=",
		"--listen=127.0.0.1:7572", "--status-listen="}, n.flags)
	if err := n.StartProgram(t.Context(), "speaker", []string{"POD_NAME=speaker-" + n.name}, args...); err != nil {
		t.Fatal(err)
	}
}

// run runs commands on a node.
func (n *member) run(t *testing.T, script string) string {
	t.Helper()
	out, err := n.Run(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// put copies a file to the same path on the node.
func (n *member) put(t *testing.T, path string) {
	t.Helper()
	if err := n.Put(t.Context(), path, []byte(read(t, path)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// log returns what the speaker has written.
func (n *member) log(t *testing.T) string {
	t.Helper()
	text, err := n.Get(t.Context(), "/var/log/speaker")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
