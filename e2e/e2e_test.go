// Package e2e tests Lanlord on the laboratory's cluster; README.md says how to set it up.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/probe"
)

func TestMain(m *testing.M) {
	if err := lab.Check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestLaboratory checks what all other tests rest on, without Lanlord.
func TestLaboratory(t *testing.T) {
	l := lab.Open(t)

	t.Run("four nodes are ready and have addresses of both families", func(t *testing.T) {
		nodes, err := l.Clientset.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes.Items) != 4 {
			t.Errorf("%d nodes, want 4", len(nodes.Items))
		}
		for _, node := range nodes.Items {
			if err := checkNode(&node); err != nil {
				t.Errorf("%s: %v", node.Name, err)
			}
		}
	})

	t.Run("each node answers for its own addresses and nobody else does", func(t *testing.T) {
		l := l.Sub(t)
		for _, node := range l.Nodes() {
			for _, address := range node.Addresses() {
				report := l.Who(address)
				t.Log(report)
				if macs := report.MACs(); len(macs) != 1 || macs[0] != node.MAC {
					t.Errorf("%s is answered for by %v, want %s of %s", address, macs, node.MAC, node.Name)
				}
			}
		}
	})

	t.Run("foreign tools see the same", func(t *testing.T) {
		l := l.Sub(t)
		node := l.Nodes()[0]
		if output := l.MustExec("arping", "-c", "1", node.IPv4.String()); !strings.Contains(output, node.MAC) {
			t.Errorf("arping %s does not name %s: %s", node.IPv4, node.MAC, output)
		}
		if output := l.MustExec("ndisc6", "-m", "-1", node.IPv6.String(), "eth0"); !strings.Contains(strings.ToLower(output), node.MAC) {
			t.Errorf("ndisc6 %s does not name %s: %s", node.IPv6, node.MAC, output)
		}
	})

	t.Run("free addresses are free", func(t *testing.T) {
		l := l.Sub(t)
		for _, family := range []lab.Family{lab.IPv4, lab.IPv6} {
			for _, address := range l.FreeAddresses(family, 3) {
				if report := l.Who(address); len(report.Answers) > 0 {
					t.Error(report)
				}
			}
		}
	})
}

// checkNode returns an error unless a node is Ready and has an InternalIP of each family.
func checkNode(node *corev1.Node) error {
	families := map[bool]bool{}
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			parsed, err := netip.ParseAddr(address.Address)
			if err != nil {
				return err
			}
			families[parsed.Is6()] = true
		}
	}
	if len(families) != 2 {
		return fmt.Errorf("addresses %v, want both families", node.Status.Addresses)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("not Ready")
}

// TestNodePortAnswersTheClient reaches pods from outside through every node, on both families.
func TestNodePortAnswersTheClient(t *testing.T) {
	l := lab.Open(t)
	namespace := l.Namespace()
	l.Deploy(namespace, "web", 2)
	service, err := l.Clientset.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ServiceSpec{
			Type:           corev1.ServiceTypeNodePort,
			IPFamilyPolicy: new(corev1.IPFamilyPolicyRequireDualStack),
			Selector:       map[string]string{"app": "web"},
			Ports:          []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := int(service.Spec.Ports[0].NodePort)
	pods := l.Pods(namespace, "app=web")

	for _, node := range l.Nodes() {
		for _, address := range node.Addresses() {
			url := lab.URL(address, port)
			l.WaitFor(url+" to answer", 10*time.Second, func(context.Context) error {
				return checkPage(l, url, pods)
			})
			load := probe.Load{URL: url, Every: 5 * time.Millisecond, Timeout: 250 * time.Millisecond, For: time.Second}
			traffic := l.HTTP(load)
			t.Logf("%s: %s", node.Name, traffic)
			if traffic.Failed > 0 || len(traffic.Pods) != len(pods) {
				t.Errorf("through %s: %+v, want no failure and all of %d pods", node.Name, traffic, len(pods))
			}
		}
	}
}

// checkPage returns an error unless a page comes from one of the pods.
func checkPage(l *lab.Lab, url string, pods map[string]string) error {
	page, err := l.Get(url)
	if err != nil {
		return err
	}
	var answer struct{ Pod, Client string }
	if err := json.Unmarshal([]byte(page), &answer); err != nil {
		return fmt.Errorf("page %q: %w", page, err)
	}
	if _, ok := pods[answer.Pod]; !ok {
		return fmt.Errorf("page %q is from no pod of %v", page, pods)
	}
	if _, _, err := net.SplitHostPort(answer.Client); err != nil {
		return fmt.Errorf("page %q names no client: %w", page, err)
	}
	return nil
}

// TestNodesBreakAndMend checks the faults that other tests rest on: the client loses
// the node at once, and has it back under its old addresses.
func TestNodesBreakAndMend(t *testing.T) {
	l := lab.Open(t)
	node := l.Nodes()[3]
	faults := []struct {
		name          string
		breakIt, mend func(*lab.Lab, lab.Node)
	}{
		{"killed", (*lab.Lab).KillNode, (*lab.Lab).StartNode},
		{"disconnected", (*lab.Lab).Disconnect, (*lab.Lab).Connect},
		{"unplugged", (*lab.Lab).Unplug, (*lab.Lab).Plug},
		{"isolated", (*lab.Lab).Isolate, (*lab.Lab).Rejoin},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			l := l.Sub(t)
			fault.breakIt(l, node)
			for _, address := range node.Addresses() {
				if report := l.Who(address); len(report.Answers) > 0 {
					t.Errorf("%s is %s, but %s", node.Name, fault.name, report)
				}
			}
			fault.mend(l, node)
			for _, address := range node.Addresses() {
				report := l.FirstAnswer(address, 5*time.Second)
				if len(report.Answers) != 1 {
					t.Errorf("%s is mended, but %s", node.Name, report)
				}
			}
		})
	}
}
