package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What others than this package's own judges measure by.

// Host returns the machine of the API server.
func (l *Lab) Host() *Host { return l.host }

// Judge makes these the addresses that [Lab.Settle] and [Lab.Round] look at. They are the pool's.
func (l *Lab) Judge(addrs []netip.Addr) { l.addrs = slices.Clone(addrs) }

// Get returns what the speaker of a node, counted from 0, answers under a path of its HTTP server. Any other answer than 200 is
// an error.
func (l *Lab) Get(ctx context.Context, number int, path string) (string, error) {
	return l.get(ctx, l.nodes[number], path)
}

func (l *Lab) get(ctx context.Context, n *node, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.metrics()+path, nil)
	if err != nil {
		return "", err
	}
	response, err := l.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of %s: %s", path, n.name, response.Status)
	}
	return string(text), err
}

// Process returns the number of the process that is the speaker of a node, counted from 0, which must be running.
func (l *Lab) Process(number int) int { return l.nodes[number].speaker.Process.Pid }

// Restart tells the speaker of a node to stop, and starts it again when it has.
func (l *Lab) Restart(number int) error {
	n := l.nodes[number]
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := n.await(); err != nil {
		return err
	}
	return n.start()
}

// Traffic returns how many bytes a node has sent and received in a network, Ethernet headers included.
func (l *Lab) Traffic(number int, network Network) (sent, received uint64, err error) {
	end, err := l.nodes[number].link.LinkByName(interfaces[network])
	if err != nil {
		return 0, 0, err
	}
	s := end.Attrs().Statistics
	return s.TxBytes, s.RxBytes, nil
}

// Bystander returns a Node, counted from 0, that has no speaker and no part in the laboratory. It has no address that speakers
// look for each other at.
func Bystander(number int) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("other-%d", number)},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: host(lan4, firstNode+mostNodes+number).Addr().String()},
		}},
	}
}

// Pool returns the IPv4 addresses that may be announced, which the Services of others must not have.
func Pool() netip.Prefix { return services4 }
