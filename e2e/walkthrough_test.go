package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

// TestWalkThrough is what the reader of a book's chapter on MetalLB does, with Lanlord in its place.
func TestWalkThrough(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { walkThrough(t, lab.IPv4, nil) })
	t.Run("IPv6", func(t *testing.T) {
		walkThrough(t, lab.IPv6, families(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol))
	})
}

func walkThrough(t *testing.T, family lab.Family, change func(*corev1.Service)) {
	l := lab.Open(t)
	free := l.FreeAddresses(family, 3)
	in := install(t, l, free...)
	for _, name := range []string{"web", "shop"} {
		in.MustKubectl("-n", in.namespace, "create", "deployment", name, "--image", lab.EchoImage)
		in.MustKubectl("-n", in.namespace, "scale", "deployment", name, "--replicas=3")
		in.MustKubectl("-n", in.namespace, "rollout", "status", "deployment", name, "--timeout=120s")
	}

	// Addresses are given in order, at once, and answered for at once.
	exposed := time.Now()
	in.expose("web", "web", change)
	in.waitForAddresses("web", free[0])
	assigned := time.Since(exposed)
	if report := in.FirstAnswer(free[0], 10*time.Second); len(report.Answers) == 0 {
		t.Fatalf("nobody answers for %s", free[0])
	}
	answered := time.Since(exposed)
	t.Logf("expose to EXTERNAL-IP: %v; to the first answer on the wire: %v", assigned.Round(time.Millisecond), answered.Round(time.Millisecond))
	in.expose("shop", "shop", change)
	in.waitForAddresses("shop", free[1])
	for _, addr := range free[:2] {
		t.Logf("%s is answered for by %s", addr, in.owner(addr).Name)
	}
	checkVIP(t, in)

	// All pods are met, those that come later too.
	in.meetAllPods(free[0], "web")
	in.meetAllPods(free[1], "shop")
	in.MustKubectl("-n", in.namespace, "scale", "deployment", "web", "--replicas=6")
	in.MustKubectl("-n", in.namespace, "rollout", "status", "deployment", "web", "--timeout=120s")
	in.meetAllPods(free[0], "web")

	// The pool ends; whoever waits is told for what, and gets what comes free.
	in.expose("web", "third", change)
	in.waitForAddresses("third", free[2])
	in.expose("web", "fourth", change)
	in.waitForEvent(in.namespace, "Service", "fourth", "NoFreeAddress", "nginx-ip-range")
	description := in.MustKubectl("-n", in.namespace, "describe", "service", "fourth")
	if !strings.Contains(description, "NoFreeAddress") || !strings.Contains(description, "nginx-ip-range") {
		t.Errorf("kubectl describe does not say what the Service waits for:\n%s", description)
	}
	in.waitForAddresses("fourth")
	in.MustKubectl("-n", in.namespace, "delete", "service", "web")
	took := in.waitForAddresses("fourth", free[0])
	t.Logf("deleted Service's address given to the waiting one after %v", took.Round(time.Millisecond))
	in.meetAllPods(free[0], "web")

	// A Service that is no load balancer any more gives back what it has.
	in.MustKubectl("-n", in.namespace, "patch", "service", "shop", "-p", `{"spec":{"type":"ClusterIP"}}`)
	in.waitForAddresses("shop")
	in.WaitFor("shop to carry nothing of Lanlord", patience, func(ctx context.Context) error {
		s, err := in.service(ctx, "shop")
		if err != nil {
			return err
		}
		if len(s.Annotations) > 0 || len(s.Status.Conditions) > 0 {
			return fmt.Errorf("annotations %v, conditions %v", s.Annotations, s.Status.Conditions)
		}
		return nil
	})
	in.nobodyAnswers(free[1])
}

// checkVIP checks that the status is written as it should be: addresses with ipMode VIP, a condition, our annotation.
func checkVIP(t *testing.T, in *installation) {
	t.Helper()
	s, err := in.service(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range s.Status.LoadBalancer.Ingress {
		if i.IPMode == nil || *i.IPMode != corev1.LoadBalancerIPModeVIP {
			t.Errorf("ipMode of %s is %v, want VIP", i.IP, i.IPMode)
		}
	}
	if pool := s.Annotations["lanlord.io/ip-allocated-from-pool"]; pool != "nginx-ip-range" {
		t.Errorf("allocated from %q", pool)
	}
	if c := s.Status.Conditions; len(c) != 1 || c[0].Type != "lanlord.io/AddressAssigned" || c[0].Status != "True" {
		t.Errorf("conditions %+v", c)
	}
}

// nobodyAnswers waits until no node answers for an address.
func (in *installation) nobodyAnswers(addr netip.Addr) {
	in.t.Helper()
	in.WaitFor(fmt.Sprintf("nobody to answer for %s", addr), patience, func(context.Context) error {
		if report := in.Who(addr); len(report.Answers) > 0 {
			return fmt.Errorf("%s", report)
		}
		return nil
	})
}

// TestDualStack gives a Service an address of each family, in the order it asks for.
func TestDualStack(t *testing.T) {
	l := lab.Open(t)
	v4, v6 := l.FreeAddresses(lab.IPv4, 2), l.FreeAddresses(lab.IPv6, 2)
	in := install(t, l, v4...)
	in.configure(fmt.Sprintf(`address-pools:
- name: both
  protocol: layer2
  addresses: [%s-%s, "%s-%s"]
`, v4[0], v4[1], v6[0], v6[1]))
	in.Deploy(in.namespace, "web", 2)
	in.expose("web", "six-first", families(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol))
	in.waitForAddresses("six-first", v6[0], v4[0])
	in.expose("web", "four-first", families(corev1.IPFamilyPolicyPreferDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	in.waitForAddresses("four-first", v4[1], v6[1])
	for _, addr := range []netip.Addr{v4[0], v4[1], v6[0], v6[1]} {
		in.owner(addr)
		in.meetAllPods(addr, "web")
	}
}

// TestRequests covers what a Service may ask for, in MetalLB's spellings too.
func TestRequests(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 4)
	in := install(t, l, free[0])
	in.configure(fmt.Sprintf(`address-pools:
- {name: main, protocol: layer2, addresses: [%s-%s]}
- {name: special, protocol: layer2, auto-assign: false, addresses: [%s]}
`, free[0], free[2], free[3]))
	in.Deploy(in.namespace, "web", 1)
	annotate := func(key, value string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Annotations = map[string]string{key: value} }
	}

	in.expose("web", "by-field", func(s *corev1.Service) { s.Spec.LoadBalancerIP = free[2].String() })
	in.waitForAddresses("by-field", free[2])
	in.expose("web", "by-annotation", annotate("metallb.universe.tf/loadBalancerIPs", free[1].String()))
	in.waitForAddresses("by-annotation", free[1])
	in.expose("web", "by-pool", annotate("lanlord.io/address-pool", "special"))
	in.waitForAddresses("by-pool", free[3])
	in.expose("web", "taken", annotate("lanlord.io/load-balancer-ips", free[1].String()))
	in.waitForEvent(in.namespace, "Service", "taken", "AddressInUse", free[1].String(), in.namespace+"/by-annotation")
	in.expose("web", "nonsense", annotate("metallb.io/loadBalancerIPs", "next one please"))
	in.waitForEvent(in.namespace, "Service", "nonsense", "InvalidRequest", "metallb.io/loadBalancerIPs", "next one please")
	in.expose("web", "other-class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("example.com/other") })
	in.expose("web", "any", nil)
	in.waitForAddresses("any", free[0])
	in.waitForAddresses("other-class")
	in.meetAllPods(free[3], "web")
}
