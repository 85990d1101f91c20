package privilege

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

// TestDefinitionsComeAndGo runs a controller with the rights of the overlay while MetalLB's CustomResourceDefinitions
// come, are updated from version to version, go with all their resources, and come again. No Service loses its address.
func TestDefinitionsComeAndGo(t *testing.T) {
	server := controlplane.StartLocal(t, self.Addr(), manifest)
	s := &suspect{client: server.Admin, component: controller, metallb: true, namespace: "lb"}
	have, _ := metallbRights(t, controller)
	grant(t, s.client, s.namespace, have)
	s.expose(t, "web")
	s.start(t, inside.File(controller), server.Dir, server.URL())
	defer s.stop()
	logs := func(what string) {
		t.Helper()
		if !await(t, func() bool { return strings.Contains(s.logged(), what) }) {
			t.Fatalf("the log does not say %q\n%s", what, s.logged())
		}
	}
	logs("no CustomResourceDefinition ipaddresspools.metallb.io, ")
	if s.has(t, "web") != "" {
		t.Error("without a configuration there is an address")
	}

	for i, version := range metallbVersions {
		t.Log(version)
		define(t, s.client, version)
		name := fmt.Sprintf("web-%d", i)
		for _, text := range s.resources(i) {
			if err := applyCustom(t.Context(), s.client, s.namespace, text); err != nil {
				t.Fatal(err)
			}
		}
		s.expose(t, name)
		s.must(t, "web", "10.99.0.100")
		s.must(t, name, fmt.Sprintf("10.99.0.%d", 101+i))
	}
	if text := s.logged(); strings.Contains(text, "not known, and left out") || !strings.Contains(text, "connectTime has no counterpart") {
		t.Errorf("what has no counterpart is not told of as it should be\n%s", text)
	}

	t.Log("a bad resource")
	if err := applyCustom(t.Context(), s.client, s.namespace, pool("bad", "10.99.0.100/32")); err != nil {
		t.Fatal(err)
	}
	s.mustTell(t, s.namespace, "IPAddressPool", "bad", "not valid, the last good one stays in use for all objects: addresses[0]: ")
	s.must(t, "web", "10.99.0.100")
	bad := groupPath + "v1beta1/namespaces/" + s.namespace + "/ipaddresspools/bad"
	if err := restOf(s.client).Delete().AbsPath(bad).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}

	t.Log("without definitions")
	undefine(t, s.client, metallbVersions[len(metallbVersions)-1])
	s.mustTell(t, metav1.NamespaceDefault, "Namespace", s.namespace, "the API server has no CustomResourceDefinition ")
	s.must(t, "web", "10.99.0.100")
	s.must(t, "web-1", "10.99.0.102")

	t.Log("again")
	define(t, s.client, metallbVersions[len(metallbVersions)-1])
	for i := range metallbVersions {
		for _, text := range s.resources(i) {
			if err := applyCustom(t.Context(), s.client, s.namespace, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := applyCustom(t.Context(), s.client, s.namespace, pool("new", "10.99.0.120/32")); err != nil {
		t.Fatal(err)
	}
	s.expose(t, "late")
	s.must(t, "late", "10.99.0.120")
	for i, want := range []string{"10.99.0.101", "10.99.0.102", "10.99.0.103"} {
		s.must(t, fmt.Sprintf("web-%d", i), want)
	}
	if strings.Contains(s.logged(), "is forbidden") {
		t.Errorf("a right is missing\n%s", s.logged())
	}
	if list := s.withdrawn(t); len(list) > 0 {
		t.Errorf("addresses were withdrawn: %v", list)
	}
}

func pool(name, addresses string) string {
	return fmt.Sprintf("{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: %s}, spec: {addresses: [%q]}}",
		name, addresses)
}

// resources are the i-th pool with what belongs to it: each version of MetalLB adds some.
func (s *suspect) resources(i int) []string {
	switch i {
	case 0:
		return []string{
			pool("a", "10.99.0.100-10.99.0.101"),
			"{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: all}}",
			"{apiVersion: metallb.io/v1beta1, kind: Community, metadata: {name: known}, " +
				"spec: {communities: [{name: no-export, value: '65535:65281'}]}}",
		}
	case 1:
		return []string{
			"{apiVersion: metallb.io/v1beta1, kind: BFDProfile, metadata: {name: fast}, spec: {receiveInterval: 300}}",
			"{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: tor}, spec: {myASN: 64512, peerASN: 64513, " +
				"peerAddress: 10.99.0.254, bfdProfile: fast, connectTime: 10s, passwordSecret: {name: lanlord-bgp}}}",
			"{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {name: all}, spec: {communities: [no-export]}}",
			pool("b", "10.99.0.102/32"),
		}
	}
	return []string{
		"{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: dynamic}, spec: {myASN: 64512, dynamicASN: external, " +
			"peerAddress: 10.99.0.253}}",
		pool("c", "10.99.0.103/32"),
	}
}

// expose makes a Service of the suspect's class.
func (s *suspect) expose(t *testing.T, name string) {
	t.Helper()
	if _, err := s.client.CoreV1().Services(s.namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(s.class()), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// has returns the address of a Service, empty if it has none.
func (s *suspect) has(t *testing.T, name string) string {
	t.Helper()
	service, err := s.client.CoreV1().Services(s.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || len(service.Status.LoadBalancer.Ingress) == 0 {
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
		return ""
	}
	return service.Status.LoadBalancer.Ingress[0].IP
}

// must waits until a Service has the address.
func (s *suspect) must(t *testing.T, name, want string) {
	t.Helper()
	if !await(t, func() bool { return s.has(t, name) == want }) {
		t.Fatalf("%s has %q, want %s\n%s", name, s.has(t, name), want, s.logged())
	}
}

// mustTell waits for a Warning on an object.
func (s *suspect) mustTell(t *testing.T, namespace, kind, name, message string) {
	t.Helper()
	var all []string
	if !await(t, func() bool {
		list, err := s.client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Error(err)
			return false
		}
		all = nil
		for _, e := range list.Items {
			all = append(all, fmt.Sprintln(e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message))
			o := e.InvolvedObject
			if o.Kind == kind && o.Name == name && e.Reason == "ConfigRejected" && strings.Contains(e.Message, message) {
				return true
			}
		}
		return false
	}) {
		t.Fatalf("no Event on %s %s says %q: %v\n%s", kind, name, message, all, s.logged())
	}
}

// withdrawn returns the Services that have ever lost an address.
func (s *suspect) withdrawn(t *testing.T) (lost []string) {
	t.Helper()
	list, err := s.client.CoreV1().Events(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.InvolvedObject.Kind == "Service" && strings.HasPrefix(e.Reason, "Withdraw") {
			lost = append(lost, e.InvolvedObject.Name+": "+e.Reason+": "+e.Message)
		}
	}
	return lost
}
