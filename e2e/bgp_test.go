package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/metallb"
	"github.com/lanlord/lanlord/e2e/probe"
)

const (
	nodeASN   = 64512
	routerASN = 64513
)

// routed is Lanlord on the laboratory's cluster beside a router.
type routed struct {
	*installation
	router *lab.Router
	// workers are the nodes that announce: kubeadm labels the control plane so that it does not.
	workers []lab.Node
}

// installRouted starts a router that is the peer of all nodes, and installs Lanlord with a pool that is announced to
// it.
func installRouted(t *testing.T) *routed {
	t.Helper()
	l := lab.Open(t)
	var peers []lab.RouterPeer
	for _, n := range l.Nodes() {
		peers = append(peers, lab.RouterPeer{Address: n.IPv4, ASN: nodeASN, Password: "of-the-routers", BFD: true})
	}
	r := &routed{router: l.StartRouter(routerASN, nil, peers)}
	r.installation = install(t, l, netip.MustParseAddr("198.51.100.1"))
	r.workers = slices.DeleteFunc(
		l.Nodes(),
		func(n lab.Node) bool { return strings.HasSuffix(n.Name, "control-plane") },
	)
	r.configure(fmt.Sprintf(`peers:
- {my-asn: %d, peer-asn: %d, peer-address: %s, hold-time: 9s, password: of-the-routers, bfd-profile: default}
bfd-profiles:
- {name: default}
address-pools:
- name: routed
  protocol: bgp
  addresses: [198.51.100.0/28, "fd00:198::/124"]
`, nodeASN, routerASN, r.router.IPv4))
	r.WaitFor("the router's sessions", patience, func(ctx context.Context) error {
		_, err := r.router.Established(ctx)
		return err
	})
	return r
}

// address waits until a Service has its address, and returns it.
func (r *routed) address(name string) (a netip.Addr) {
	r.t.Helper()
	r.WaitFor("an address of "+name, patience, func(ctx context.Context) error {
		s, err := r.service(ctx, name)
		if err != nil {
			return err
		}
		if len(s.Status.LoadBalancer.Ingress) == 0 {
			return fmt.Errorf("no address: %+v", s.Status)
		}
		a, err = netip.ParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
		return err
	})
	return a
}

// by waits until the router sends to an address by nodes, and by no others.
func (r *routed) by(a netip.Addr, nodes ...lab.Node) {
	r.t.Helper()
	var want []netip.Addr
	for _, n := range nodes {
		want = append(want, n.IPv4)
	}
	slices.SortFunc(want, netip.Addr.Compare)
	r.WaitFor(fmt.Sprintf("the router to send to %s by %v", a, want), patience, func(ctx context.Context) error {
		hops, err := r.router.Kernel(ctx, a)
		if err == nil && !slices.Equal(hops, want) {
			err = fmt.Errorf("by %v", hops)
		}
		return err
	})
}

// routesAnnounced waits until the condition of a Service about routers has this reason and message.
func (r *routed) routesAnnounced(name, reason, message string) {
	r.t.Helper()
	r.WaitFor("the condition about routers on "+name, patience, func(ctx context.Context) error {
		s, err := r.service(ctx, name)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(s.Status.Conditions, "lanlord.io/RoutesAnnounced")
		if c == nil || c.Reason != reason || !strings.Contains(c.Message, message) {
			return fmt.Errorf("condition %+v", c)
		}
		return nil
	})
}

// withPods returns the workers that have a pod of a Deployment.
func (r *routed) withPods(deployment string) (nodes []lab.Node) {
	r.t.Helper()
	list, err := r.Clientset.CoreV1().
		Pods(r.namespace).
		List(r.t.Context(), metav1.ListOptions{LabelSelector: "app=" + deployment})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range r.workers {
		if slices.ContainsFunc(
			list.Items,
			func(p corev1.Pod) bool { return p.Spec.NodeName == n.Name && isReady(&p) && p.DeletionTimestamp == nil },
		) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// TestBGP goes through the life of Services whose addresses a router learns, with a client behind the router.
func TestBGP(t *testing.T) {
	r := installRouted(t)
	r.Deploy(r.namespace, "web", 3)
	r.expose("web", "web", nil)
	addr := r.address("web")
	behind := r.router.Client()
	t.Run("the client reaches all pods by all nodes", func(t *testing.T) {
		r.by(addr, r.workers...)
		behind.Sub(t).MeetAllPods(lab.URL(addr, 80), r.namespace, "app=web")
	})
	t.Run("the Service says by how many nodes it is announced", func(t *testing.T) {
		r.routesAnnounced("web", "Routed", fmt.Sprintf(" announced by %d nodes to ", len(r.workers)))
	})
	t.Run("policy Local: only nodes with a ready pod", func(t *testing.T) { r.local(t) })
	t.Run("a rollout of the speakers is not seen", func(t *testing.T) { r.rollout(t, addr) })
	t.Run("a node that is cut off is left out", func(t *testing.T) {
		victim := r.workers[0]
		r.Sub(t).Isolate(victim)
		r.by(addr, r.workers[1:]...)
		r.Sub(t).Rejoin(victim)
		r.by(addr, r.workers...)
	})
	t.Run("a Service that is deleted is withdrawn", func(t *testing.T) {
		if err := r.Clientset.CoreV1().Services(r.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.by(addr)
	})
}

// local moves the one pod of a Service with policy Local by a rolling restart, with requests going on.
func (r *routed) local(t *testing.T) {
	r.Deploy(r.namespace, "local", 2)
	r.expose(
		"local",
		"local",
		func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal },
	)
	addr := r.address("local")
	r.by(addr, r.withPods("local")...)
	behind := r.router.Client().Sub(t)
	behind.MeetAllPods(lab.URL(addr, 80), r.namespace, "app=local")
	r.MustKubectl("-n", r.namespace, "scale", "deployment", "local", "--replicas", "1")
	r.WaitFor("one pod", patience, func(context.Context) error {
		if n := len(r.Pods(r.namespace, "app=local")); n != 1 {
			return fmt.Errorf("%d pods", n)
		}
		return nil
	})
	r.by(addr, r.withPods("local")...)
	r.MustKubectl("-n", r.namespace, "scale", "deployment", "local", "--replicas", "0")
	r.by(addr)
	r.routesAnnounced("local", "NotRouted", "no node announces "+addr.String())
}

// rollout updates the DaemonSet while the client requests pages. The sessions go on, no route changes, no request
// fails.
func (r *routed) rollout(t *testing.T, addr netip.Addr) {
	before, err := r.router.Established(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes := r.router.WatchRoutes()
	behind := r.router.Client().Sub(t)
	traffic := behind.StartHTTP(probe.Load{URL: lab.URL(addr, 80), Every: 10 * time.Millisecond, Timeout: time.Second})
	r.MustKubectl("-n", systemNamespace, "rollout", "restart", "daemonset/speaker")
	r.MustKubectl("-n", systemNamespace, "rollout", "status", "daemonset/speaker", "--timeout=180s")
	time.Sleep(time.Second) // what the rollout does late is part of it
	report := traffic.Stop()
	t.Log(report)
	if report.Failed > 0 || report.Sent < 100 {
		t.Errorf("%d of %d requests failed: %v", report.Failed, report.Sent, report.Errors)
	}
	for _, c := range changes() {
		t.Errorf("a route changed: %s", c)
	}
	now, err := r.router.Established(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for neighbor, since := range now {
		if since.Sub(before[neighbor]).Abs() > time.Second {
			t.Errorf("the session with %s began anew at %v", neighbor, since)
		}
	}
}

// TestBGPConfigUnchanged uses the example configuration of MetalLB v0.12, without the two lines that MetalLB itself
// refuses: an unknown key, and multihop for iBGP.
func TestBGPConfigUnchanged(t *testing.T) {
	l := lab.Open(t)
	source := netip.MustParsePrefix("10.0.0.2/24")
	router := l.StartRouter(nodeASN, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
		[]lab.RouterPeer{{Address: source.Addr(), ASN: nodeASN, Password: "yourPassword"}})
	in := install(t, l, netip.MustParseAddr("198.51.100.1"))
	r := &routed{installation: in, router: router}
	node := l.Nodes()[1]
	l.ExecOnNode(node, "ip", "addr", "add", source.String(), "dev", "eth0")
	t.Cleanup(func() { l.ExecOnNode(node, "ip", "addr", "del", source.String(), "dev", "eth0") })
	r.labelNode(node.Name, "prod-01")
	t.Cleanup(func() { r.labelNode(node.Name, node.Name) })
	in.configure(metallbExample(t))
	l.Deploy(in.namespace, "web", 1)
	in.expose(
		"web",
		"web",
		func(s *corev1.Service) { s.Spec.LoadBalancerIP = "198.51.100.7" },
	) // the pool is not for all
	addr := r.address("web")
	r.WaitFor("the route", patience, func(ctx context.Context) error {
		hops, err := router.Kernel(ctx, addr)
		if err == nil && !slices.Equal(hops, []netip.Addr{source.Addr()}) {
			err = fmt.Errorf("by %v", hops)
		}
		return err
	})
	router.Client().MeetAllPods(lab.URL(addr, 80), in.namespace, "app=web")
}

// labelNode gives a node another label with its host name.
func (r *routed) labelNode(name, host string) {
	r.t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"kubernetes.io/hostname":%q}}}`, host)
	if _, err := r.Clientset.CoreV1().Nodes().Patch(context.Background(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// metallbExample returns the configuration in the example of MetalLB's module.
func metallbExample(t *testing.T) string {
	t.Helper()
	folder, err := metallb.Folder(t.Context(), "metallb", "v0.12")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "manifests", "example-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var object corev1.ConfigMap
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	refused := regexp.MustCompile(`(?m)^ *(bfdProfile: .*|ebgp-multihop: true)\n`)
	return refused.ReplaceAllString(object.Data["config"], "")
}
