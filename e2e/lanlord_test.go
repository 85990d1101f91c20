package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/probe"
)

// What the overlay for users of MetalLB makes.
const (
	overlay         = "../deploy/metallb"
	systemNamespace = "metallb-system"
)

// patience is for what takes seconds on an idle machine.
const patience = 2 * time.Minute

// installation is Lanlord on the laboratory's cluster, for one test.
type installation struct {
	*lab.Lab
	t *testing.T
	// namespace is for the test's own Deployments and Services.
	namespace string
}

// install applies the overlay and a ConfigMap with one pool as a user would, and waits until all pods are ready.
func install(t *testing.T, l *lab.Lab, addresses ...netip.Addr) *installation {
	t.Helper()
	in := &installation{Lab: l, t: t}
	l.Apply("-k", overlay)
	in.configure(pool(addresses...))
	in.waitForPods()
	in.namespace = l.Namespace()
	return in
}

// pool is the ConfigMap of a book's chapter on MetalLB, with other addresses.
func pool(addresses ...netip.Addr) string {
	return fmt.Sprintf(`address-pools:
- name: nginx-ip-range
  protocol: layer2
  addresses:
  - %s-%s
`, addresses[0], addresses[len(addresses)-1])
}

// configure replaces the configuration.
func (in *installation) configure(document string) {
	in.t.Helper()
	maps := in.Clientset.CoreV1().ConfigMaps(systemNamespace)
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"},
		Data:       map[string]string{"config": document},
	}
	_, err := maps.Update(in.t.Context(), m, metav1.UpdateOptions{})
	if err != nil {
		_, err = maps.Create(in.t.Context(), m, metav1.CreateOptions{})
	}
	if err != nil {
		in.t.Fatal(err)
	}
}

// waitForPods waits for one controller, and a speaker on each node.
func (in *installation) waitForPods() {
	in.t.Helper()
	want := len(in.Nodes()) + 1
	took := in.WaitFor("Lanlord's pods to be ready", patience, func(ctx context.Context) error {
		list, err := in.Clientset.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=metallb"})
		if err != nil {
			return err
		}
		ready := 0
		for _, pod := range list.Items {
			if isReady(&pod) && pod.DeletionTimestamp == nil {
				ready++
			}
		}
		if ready != want || len(list.Items) != want {
			return fmt.Errorf("%d of %d pods are ready, want %d", ready, len(list.Items), want)
		}
		return nil
	})
	in.t.Logf("%d pods ready after %v", want, took.Round(10*time.Millisecond))
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// expose is `kubectl expose`, with a change before the Service is created.
func (in *installation) expose(deployment, name string, change func(*corev1.Service)) {
	in.t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: in.namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": deployment},
			Ports:    []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	if change != nil {
		change(s)
	}
	if _, err := in.Clientset.CoreV1().Services(in.namespace).Create(in.t.Context(), s, metav1.CreateOptions{}); err != nil {
		in.t.Fatal(err)
	}
}

func families(policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.IPFamilyPolicy = &policy
		s.Spec.IPFamilies = families
	}
}

// service reads a Service of the test.
func (in *installation) service(ctx context.Context, name string) (*corev1.Service, error) {
	return in.Clientset.CoreV1().Services(in.namespace).Get(ctx, name, metav1.GetOptions{})
}

// ingress returns the addresses in a Service's status.
func ingress(s *corev1.Service) []netip.Addr {
	var addrs []netip.Addr
	for _, i := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(i.IP); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// waitForAddresses waits until a Service has these addresses, in this order, and returns how long that took.
func (in *installation) waitForAddresses(name string, want ...netip.Addr) time.Duration {
	in.t.Helper()
	return in.WaitFor(fmt.Sprintf("%s to have %v", name, want), patience, func(ctx context.Context) error {
		s, err := in.service(ctx, name)
		if err != nil {
			return err
		}
		if got := ingress(s); !slices.Equal(got, want) {
			return fmt.Errorf("it has %v", got)
		}
		return nil
	})
}

// waitForEvent waits for an Event about an object whose message holds all of the texts.
func (in *installation) waitForEvent(namespace, kind, name, reason string, texts ...string) {
	in.t.Helper()
	in.WaitFor(fmt.Sprintf("an Event %s on %s %s", reason, kind, name), patience, func(ctx context.Context) error {
		list, err := in.Clientset.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			if e.InvolvedObject.Kind != kind || e.InvolvedObject.Name != name {
				continue
			}
			seen = append(seen, e.Reason+": "+e.Message)
			if e.Reason == reason && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(e.Message, text) }) {
				return nil
			}
		}
		return fmt.Errorf("the Events are %q", seen)
	})
}

// owner waits until exactly one node answers for an address, and returns it.
func (in *installation) owner(addr netip.Addr) lab.Node {
	in.t.Helper()
	var report probe.Neighbours
	in.WaitFor(fmt.Sprintf("one node to answer for %s", addr), patience, func(context.Context) error {
		if report = in.Who(addr); len(report.Answers) != 1 {
			return errors.New(report.String())
		}
		return nil
	})
	return in.NodeByMAC(report.MACs()[0])
}

// meetAllPods requests pages until each pod of a Deployment has answered, and nobody else.
func (in *installation) meetAllPods(addr netip.Addr, deployment string) {
	in.t.Helper()
	in.MeetAllPods(lab.URL(addr, 80), in.namespace, "app="+deployment)
}
