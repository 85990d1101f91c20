package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

// TestRolloutMovesNothing exchanges all speakers under load. Each address stays on its node, whose connections last.
func TestRolloutMovesNothing(t *testing.T) {
	in, addrs := exposedMany(t, 3)
	load := in.startLoad(addrs)
	ended := in.followSpeakers()
	began := time.Now()
	in.MustKubectl("-n", systemNamespace, "rollout", "restart", "daemonset/speaker")
	in.MustKubectl("-n", systemNamespace, "rollout", "status", "daemonset/speaker", "--timeout=180s")
	in.waitForPods()
	t.Logf("all speakers exchanged after %v", time.Since(began).Round(100*time.Millisecond))
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
	load.checkNobodyMoved(ended()...)
	for _, node := range in.Nodes() {
		if n := in.speakerMetric(node, "lanlord_speaker_ownership_changes_total"); n != 0 {
			t.Errorf("the new speaker on %s counts %v changes of ownership", node.Name, n)
		}
	}
}

// TestKeysRotated exchanges the key of the gossip under load, in the steps of docs/operations.md.
func TestKeysRotated(t *testing.T) {
	in, addrs := exposedMany(t, 1)
	load := in.startLoad(addrs)
	const secret = "lanlord-gossip"
	old := in.MustKubectl("-n", systemNamespace, "get", "secret", secret, "-o", "jsonpath={.data.key-1}")
	const next = "Z29zc2lwLWtleS1vZi10aGUtZW5kLXRvLWVuZC10ZXN0cyE="
	counted := map[string]float64{}
	for _, node := range in.Nodes() {
		counted[node.Name] = in.speakerMetric(node, `lanlord_membership_events_total{event="left"}`)
	}
	for i, patch := range []string{
		fmt.Sprintf(`{"data":{"key-2":%q}}`, next),
		fmt.Sprintf(`{"data":{"key-1":%q,"key-2":%q}}`, next, old),
		`{"data":{"key-2":null}}`,
	} {
		in.MustKubectl("-n", systemNamespace, "patch", "secret", secret, "-p", patch)
		took := in.WaitFor("all speakers to have the keys", patience, func(context.Context) error {
			for node, text := range in.speakerLogs(nil) {
				if n := strings.Count(text, "gossip keys changed"); n != i+1 {
					return fmt.Errorf("the speaker on %s has changed its keys %d times", node, n)
				}
			}
			return nil
		})
		t.Logf("step %d had reached all speakers after %v", i+1, took.Round(10*time.Millisecond))
	}
	// Two rounds of the gossip's exchange of state, and of asking each member, with nothing but the new key.
	in.StartWatch(addrs[0], 5*time.Second).Wait()
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
	load.checkNobodyMoved()
	for _, node := range in.Nodes() {
		ready := in.speakerMetric(node, `lanlord_membership_members{state="ready"}`)
		left := in.speakerMetric(node, `lanlord_membership_events_total{event="left"}`) - counted[node.Name]
		refused := in.speakerMetric(node, `lanlord_membership_refused_total{reason="key"}`)
		if ready != 4 || left != 0 || refused != 0 {
			t.Errorf("%s: %v members are ready, %v left, %v messages with a strange key; want 4, 0, 0", node.Name, ready, left, refused)
		}
	}
}

// TestDrain drains the node that answers: by default that moves nothing, and with move-on-cordon the address moves at once.
func TestDrain(t *testing.T) {
	in, addr, owner := exposed(t, lab.IPv4)
	uncordon := func() { in.MustKubectl("uncordon", owner.Name) }
	t.Cleanup(uncordon)
	drain := func() {
		in.MustKubectl("drain", owner.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s")
	}
	load := in.startLoad([]netip.Addr{addr})
	drain()
	if seen := in.StartWatch(addr, 3*time.Second).Wait(); !slices.Equal(seen.MACs(), []string{owner.MAC}) {
		t.Errorf("%s was drained: %s; want only %s", owner.Name, seen, owner.MAC)
	}
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
	uncordon()

	in.configure(pool(addr) + "layer2: {move-on-cordon: true}\n")
	load = in.startLoad([]netip.Addr{addr})
	drain()
	successor := in.waitForAnother(addr, owner)
	load.stop()
	load.checkNothingLost(1)
	uncordon()
	if seen := in.StartWatch(addr, 3*time.Second).Wait(); !slices.Equal(seen.MACs(), []string{successor.MAC}) {
		t.Errorf("%s was uncordoned: %s; want only %s of %s, for as long as failback says", owner.Name, seen, successor.MAC, successor.Name)
	}
}

// TestPreferNode moves an address to the node that its Service names, and back when failback says so.
func TestPreferNode(t *testing.T) {
	const failback = 5 * time.Second
	in, addr, owner := exposed(t, lab.IPv4)
	in.configure(pool(addr) + fmt.Sprintf("layer2: {failback: %v}\n", failback))
	var other lab.Node
	for _, node := range in.Nodes() {
		if node.Name != owner.Name && node.Name != "lanlord-control-plane" {
			other = node
		}
	}
	load := in.startLoad([]netip.Addr{addr})
	asked := time.Now()
	in.MustKubectl("-n", in.namespace, "annotate", "service", "web", "lanlord.io/prefer-node="+other.Name)
	if got := in.waitForAnother(addr, owner); got.Name != other.Name {
		t.Errorf("%s answers, want %s", got.Name, other.Name)
	}
	t.Logf("moved %v after the annotation", time.Since(asked).Round(10*time.Millisecond))
	in.waitForEvent(in.namespace, "Service", "web", "Announced", other.Name)

	asked = time.Now()
	in.MustKubectl("-n", in.namespace, "annotate", "service", "web", "lanlord.io/prefer-node-")
	if got := in.waitForAnother(addr, other); got.Name != owner.Name {
		t.Errorf("%s answers, want %s", got.Name, owner.Name)
	}
	took := time.Since(asked)
	t.Logf("moved back %v after the annotation was removed, with failback %v", took.Round(10*time.Millisecond), failback)
	if took < failback {
		t.Errorf("it came back after %v, before the %v of failback", took, failback)
	}
	load.stop()
	load.checkNothingLost(2)
}

// TestOwnerGone takes the node that answers away from the cluster, or its processes, or its network, and gives it back.
func TestOwnerGone(t *testing.T) {
	in, addr, owner := exposed(t, lab.IPv4)
	for _, fault := range []struct {
		name            string
		breakIt, mendIt func(lab.Node)
		forwards        bool // the node goes on doing so, and clients that know it notice nothing
	}{
		{"deleted", in.DeleteNode, in.AddNode, true},
		{"paused", in.Pause, in.Unpause, true},
		{"disconnected", in.Disconnect, in.Connect, false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			load := in.startLoad([]netip.Addr{addr})
			began := time.Now()
			fault.breakIt(owner)
			successor := in.waitForAnother(addr, owner)
			took := time.Since(began)
			load.stop()
			t.Logf("%s %s: %s answers alone %v later", owner.Name, fault.name, successor.Name, took.Round(10*time.Millisecond))
			if longest := load.longest(); longest > 15*time.Second || fault.forwards && longest > 2*time.Second {
				t.Errorf("datagrams were lost for %v", longest)
			}

			load = in.startLoad([]netip.Addr{addr})
			watch := in.StartWatch(addr, 8*time.Second)
			fault.mendIt(owner)
			seen := watch.Wait()
			t.Logf("%s mended: %s", owner.Name, seen)
			answered := 0
			for _, a := range seen.Answers {
				answered += a.Count
			}
			t.Logf("two nodes answered for %v; %d of %d questions had no answer", max(0, seen.Overlap()), max(0, seen.Sent-answered), seen.Sent)
			if both := seen.Overlap(); both > time.Second {
				t.Errorf("two nodes answered for %v: %s", both, seen)
			}
			if answered < seen.Sent*7/8 { // that is a second without an owner
				t.Errorf("%d of %d questions had an answer: %s", answered, seen.Sent, seen)
			}
			in.waitForSpeaker(owner)
			last := in.owner(addr)
			if last.Name != successor.Name {
				t.Errorf("%s answers, want %s for as long as failback says", last.Name, successor.Name)
			}
			load.stop()
			if longest := load.longest(); longest > 2*time.Second {
				t.Errorf("datagrams were lost for %v when %s came back", longest, owner.Name)
			}
			in.waitForPods()
			owner = last
		})
	}
}

// exposedMany is some Services of two addresses each, served from the control plane, and their addresses.
func exposedMany(t *testing.T, n int) (*installation, []netip.Addr) {
	t.Helper()
	l := lab.Open(t)
	v4, v6 := l.FreeAddresses(lab.IPv4, n), l.FreeAddresses(lab.IPv6, n)
	in := install(t, l, v4...)
	in.configure(fmt.Sprintf("address-pools:\n- {name: both, protocol: layer2, addresses: [%s-%s, \"%s-%s\"]}\n", v4[0], v4[n-1], v6[0], v6[n-1]))
	in.deployBeside("web")
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		in.expose("web", name, withEcho(families(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol)))
		in.waitForAddresses(name, v4[i], v6[i])
	}
	addrs := append(v4, v6...)
	for _, addr := range addrs {
		in.owner(addr)
		in.meetAllPods(addr, "web")
	}
	return in, addrs
}

// waitForAnother waits until one node answers alone, and not this one, and returns it.
func (in *installation) waitForAnother(addr netip.Addr, than lab.Node) lab.Node {
	in.t.Helper()
	var mac string
	in.WaitFor("another node to answer", patience, func(context.Context) error {
		report := in.Who(addr)
		if macs := report.MACs(); len(macs) != 1 || macs[0] == than.MAC {
			return fmt.Errorf("%s; %s is %s", report, than.Name, than.MAC)
		}
		mac = report.Answers[0].MAC
		return nil
	})
	return in.NodeByMAC(mac)
}
