package lab

import (
	"context"
	"strings"

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
	if err := l.cluster.SameAddresses(context.Background(), node); err != nil {
		l.t.Fatal(err)
	}
	l.WaitFor(node.Name+" to be ready", patience, func(ctx context.Context) error { return l.cluster.Ready(ctx, node) })
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
	l.must(l.cluster.Disconnect(context.Background(), node))
	l.t.Cleanup(func() {
		l.t.Helper()
		l.Connect(node)
	})
}

// Connect gives a disconnected node an interface with its old name and addresses and
// waits until it is ready. It does nothing to a node that is connected.
func (l *Lab) Connect(node Node) {
	l.t.Helper()
	l.must(l.cluster.Connect(context.Background(), node))
	l.waitUntilReady(node)
}

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
	l.setPort(node, "master", BridgeName)
	l.waitUntilReady(node)
}

// setPort changes the host's end of a node's link.
func (l *Lab) setPort(node Node, change ...string) {
	l.t.Helper()
	l.must(l.cluster.SetPort(context.Background(), node, change...))
}

// must fails the test for an error.
func (l *Lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}
