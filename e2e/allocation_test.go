package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lanlord/lanlord/e2e/lab"
)

// onPort makes a Service listen on one TCP port and share its address under a key.
func onPort(port int32, key string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Annotations = map[string]string{"metallb.universe.tf/allow-shared-ip": key}
		s.Spec.Ports = []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(80)}}
	}
}

// TestSharing gives one address to Services that may share it, which then share its owner.
func TestSharing(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, free...)
	in.Deploy(in.namespace, "web", 2)
	in.expose("web", "first", onPort(80, "one"))
	in.waitForAddresses("first", free[0])
	in.expose("web", "second", onPort(81, "one"))
	in.waitForAddresses("second", free[0])
	in.expose("web", "clash", onPort(80, "one"))
	in.waitForAddresses("clash", free[1])
	in.expose("web", "stranger", onPort(82, "another"))
	in.waitForEvent(in.namespace, "Service", "stranger", "NoFreeAddress", "nginx-ip-range")
	in.owner(free[0])
	for _, port := range []int{80, 81} {
		in.WaitFor(fmt.Sprintf("port %d to answer", port), patience, func(context.Context) error {
			_, err := in.Get(lab.URL(free[0], port))
			return err
		})
	}
	in.MustKubectl("-n", in.namespace, "delete", "service", "first")
	in.waitForAddresses("second", free[0]) // it does not depend on who came first
	in.owner(free[0])
}

// TestRules has a quota, a reservation and a pool that is being drained, and says of each why a Service waits.
func TestRules(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 4)
	in := install(t, l, free...)
	in.Deploy(in.namespace, "web", 1)
	in.configure(fmt.Sprintf(`address-pools:
- name: main
  protocol: layer2
  addresses: [%s-%s]
  reserve: {%s: %s/vip}
  quota: {each: 2}
`, free[0], free[2], free[1], in.namespace))
	in.expose("web", "a", nil)
	in.waitForAddresses("a", free[0])
	in.expose("web", "b", nil)
	in.waitForAddresses("b", free[2]) // the one in between is reserved
	in.expose("web", "c", nil)
	in.waitForEvent(in.namespace, "Service", "c", "QuotaReached", `"main"`, in.namespace)
	in.expose("web", "vip", nil)
	in.waitForAddresses("vip", free[1])

	in.configure(fmt.Sprintf("address-pools:\n- {name: main, protocol: layer2, disabled: true, addresses: [%s-%s]}\n", free[0], free[3]))
	in.MustKubectl("-n", in.namespace, "delete", "service", "b")
	in.waitForEvent(in.namespace, "Service", "c", "NoPool")
	in.waitForAddresses("a", free[0])
	in.waitForAddresses("c")
}

// TestNeverHandedOut has a pool of nothing but addresses that others have: the network's own, the gateway's, the nodes'.
func TestNeverHandedOut(t *testing.T) {
	l := lab.Open(t)
	nodes := l.Nodes()
	gateway := netip.MustParseAddr(strings.TrimSpace(l.ExecOnNode(nodes[0], "sh", "-c", "ip -4 route show default | cut -d' ' -f3")))
	in := install(t, l, l.FreeAddresses(lab.IPv4, 1)...)
	addresses := []string{gateway.Prev().String(), gateway.String()}
	for _, node := range nodes {
		addresses = append(addresses, node.IPv4.String())
	}
	in.configure(fmt.Sprintf("address-pools:\n- {name: taken, protocol: layer2, addresses: [%s]}\n", strings.Join(addresses, ", ")))
	in.expose("web", "any", nil)
	in.waitForEvent(in.namespace, "Service", "any", "NoFreeAddress", `"taken"`)
	in.expose("web", "gateway", func(s *corev1.Service) { s.Spec.LoadBalancerIP = gateway.String() })
	in.waitForEvent(in.namespace, "Service", "gateway", "AddressTaken", gateway.String(), "gateway")
	in.expose("web", "node", func(s *corev1.Service) { s.Spec.LoadBalancerIP = nodes[1].IPv4.String() })
	in.waitForEvent(in.namespace, "Service", "node", "AddressTaken", nodes[1].Name)
	in.waitForAddresses("any")
}

// TestAgainstCluster tells beforehand what a configuration would change.
func TestAgainstCluster(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 3)
	in := install(t, l, free[:2]...)
	in.expose("web", "stays", func(s *corev1.Service) { s.Spec.LoadBalancerIP = free[1].String() })
	in.waitForAddresses("stays", free[1])
	in.expose("web", "moves", nil)
	in.waitForAddresses("moves", free[0])

	file := filepath.Join(t.TempDir(), "next.yaml")
	if err := os.WriteFile(file, []byte(pool(free[1:]...)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("../bin/controller", "--check-config="+file, "--against-cluster", "--namespace="+systemNamespace,
		"--kubeconfig="+in.Kubeconfig())
	output, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Fatalf("%v: %s; want exit status 1, because a Service would lose its address", err, output)
	}
	t.Logf("%s", output)
	line := fmt.Sprintf("%s/moves  %s  %s", in.namespace, free[0], free[2])
	if !strings.Contains(string(output), line) || strings.Contains(string(output), in.namespace+"/stays") {
		t.Errorf("want a line %q, and none about stays", line)
	}
	in.configure(pool(free[1:]...))
	in.waitForAddresses("moves", free[2])
	in.waitForAddresses("stays", free[1])
}

// TestPing pings an address from another host: one answer for each request. The node's kernel, which forwards what is not
// for a Service's port, may send redirects beside them; docs/layer2.md has the remedy.
func TestPing(t *testing.T) {
	for _, family := range []lab.Family{lab.IPv4, lab.IPv6} {
		t.Run(family.String(), func(t *testing.T) {
			in, addr, _ := exposed(t, family)
			output, _ := in.Exec("ping", "-i", "0.2", "-c", "10", addr.String()) // redirects count for -c, and in its status
			var sent, received int
			for line := range strings.Lines(output) {
				if strings.Contains(line, "packets transmitted") {
					if _, err := fmt.Sscanf(line, "%d packets transmitted, %d received", &sent, &received); err != nil {
						t.Fatal(err)
					}
				}
			}
			// The last request may be on its way when ping ends.
			if received < 4 || received < sent-1 || strings.Contains(output, "DUP!") {
				t.Errorf("%d of %d requests were answered\n%s", received, sent, output)
			}
		})
	}
}
