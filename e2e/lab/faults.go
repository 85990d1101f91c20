package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KillNode kills a node at once, as a power cut does. (A paused one would go on
// forwarding.) It is started again when the test ends, unless StartNode was called.
func (l *Lab) KillNode(node Node) {
	l.t.Helper()
	l.docker("kill", node.Name)
	l.t.Cleanup(func() {
		l.t.Helper()
		l.StartNode(node)
	})
}

// StartNode starts a killed node and waits until it is ready, at its old addresses.
// It does nothing to a node that runs.
func (l *Lab) StartNode(node Node) {
	l.t.Helper()
	l.docker("start", node.Name)
	l.waitUntilReady(node)
}

func (l *Lab) waitUntilReady(node Node) {
	l.t.Helper()
	now, err := inspectNode(context.Background(), node.Name)
	if err != nil {
		l.t.Fatal(err)
	}
	if now.IPv4 != node.IPv4 || now.IPv6 != node.IPv6 {
		l.t.Fatalf("%s came back with %s and %s instead of %s and %s: recreate the cluster", node.Name, now.IPv4, now.IPv6, node.IPv4, node.IPv6)
	}
	// A node that was away for less than the grace period never was NotReady, so its
	// kubelet's own word is asked for too.
	l.WaitFor(node.Name+" to be ready", patience, func(ctx context.Context) error {
		if _, err := l.TryOnNode(ctx, node, "curl", "-sf", "-m", "2", "http://127.0.0.1:10248/healthz"); err != nil {
			return fmt.Errorf("the kubelet is not healthy: %w", err)
		}
		object, err := l.Clientset.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range object.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("its Node is not Ready")
	})
}

// Pause stops all processes of a node; its kernel goes on forwarding. They go on when the test ends, unless Unpause was called.
func (l *Lab) Pause(node Node) {
	l.t.Helper()
	l.docker("pause", node.Name)
	l.t.Cleanup(func() {
		l.t.Helper()
		if strings.TrimSpace(l.docker("inspect", "--format", "{{.State.Paused}}", node.Name)) == "true" {
			l.Unpause(node)
		}
	})
}

// Unpause lets the processes of a paused node go on. It does not wait for anything.
func (l *Lab) Unpause(node Node) {
	l.t.Helper()
	l.docker("unpause", node.Name)
}

// DeleteNode deletes a node from the cluster; all that runs on it goes on. It is added again when the test ends, unless
// AddNode was called.
func (l *Lab) DeleteNode(node Node) {
	l.t.Helper()
	l.t.Cleanup(func() {
		l.t.Helper()
		l.AddNode(node)
	})
	l.MustKubectl("delete", "node", node.Name)
}

// AddNode lets the kubelet of a deleted node register it again and waits until it is ready. It does nothing to a node that
// is part of the cluster.
func (l *Lab) AddNode(node Node) {
	l.t.Helper()
	_, err := l.Clientset.CoreV1().Nodes().Get(context.Background(), node.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		l.ExecOnNode(node, "systemctl", "restart", "kubelet")
	} else if err != nil {
		l.t.Fatal(err)
	}
	l.waitUntilReady(node)
}

// Disconnect takes a node's interface away. It is connected again when the test ends,
// unless Connect was called.
func (l *Lab) Disconnect(node Node) {
	l.t.Helper()
	l.docker("network", "disconnect", networkName, node.Name)
	// Docker does not find an interface that Connect has renamed, and leaves it, which is no error to it.
	_, _ = l.TryOnNode(context.Background(), node, "ip", "link", "delete", "eth0")
	l.t.Cleanup(func() {
		l.t.Helper()
		l.Connect(node)
	})
}

// Connect gives a disconnected node an interface with its old name and addresses and
// waits until it is ready. It does nothing to a node that is connected.
func (l *Lab) Connect(node Node) {
	l.t.Helper()
	now, err := inspectNode(context.Background(), node.Name)
	if err != nil {
		l.t.Fatal(err)
	}
	if !now.IPv4.IsValid() {
		l.docker("network", "connect", "--ip", node.IPv4.String(), "--ip6", node.IPv6.String(), networkName, node.Name)
		l.ExecOnNode(node, "sh", "-ec", renameToEth0)
	}
	l.waitUntilReady(node)
}

// renameToEth0 undoes that Docker gives the interface of a container that is connected
// again a new name. Before Linux 6.2 an interface that is up cannot be renamed, and
// taking it down would lose IPv6 addresses and the default routes.
const renameToEth0 = `
new=$(basename /sys/class/net/eth[1-9]*)
gateway4=$(ip -4 route show default | awk '{print $3}')
gateway6=$(ip -6 route show default | awk '{print $3}')
echo 1 >/proc/sys/net/ipv6/conf/$new/keep_addr_on_down
ip link set $new down
ip link set $new name eth0
ip link set eth0 up
ip -4 route replace default via $gateway4
ip -6 route replace default via $gateway6
`

// Unplug takes the carrier from a node's interface, as pulling its cable does. It needs
// root on the host. The node is plugged in again when the test ends, unless Plug was called.
func (l *Lab) Unplug(node Node) {
	l.t.Helper()
	l.setPort(node, "down")
	l.t.Cleanup(func() {
		l.t.Helper()
		l.Plug(node)
	})
}

// Plug gives the carrier back and waits until the node is ready.
func (l *Lab) Plug(node Node) {
	l.t.Helper()
	l.setPort(node, "up")
	l.waitUntilReady(node)
}

// Isolate takes a node's port out of the bridge: its link stays up but carries nothing,
// as behind a switch that lost its uplink. It needs root on the host. The node rejoins
// when the test ends, unless Rejoin was called.
func (l *Lab) Isolate(node Node) {
	l.t.Helper()
	l.setPort(node, "nomaster")
	l.t.Cleanup(func() {
		l.t.Helper()
		l.Rejoin(node)
	})
}

// Rejoin puts a node's port back and waits until the node is ready.
func (l *Lab) Rejoin(node Node) {
	l.t.Helper()
	l.setPort(node, "master", bridgeName)
	l.waitUntilReady(node)
}

// setPort changes the host's end of a node's link.
func (l *Lab) setPort(node Node, change ...string) {
	l.t.Helper()
	peer := strings.TrimSpace(l.ExecOnNode(node, "cat", "/sys/class/net/eth0/iflink"))
	paths, err := filepath.Glob("/sys/class/net/*/ifindex")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, path := range paths {
		index, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(index)) != peer {
			continue
		}
		port := filepath.Base(filepath.Dir(path))
		if _, err := run(context.Background(), "ip", append([]string{"link", "set", port}, change...)...); err != nil {
			l.t.Fatal(err)
		}
		return
	}
	l.t.Fatalf("the host has no interface %s, the other end of %s's eth0", peer, node.Name)
}
