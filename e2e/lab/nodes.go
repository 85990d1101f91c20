package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Node is a node of the cluster and the container of the same name.
type Node struct {
	Name string
	MAC  string // of eth0, in lower case
	IPv4 netip.Addr
	IPv6 netip.Addr
}

// Addresses returns the node's addresses of both families.
func (n Node) Addresses() []netip.Addr { return []netip.Addr{n.IPv4, n.IPv6} }

// Nodes returns the nodes whose containers run, sorted by name.
func (l *Lab) Nodes() []Node {
	l.t.Helper()
	nodes, err := nodes(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return nodes
}

func nodes(ctx context.Context) ([]Node, error) {
	names, err := nodeNames(ctx)
	if err != nil {
		return nil, err
	}
	var found []Node
	for _, name := range names {
		node, err := inspectNode(ctx, name)
		if err != nil {
			return nil, err
		}
		found = append(found, node)
	}
	slices.SortFunc(found, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// nodeNames returns those of the nodes whose containers run and fit the filters of docker ps.
func nodeNames(ctx context.Context, filters ...string) ([]string, error) {
	args := []string{"ps", "--filter", "label=io.x-k8s.kind.cluster=" + clusterName, "--format", "{{.Names}}"}
	for _, f := range filters {
		args = append(args, "--filter", f)
	}
	output, err := run(ctx, "docker", args...)
	return strings.Fields(output), err
}

func inspectNode(ctx context.Context, name string) (Node, error) {
	output, err := run(ctx, "docker", "inspect", "--format", `{{json (index .NetworkSettings.Networks "`+NetworkName+`")}}`, name)
	if err != nil {
		return Node{}, err
	}
	// Absent while the node is disconnected: the fields stay empty.
	var endpoint struct{ MacAddress, IPAddress, GlobalIPv6Address string }
	if err := json.Unmarshal([]byte(output), &endpoint); err != nil {
		return Node{}, fmt.Errorf("docker inspect %s: %w", name, err)
	}
	node := Node{Name: name, MAC: endpoint.MacAddress}
	for text, address := range map[string]*netip.Addr{endpoint.IPAddress: &node.IPv4, endpoint.GlobalIPv6Address: &node.IPv6} {
		if text == "" {
			continue
		}
		if *address, err = netip.ParseAddr(text); err != nil {
			return Node{}, fmt.Errorf("docker inspect %s: %w", name, err)
		}
	}
	return node, nil
}

// NodeByMAC returns the node that an answer on the wire came from.
func (l *Lab) NodeByMAC(mac string) Node {
	l.t.Helper()
	for _, node := range l.Nodes() {
		if strings.EqualFold(node.MAC, mac) {
			return node
		}
	}
	l.t.Fatalf("no running node has the MAC address %s", mac)
	return Node{}
}

// TryOnNode is ExecOnNode for what may fail.
func (l *Lab) TryOnNode(ctx context.Context, node Node, command ...string) (string, error) {
	return run(ctx, "docker", append([]string{"exec", node.Name}, command...)...)
}

// ExecOnNode runs a command in a node's container and returns what it printed.
func (l *Lab) ExecOnNode(node Node, command ...string) string {
	l.t.Helper()
	return l.docker(append([]string{"exec", node.Name}, command...)...)
}

// ForgetHalfOpen lets the nodes forget the connections that were begun in vain, but for nodes that are paused. A packet that a node
// gets before kube-proxy has rules for its address, or after, passes as it is; the node remembers that for two minutes, and later
// connections from the same port pass as well.
func (l *Lab) ForgetHalfOpen() {
	l.t.Helper()
	// It exits with 1 also where there was nothing to forget.
	l.onRunningNodes("for family in ipv4 ipv6; do conntrack -D -f $family -p tcp --state SYN_SENT 2>&1 >/dev/null; done; true", func(output string) error {
		if strings.Count(output, "deleted") != 2 {
			return errors.New(output)
		}
		return nil
	})
}

// forgetNeighbours lets the nodes' kernels forget who had these addresses. One that owns an address sends what is for no Service there on to who
// had it before, which sends it back.
func (l *Lab) forgetNeighbours(addresses []netip.Addr) {
	l.t.Helper()
	var script strings.Builder
	for _, a := range addresses {
		fmt.Fprintf(&script, "ip neigh del %s dev eth0 2>/dev/null; ", a)
	}
	l.onRunningNodes(script.String()+"true", func(string) error { return nil })
}

// onRunningNodes runs a shell's script on all nodes at once, but for those that are stopped or paused. The test fails where the script does, or
// where what it printed does not pass.
func (l *Lab) onRunningNodes(script string, passes func(output string) error) {
	l.t.Helper()
	running, err := nodeNames(context.Background(), "status=running")
	l.must(err)
	failures := make([]error, len(running))
	var all sync.WaitGroup
	for i, name := range running {
		all.Go(func() {
			output, err := l.TryOnNode(context.Background(), Node{Name: name}, "sh", "-c", script)
			if err == nil {
				err = passes(output)
			}
			failures[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		l.t.Fatalf("on the nodes: %s: %v", script, err)
	}
}

// KillSpeaker sends SIGKILL to the speaker process on a node. Its pod restarts.
func (l *Lab) KillSpeaker(node Node) {
	l.t.Helper()
	l.ExecOnNode(node, "pkill", "-KILL", "-x", "speaker")
}

// SpeakerPID returns the process of the speaker on a node, 0 if there is none.
func (l *Lab) SpeakerPID(node Node) int {
	l.t.Helper()
	output, _ := run(context.Background(), "docker", "exec", node.Name, "pgrep", "-x", "speaker")
	pid, _ := strconv.Atoi(strings.TrimSpace(output))
	return pid
}
