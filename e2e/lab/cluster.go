package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is the laboratory's cluster for whoever is no test. Nothing that it breaks is mended by itself.
type Cluster struct {
	Clientset kubernetes.Interface

	runDir, kubeconfig string
}

// Find returns the cluster that cluster.sh has made. The error says what to do if there is none.
func Find() (*Cluster, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	runDir, err := runDirPath()
	if err != nil {
		return nil, err
	}
	kubeconfig, err := kubeconfigPath()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // tests poll, and some write thousands of objects: the API server knows its limits
	clientset, err := kubernetes.NewForConfig(config)
	return &Cluster{Clientset: clientset, runDir: runDir, kubeconfig: kubeconfig}, err
}

// Nodes returns the nodes whose containers run, sorted by name.
func (c *Cluster) Nodes(ctx context.Context) ([]Node, error) { return nodes(ctx) }

// Kubectl runs kubectl as a user would and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return run(ctx, filepath.Join(c.runDir, "bin", "kubectl"), append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
}

// Docker runs the docker client and returns what it printed.
func (c *Cluster) Docker(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "docker", args...)
}

// SameAddresses returns an error if a node that was started again has not the addresses that it had.
func (c *Cluster) SameAddresses(ctx context.Context, node Node) error {
	now, err := inspectNode(ctx, node.Name)
	if err != nil {
		return err
	}
	if now.IPv4 != node.IPv4 || now.IPv6 != node.IPv6 {
		return fmt.Errorf("%s came back with %s and %s instead of %s and %s: recreate the cluster", node.Name, now.IPv4, now.IPv6, node.IPv4, node.IPv6)
	}
	return nil
}

// Ready returns an error unless a node is ready. One that was away for less than the grace period never was NotReady, so its
// kubelet's own word is asked for too.
func (c *Cluster) Ready(ctx context.Context, node Node) error {
	if _, err := run(ctx, "docker", "exec", node.Name, "curl", "-sf", "-m", "2", "http://127.0.0.1:10248/healthz"); err != nil {
		return fmt.Errorf("the kubelet is not healthy: %w", err)
	}
	object, err := c.Clientset.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("its Node is not Ready")
}

// Disconnect takes a node's interface away.
func (c *Cluster) Disconnect(ctx context.Context, node Node) error {
	if _, err := c.Docker(ctx, "network", "disconnect", NetworkName, node.Name); err != nil {
		return err
	}
	// Docker does not find an interface that Connect has renamed, and leaves it, which is no error to it.
	_, _ = c.Docker(ctx, "exec", node.Name, "ip", "link", "delete", "eth0")
	return nil
}

// Connect gives a disconnected node an interface with its old name and addresses. It does nothing to a node that is connected.
func (c *Cluster) Connect(ctx context.Context, node Node) error {
	now, err := inspectNode(ctx, node.Name)
	if err != nil || now.IPv4.IsValid() {
		return err
	}
	_, err = c.Docker(ctx, "network", "connect", "--ip", node.IPv4.String(), "--ip6", node.IPv6.String(), NetworkName, node.Name)
	if err == nil {
		_, err = c.Docker(ctx, "exec", node.Name, "sh", "-ec", renameToEth0)
	}
	return err
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

// SetPort changes the host's end of a node's link with words of `ip link set`: down and up for its carrier, nomaster and master with
// [BridgeName] for its place in the bridge. It needs root on the host.
func (c *Cluster) SetPort(ctx context.Context, node Node, change ...string) error {
	peer, err := c.Docker(ctx, "exec", node.Name, "cat", "/sys/class/net/eth0/iflink")
	if err != nil {
		return err
	}
	paths, err := filepath.Glob("/sys/class/net/*/ifindex")
	if err != nil {
		return err
	}
	for _, path := range paths {
		index, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(index)) != strings.TrimSpace(peer) {
			continue
		}
		_, err = run(ctx, "ip", append([]string{"link", "set", filepath.Base(filepath.Dir(path))}, change...)...)
		return err
	}
	return fmt.Errorf("the host has no interface %s, the other end of %s's eth0", strings.TrimSpace(peer), node.Name)
}
