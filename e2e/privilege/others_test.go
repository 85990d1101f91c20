package privilege

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

const (
	othersClass = "example.com/gateway"
	othersAddr  = "10.99.0.192"
	// othersConfig uses the only node, which has the exclude label, and lets Services have the address of the node.
	othersConfig = `announce-classes: [example.com/gateway]
allocation: {allow-node-addresses: true}
layer2: {excluded-nodes: use}
address-pools:
- {name: a, protocol: layer2, addresses: [10.99.0.1, 10.99.0.192]}
`
)

// TestOthers gives a Service of another load-balancer class an address, in a cluster with one node, which has the exclude
// label. With the rights that they have always had, the speaker announces the address, the controller gives the address to
// nobody else, and gives a Service the address of the node. Nothing is written to the Service of the other class.
func TestOthers(t *testing.T) {
	server := controlplane.StartLocal(t, self.Addr(), manifest)
	dir := server.Dir
	installGateways(t, server.Admin)
	ctx, core := t.Context(), server.Admin.CoreV1()
	addNode(t, server.Admin, map[string]string{corev1.LabelNodeExcludeBalancers: ""})
	gateway := makeGateway(t, server)
	url := server.URL()
	var daemons []*suspect
	for i, component := range []string{controller, speaker} {
		s := &suspect{client: server.Admin, component: component, number: 80 + i, namespace: "others-" + component}
		grant(t, server.Admin, s.namespace, rights(t, component))
		s.prepare(t)
		text := s.config(false).WithData(map[string]string{"config": othersConfig})
		if _, err := core.ConfigMaps(s.namespace).Apply(ctx, text, metav1.ApplyOptions{FieldManager: "test", Force: true}); err != nil {
			t.Fatal(err)
		}
		s.start(t, inside.File(component), dir, url)
		daemons = append(daemons, s)
	}
	t.Cleanup(func() { each(daemons, func(s *suspect) { s.stop() }) })
	wants := daemons[0]
	if _, err := core.Services(wants.namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: wants.namespace, Name: "wants", Annotations: map[string]string{"lanlord.io/load-balancer-ips": othersAddr}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(wants.class()), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	if !await(t, func() bool {
		web, err := core.Services(wants.namespace).Get(ctx, "web", metav1.GetOptions{})
		return err == nil && len(web.Status.LoadBalancer.Ingress) == 1 && web.Status.LoadBalancer.Ingress[0].IP == self.Addr().String()
	}) {
		t.Errorf("no Service has the address of the node\n%s", wants.logged())
	}
	if !await(t, func() bool {
		refused, err := core.Services(wants.namespace).Get(ctx, "wants", metav1.GetOptions{})
		return err == nil && len(refused.Status.Conditions) == 1 && refused.Status.Conditions[0].Reason == "AddressTaken" &&
			strings.Contains(refused.Status.Conditions[0].Message, "Service default/gateway")
	}) {
		t.Errorf("the address of the other class is not refused\n%s", wants.logged())
	}
	if !await(t, func() bool {
		log := daemons[1].logged()
		return strings.Contains(log, "ownership gained") && strings.Contains(log, "ip="+othersAddr)
	}) {
		t.Errorf("the address of the other class is not announced\n%s", daemons[1].logged())
	}
	now, err := core.Services("default").Get(ctx, "gateway", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if now.ResourceVersion != gateway.ResourceVersion {
		t.Errorf("the Service of the other class was written: %+v", now)
	}
	checkAgainst(t, wants, dir)
}

// makeGateway makes a Service of another class with an address and an endpoint.
func makeGateway(t *testing.T, server *controlplane.Local) *corev1.Service {
	t.Helper()
	services := server.Admin.CoreV1().Services("default")
	made, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gateway"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(othersClass), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: othersAddr}}
	if made, err = services.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Admin.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "gateway", Labels: map[string]string{discoveryv1.LabelServiceName: "gateway"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.97.0.2"}, NodeName: new(node), Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return made
}

// checkAgainst checks a configuration without the keys against the cluster: what would be lost, and the warnings.
func checkAgainst(t *testing.T, s *suspect, dir string) {
	t.Helper()
	file := filepath.Join(dir, "plain.yaml")
	plain := "announce-classes: [example.com/gateway]\naddress-pools:\n- {name: a, protocol: layer2, addresses: [10.99.0.1]}\n"
	if err := os.WriteFile(file, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(inside.File(controller), "--kubeconfig="+s.kubeconfig(dir),
		"--namespace="+s.namespace, "--load-balancer-class="+s.class(), "--check-config="+file, "--against-cluster").CombinedOutput()
	if code, is := errors.AsType[*exec.ExitError](err); !is || code.ExitCode() != 1 {
		t.Errorf("the check ended with %v, want 1, because a Service loses its address", err)
	}
	for _, want := range []string{
		"others-controller/web  10.99.0.1  none",
		"all nodes that could have the label",
		`pool "a" has addresses of Nodes only`,
		"10.99.0.192 of default/gateway",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the check does not say %q:\n%s", want, out)
		}
	}
}
