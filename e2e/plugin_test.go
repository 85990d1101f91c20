package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/lab"
)

// plugin runs kubectl-lanlord of make build as a user's kubectl would, and returns what it prints and its exit status.
func (in *installation) plugin(ctx context.Context, args ...string) (string, int) {
	in.t.Helper()
	bin, err := filepath.Abs("../bin")
	if err != nil {
		in.t.Fatal(err)
	}
	command := exec.CommandContext(ctx, filepath.Join(bin, "kubectl-lanlord"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+in.Kubeconfig())
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), exit.ExitCode()
	}
	if err != nil {
		in.t.Fatalf("%v; make build makes the plugin", err)
	}
	return out.String(), 0
}

// waitForPlugin waits until a command prints all of the texts and exits with a status, logs what it printed, and returns it.
func (in *installation) waitForPlugin(status int, line string, texts ...string) string {
	in.t.Helper()
	var out string
	took := in.WaitFor(fmt.Sprintf("kubectl lanlord %s to print %q", line, texts), patience, func(ctx context.Context) error {
		var got int
		if out, got = in.plugin(ctx, strings.Fields(line)...); got != status {
			return fmt.Errorf("exit status %d, want %d:\n%s", got, status, out)
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return fmt.Errorf("no %q in\n%s", text, out)
			}
		}
		return nil
	})
	in.t.Logf("after %v: kubectl lanlord %s\n%s", took.Round(10*time.Millisecond), line, out)
	return out
}

// TestPluginNamesTheCause breaks things on purpose, one after the other, and holds the plugin to naming the cause.
func TestPluginNamesTheCause(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 3)
	in := install(t, l, free...)
	good := pool(free...) + "layer2: {failback: 1s}\n"
	in.configure(good)
	in.deployBeside("web")
	in.expose("web", "web", nil)
	in.waitForAddresses("web", free[0])
	owner := in.owner(free[0])
	name := in.namespace + "/web"

	t.Run("nothing is wrong", func(t *testing.T) {
		in := in.sub(t)
		in.waitForPlugin(0, "doctor", "nothing is wrong", "all 4 speakers hear each other")
		in.waitForPlugin(0, "status", owner.Name, "nginx-ip-range")
		in.waitForPlugin(0, "who "+free[0].String(), fmt.Sprintf("%s of %s: the node %s answers, since ", free[0], name, owner.Name))
		in.waitForPlugin(0, "why "+name, name+": Assigned", "Announced")
		in.waitForPlugin(0, "version", "lanlord/lanlord:dev")
		in.checkServices(name, free[0], owner)
	})
	t.Run("an address moves to a node and back", func(t *testing.T) { in.sub(t).moveAndBack(name, free[0], owner) })
	t.Run("the pool is full", func(t *testing.T) { in.sub(t).fillPool(free) })
	t.Run("the configuration is bad", func(t *testing.T) {
		in := in.sub(t)
		in.configure("address-pools:\n- name: nginx-ip-range\n  protocol: layer3\n")
		in.waitForPlugin(1, "doctor", "the ConfigMap metallb-system/config is refused", "line 3", "the last good one stays in use")
		in.waitForPlugin(0, "pools", "is refused", "The last good one is in use", "nginx-ip-range")
		in.configure(good)
		in.waitForPlugin(0, "doctor", "nothing is wrong")
	})
	t.Run("gossip is blocked", func(t *testing.T) { in.sub(t).blockGossip(owner) })
	t.Run("a speaker hangs", func(t *testing.T) {
		in := in.sub(t)
		node := in.owner(free[0])
		in.ExecOnNode(node, "pkill", "-STOP", "-x", "speaker")
		t.Cleanup(func() { in.ExecOnNode(node, "pkill", "-CONT", "-x", "speaker") })
		in.waitForPlugin(1, "doctor", "the speaker on "+node.Name+" is not ready")
		in.ExecOnNode(node, "pkill", "-CONT", "-x", "speaker")
		in.waitForPlugin(0, "doctor", "nothing is wrong")
	})
	// Last, since a stranger is told of for a minute after it has gone.
	t.Run("a stranger has the address", func(t *testing.T) {
		in := in.sub(t)
		stranger := in.StartStranger()
		stranger.Take(free[0])
		stranger.Claim(free[0])
		in.waitForPlugin(1, "who "+free[0].String(), stranger.MAC, "AddressConflict")
		in.waitForPlugin(1, "why "+name, name+": AddressConflict", stranger.MAC)
		in.waitForPlugin(1, "doctor", "the host "+stranger.MAC+", which is no node, answers for "+free[0].String())
	})
}

// sub is the installation for a subtest.
func (in *installation) sub(t *testing.T) *installation {
	sub := *in
	sub.Lab, sub.t = in.Lab.Sub(t), t
	return &sub
}

// checkServices reads the JSON of services as a script would.
func (in *installation) checkServices(name string, addr netip.Addr, owner lab.Node) {
	in.t.Helper()
	out, _ := in.plugin(in.t.Context(), "services", "-o", "json")
	var list struct {
		Services []struct {
			Namespace, Name string
			Addresses       []struct {
				Address netip.Addr
				Nodes   []string
				State   string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		in.t.Fatalf("%v in %s", err, out)
	}
	for _, s := range list.Services {
		if s.Namespace+"/"+s.Name != name {
			continue
		}
		if a := s.Addresses; len(a) != 1 || a[0].Address != addr || a[0].State != "Announced" || !slices.Equal(a[0].Nodes, []string{owner.Name}) {
			in.t.Errorf("%s: %+v, want %s on %s", name, a, addr, owner.Name)
		}
		return
	}
	in.t.Errorf("%s is not in %s", name, out)
}

// moveAndBack asks for another node and ceases to, and looks on the wire who answers.
func (in *installation) moveAndBack(name string, addr netip.Addr, owner lab.Node) {
	in.t.Helper()
	other := in.anotherSpeaker(owner)
	in.waitForPlugin(2, "move "+name+" no-such-node", `there is no node "no-such-node"`)
	in.waitForPlugin(2, "move "+name+" lanlord-control-plane", "exclude-from-external-load-balancers")
	for _, step := range []struct {
		line     string
		from, to lab.Node
	}{{"move " + name + " " + other.Name, owner, other}, {"move " + name + " --back", other, owner}} {
		began := time.Now()
		out, status := in.plugin(in.t.Context(), strings.Fields(step.line)...)
		in.t.Logf("kubectl lanlord %s, %v\n%s", step.line, time.Since(began).Round(10*time.Millisecond), out)
		fields := strings.Fields(out)
		fields = fields[max(0, len(fields)-3):]
		if status != 0 || len(fields) < 3 || fields[0] != addr.String() || fields[2] != step.to.Name {
			in.t.Fatalf("exit status %d, want a move from %s to %s", status, step.from.Name, step.to.Name)
		}
		if from := fields[1]; from != step.from.Name { // another node has taken over from one that got no CPU
			in.waitForEvent(in.namespace, "Service", "web", "Announced", fmt.Sprintf("node %q answers for %s", from, addr))
		}
		if now := in.owner(addr); now.Name != step.to.Name {
			in.t.Errorf("%s answers, want %s", now.Name, step.to.Name)
		}
	}
}

// anotherSpeaker is a node that may announce and is not this one.
func (in *installation) anotherSpeaker(than lab.Node) lab.Node {
	in.t.Helper()
	for _, node := range in.Nodes() {
		if node.Name != than.Name && node.Name != "lanlord-control-plane" {
			return node
		}
	}
	in.t.Fatal("there is one worker only")
	return lab.Node{}
}

// fillPool has more Services than addresses.
func (in *installation) fillPool(free []netip.Addr) {
	in.t.Helper()
	for i, addr := range free[1:] {
		service := fmt.Sprintf("more-%d", i)
		in.expose("web", service, nil)
		in.waitForAddresses(service, addr)
	}
	in.expose("web", "late", nil)
	in.waitForPlugin(1, "-n "+in.namespace+" why late", "NoFreeAddress", `pool "nginx-ip-range" has 0 of 3`)
	in.waitForPlugin(1, "doctor", `the pool "nginx-ip-range" is full: 3 of 3 IPv4 addresses are used, and 1 Service waits for one`, in.namespace+"/late")
	in.MustKubectl("-n", in.namespace, "delete", "service", "more-0", "more-1", "late", "--wait")
	in.waitForPlugin(0, "doctor", "nothing is wrong")
}

// blockGossip drops gossip on one node, and nothing else.
func (in *installation) blockGossip(node lab.Node) {
	in.t.Helper()
	const rules = `table inet lanlord_e2e {
	chain input { type filter hook input priority -200; meta l4proto { tcp, udp } th dport 7950 drop; }
	chain output { type filter hook output priority -200; meta l4proto { tcp, udp } th dport 7950 drop; }
}`
	mend := func() {
		_, _ = in.TryOnNode(context.Background(), node, "nft", "delete", "table", "inet", "lanlord_e2e")
	}
	in.t.Cleanup(mend)
	in.ExecOnNode(node, "nft", rules)
	in.waitForPlugin(1, "doctor", "gossip does not pass between "+node.Name+" and any other node", "port 7950")
	mend()
	in.waitForPlugin(0, "doctor", "all 4 speakers hear each other")
}
