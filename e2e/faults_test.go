package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/probe"
)

// deployBeside makes a Deployment whose pod is on the control plane. That node never announces (kubeadm labels it so),
// so that what a test measures is the address alone: the pods of a dead node are Kubernetes' to replace, in 40 s.
func (in *installation) deployBeside(name string) {
	in.t.Helper()
	in.MustKubectl("-n", in.namespace, "create", "deployment", name, "--image", lab.EchoImage)
	in.MustKubectl("-n", in.namespace, "patch", "deployment", name, "-p",
		`{"spec":{"template":{"spec":{"nodeName":"lanlord-control-plane"}}}}`)
	in.MustKubectl("-n", in.namespace, "rollout", "status", "deployment", name, "--timeout=120s")
	// The first pod, of before the patch, must be gone: it would be an endpoint on a node that a test kills.
	in.WaitFor("one pod of "+name, patience, func(context.Context) error {
		if pods := in.Pods(in.namespace, "app="+name); len(pods) != 1 {
			return fmt.Errorf("there are %v", pods)
		}
		return nil
	})
}

// load is requests often enough to see a gap of some hundredths of a second.
func load(addr netip.Addr) probe.Load {
	return probe.Load{URL: lab.URL(addr, 80), Every: 10 * time.Millisecond, Timeout: 250 * time.Millisecond}
}

// exposed is an address that is served from the control plane, and who answers for it.
func exposed(t *testing.T, family lab.Family) (*installation, netip.Addr, lab.Node) {
	t.Helper()
	l := lab.Open(t)
	addr := l.FreeAddresses(family, 1)[0]
	in := install(t, l, addr)
	in.deployBeside("web")
	var change func(*corev1.Service)
	if family == lab.IPv6 {
		change = families(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol)
	}
	in.expose("web", "web", withEcho(change))
	in.waitForAddresses("web", addr)
	owner := in.owner(addr)
	in.meetAllPods(addr, "web")
	return in, addr, owner
}

// TestLeaderDies takes the node away that answers, in several ways, while requests go on.
func TestLeaderDies(t *testing.T) {
	for _, family := range []lab.Family{lab.IPv4, lab.IPv6} {
		t.Run(family.String(), func(t *testing.T) {
			in, addr, owner := exposed(t, family)
			t.Run("node killed", func(t *testing.T) {
				owner = in.replaces(t, addr, owner, func() { in.KillNode(owner) }, func() { in.StartNode(owner) })
			})
			t.Run("node cut off", func(t *testing.T) {
				owner = in.replaces(t, addr, owner, func() { in.Isolate(owner) }, func() { in.Rejoin(owner) })
			})
		})
	}
}

// replaces breaks the owner of an address and mends it again, and returns who owns the address in the end. After each
// of the two there must be one owner, and no request may be lost for long.
func (in *installation) replaces(t *testing.T, addr netip.Addr, owner lab.Node, breakIt, mendIt func()) lab.Node {
	t.Helper()
	traffic := in.StartHTTP(load(addr))
	time.Sleep(500 * time.Millisecond) // of undisturbed traffic before the fault
	breakIt()
	in.WaitFor("another node to answer", patience, func(context.Context) error {
		report := in.Who(addr)
		if macs := report.MACs(); len(macs) != 1 || macs[0] == owner.MAC {
			return fmt.Errorf("%s; %s is %s", report, owner.Name, owner.MAC)
		}
		return nil
	})
	successor := in.owner(addr)
	report := traffic.Stop()
	t.Logf("%s gone, %s took over: %s", owner.Name, successor.Name, report)
	// The bound is not the goal, which is measured above, but what even a busy machine has to keep.
	if longest := report.Longest(); longest > 15*time.Second || len(report.Gaps) > 0 && report.Gaps[len(report.Gaps)-1].Open {
		t.Errorf("requests failed for %v: %+v", longest, report.Gaps)
	}

	traffic = in.StartHTTP(load(addr))
	mendIt()
	in.waitForSpeaker(owner)
	last := in.owner(addr)
	in.meetAllPods(addr, "web")
	report = traffic.Stop()
	t.Logf("%s back, %s answers: %s", owner.Name, last.Name, report)
	return last
}

// waitForSpeaker waits until the speaker on a node says itself that it is ready. What the API server knows lags behind: a
// node that was away for less than 40 s was never seen to be.
func (in *installation) waitForSpeaker(node lab.Node) {
	in.t.Helper()
	in.WaitFor("the speaker on "+node.Name, patience, func(ctx context.Context) error {
		_, err := in.TryOnNode(ctx, node, "curl", "-sf", "-m", "2", "http://127.0.0.1:7572/readyz")
		return err
	})
}

// TestSpeakerKilled kills the process that answers. Its node goes on forwarding for clients that know it.
func TestSpeakerKilled(t *testing.T) {
	in, addr, owner := exposed(t, lab.IPv4)
	before := in.SpeakerPID(owner)
	traffic := in.StartHTTP(load(addr))
	time.Sleep(500 * time.Millisecond) // of undisturbed traffic before the fault
	in.KillSpeaker(owner)
	// A client that does not know the address yet meets nobody until somebody takes over.
	answered := in.FirstAnswer(addr, 30*time.Second)
	t.Logf("speaker on %s killed: %s", owner.Name, answered)
	if len(answered.Answers) == 0 {
		t.Error("nobody answers")
	}
	in.WaitFor("a new speaker", patience, func(context.Context) error {
		if pid := in.SpeakerPID(owner); pid == 0 || pid == before {
			return fmt.Errorf("process %d, was %d", pid, before)
		}
		return nil
	})
	in.waitForSpeaker(owner)
	last := in.owner(addr)
	report := traffic.Stop()
	t.Logf("%s answers: %s", last.Name, report)
	if longest := report.Longest(); longest > 15*time.Second {
		t.Errorf("requests failed for %v: %+v", longest, report.Gaps)
	}
}

// TestSpeakerStopped stops the process that answers as a rollout does. It leaves only when another has taken over.
func TestSpeakerStopped(t *testing.T) {
	in, addr, owner := exposed(t, lab.IPv4)
	traffic := in.StartHTTP(load(addr))
	pods, err := in.Clientset.CoreV1().Pods(systemNamespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: "component=speaker", FieldSelector: "spec.nodeName=" + owner.Name,
	})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("speakers on %s: %v %v", owner.Name, pods, err)
	}
	in.MustKubectl("-n", systemNamespace, "delete", "pod", pods.Items[0].Name)
	in.waitForPods()
	last := in.owner(addr)
	report := traffic.Stop()
	t.Logf("speaker on %s stopped and started again, %s answers: %s", owner.Name, last.Name, report)
	if longest := report.Longest(); longest > time.Second {
		t.Errorf("requests failed for %v: %+v", longest, report.Gaps)
	}
}

// TestNodeExcluded takes a node out by its label, and in again.
func TestNodeExcluded(t *testing.T) {
	in, addr, owner := exposed(t, lab.IPv4)
	in.configure(pool(addr) + "layer2: {failback: 5s}\n")
	const label = "node.kubernetes.io/exclude-from-external-load-balancers"
	in.MustKubectl("label", "node", owner.Name, label+"=")
	t.Cleanup(func() { in.MustKubectl("label", "node", owner.Name, label+"-") })
	in.WaitFor("another node to answer", patience, func(context.Context) error {
		if macs := in.Who(addr).MACs(); len(macs) != 1 || macs[0] == owner.MAC {
			return fmt.Errorf("%v; %s is %s", macs, owner.Name, owner.MAC)
		}
		return nil
	})
	in.meetAllPods(addr, "web")
	in.MustKubectl("label", "node", owner.Name, label+"-")
	in.WaitFor(owner.Name+" to answer again", patience, func(context.Context) error {
		if macs := in.Who(addr).MACs(); !slices.Equal(macs, []string{owner.MAC}) {
			return fmt.Errorf("%v; %s is %s", macs, owner.Name, owner.MAC)
		}
		return nil
	})
}

// TestPolicyLocal keeps the address with the endpoints, and the client's address in the request.
func TestPolicyLocal(t *testing.T) {
	l := lab.Open(t)
	addr := l.FreeAddresses(lab.IPv4, 1)[0]
	in := install(t, l, addr)
	in.Deploy(in.namespace, "web", 1)
	in.expose("web", "web", func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	in.waitForAddresses("web", addr)
	workers := []string{"lanlord-worker", "lanlord-worker2", "lanlord-worker3"}
	for _, name := range workers {
		in.MustKubectl("-n", in.namespace, "patch", "deployment", "web", "-p",
			fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeName":%q}}}}`, name))
		in.MustKubectl("-n", in.namespace, "rollout", "status", "deployment", "web", "--timeout=120s")
		in.WaitFor(name+" to answer", patience, func(context.Context) error {
			if report := in.Who(addr); len(report.Answers) != 1 || in.NodeByMAC(report.MACs()[0]).Name != name {
				return fmt.Errorf("%s", report)
			}
			return nil
		})
		in.meetAllPods(addr, "web")
	}
	// Without an endpoint nobody answers, and the Service says why.
	in.MustKubectl("-n", in.namespace, "scale", "deployment", "web", "--replicas=0")
	in.nobodyAnswers(addr)
	in.waitForEvent(in.namespace, "Service", "web", "NoEndpoints", addr.String())
}

// TestControllerRestarts keeps every address, and serves what waited meanwhile.
func TestControllerRestarts(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 3)
	in := install(t, l, free...)
	in.Deploy(in.namespace, "web", 1)
	in.expose("web", "b", nil)
	in.waitForAddresses("b", free[0])
	in.expose("web", "a", nil)
	in.waitForAddresses("a", free[1])
	before, err := in.service(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	scale := func(replicas int) {
		patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
		if _, err := in.Clientset.AppsV1().Deployments(systemNamespace).Patch(t.Context(), "controller",
			types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	scale(0)
	in.MustKubectl("-n", systemNamespace, "wait", "pod", "-l", "component=controller", "--for=delete", "--timeout=60s")
	in.expose("web", "c", nil)
	in.meetAllPods(free[0], "web") // nobody needs the controller for what works
	scale(1)
	took := in.waitForAddresses("c", free[2])
	t.Logf("a Service that waited for the controller had its address %v after the Deployment was scaled up", took.Round(10*time.Millisecond))
	in.waitForPods()
	after, err := in.service(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if after.ResourceVersion != before.ResourceVersion {
		t.Errorf("the restart wrote a Service that had all it needs: %+v", after.Status)
	}
}
