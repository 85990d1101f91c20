package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// build compiles the speaker once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "router-speaker-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "speaker")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/speaker")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the speaker: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a folder of our own
	}
	os.Exit(code)
}

// speakers makes an environment with speakers, which are not started yet.
func speakers(t *testing.T, nodes int, config string) *environment {
	t.Helper()
	needs(t)
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return newEnvironment(t, wire.Options{Speaker: path, Nodes: nodes, Config: config, Unstarted: true})
}

// installed returns the daemons that are installed, and says which are not. Without any the test is skipped.
func installed(t *testing.T, kinds ...router.Kind) (all []router.Kind) {
	t.Helper()
	needs(t)
	for _, k := range kinds {
		if why := k.Missing(); why != "" {
			t.Log(why)
			continue
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		t.Skip("no router daemon is installed")
	}
	return all
}

// startSpeakers starts all speakers, and waits until they are ready.
func (e *environment) startSpeakers() {
	e.t.Helper()
	for i := range e.Nodes() {
		e.must(e.Start(i, nil))
	}
	for i := range e.Nodes() {
		e.ready(i)
	}
}

// ready waits until the speaker of a node is ready.
func (e *environment) ready(number int) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), bound)
	defer cancel()
	e.must(e.AwaitReady(ctx, number))
}

// pool is the part of a configuration that has the pool of the tests, and further keys of it.
func pool(keys ...string) string {
	text := fmt.Sprintf("address-pools:\n- name: routed\n  protocol: bgp\n  addresses: [%s, \"%s\"]\n", pool4, pool6)
	for _, k := range keys {
		text += "  " + k + "\n"
	}
	return text
}

// peer is the part of a configuration that has a peer, by its keys; of the router at a station unless the keys say which.
func peer(station int, keys ...string) string {
	all := strings.Join(keys, ", ")
	for key, value := range map[string]any{"my-asn": nodeASN, "peer-asn": routerASN, "peer-address": wire.StationAddresses(station)[0].Addr()} {
		if !strings.Contains(all, key+":") && (key != "peer-address" || !strings.Contains(all, "peer-interface:")) {
			all += fmt.Sprintf(", %s: %v", key, value)
		}
	}
	return "- {" + strings.TrimPrefix(all, ", ") + "}\n"
}

// configure replaces the configuration.
func (e *environment) configure(config string) {
	e.t.Helper()
	found, err := e.API().Edit("configmaps", types.NamespacedName{Namespace: "lanlord-system", Name: "config"}, func(o runtime.Object) {
		o.(*corev1.ConfigMap).Data["config"] = config
	})
	if err == nil && !found {
		err = errors.New("there is no ConfigMap")
	}
	e.must(err)
}

// label gives a Node labels.
func (e *environment) label(number int, labels map[string]string) {
	e.t.Helper()
	_, err := e.API().Edit("nodes", types.NamespacedName{Name: e.Nodes()[number]}, func(o runtime.Object) { o.(*corev1.Node).Labels = labels })
	e.must(err)
}

// service is a Service that has an address.
type service struct {
	name string
	addr netip.Addr
	pool string
	// local says that its externalTrafficPolicy is Local.
	local bool
}

// endpoint is a pod on a node.
type endpoint struct {
	node        int
	ready       bool
	terminating bool
}

// on returns ready endpoints on nodes.
func on(nodes ...int) (all []endpoint) {
	for _, n := range nodes {
		all = append(all, endpoint{node: n, ready: true})
	}
	return all
}

// put creates or replaces a Service with an address from the pool, and its endpoints.
func (e *environment) put(s service, endpoints []endpoint) {
	e.t.Helper()
	if s.pool == "" {
		s.pool = "routed"
	}
	policy, family, cluster := corev1.ServiceExternalTrafficPolicyCluster, corev1.IPv4Protocol, "10.96.9.1"
	if s.local {
		policy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if s.addr.Is6() {
		family, cluster = corev1.IPv6Protocol, "fd00:96::1"
	}
	e.must(e.API().Put(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: s.name, Annotations: map[string]string{"lanlord.io/ip-allocated-from-pool": s.pool}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: cluster, ClusterIPs: []string{cluster},
			IPFamilies: []corev1.IPFamily{family}, ExternalTrafficPolicy: policy, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: s.addr.String()}}}},
	}))
	e.endpoints(s, endpoints)
}

// endpoints replaces the endpoints of a Service.
func (e *environment) endpoints(s service, endpoints []endpoint) {
	e.t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: s.name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: s.name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	pod := "10.97.0.%d"
	if s.addr.Is6() {
		slice.AddressType, pod = discoveryv1.AddressTypeIPv6, "fd00:95::%d"
	}
	for i, one := range endpoints {
		serving := one.ready || one.terminating
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf(pod, i+1)}, NodeName: &e.Nodes()[one.node],
			Conditions: discoveryv1.EndpointConditions{Ready: &one.ready, Serving: &serving, Terminating: &one.terminating}})
	}
	e.must(e.API().Put(slice))
}

// said is what a speaker says of itself, as far as the tests look at it.
type said struct {
	Peers []saidPeer `json:"peers"`
}

// saidPeer is what it says of a router.
type saidPeer struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Up       bool   `json:"up"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	HoldTime int    `json:"holdTimeSeconds"`
	Resets   int    `json:"resets"`
	BFD      *struct {
		State string `json:"state"`
	} `json:"bfd"`
}

// speaker returns what the speaker of a node says of itself.
func (e *environment) speaker(ctx context.Context, number int) (s said, err error) {
	text, err := e.Status(ctx, number)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

// says waits until the speaker of a node says of a peer what is wanted, and returns it.
func (e *environment) says(number int, peer string, wanted func(saidPeer) bool) (found saidPeer) {
	e.t.Helper()
	e.eventually(fmt.Sprintf("what node %d says of %s", number, peer), func(ctx context.Context) error {
		s, err := e.speaker(ctx, number)
		if err != nil {
			return err
		}
		for _, p := range s.Peers {
			if p.Name == peer && wanted(p) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Peers)
	})
	return found
}

// from waits until a router has paths to an address from nodes only, and returns them.
func (e *environment) from(r *router.Router, a netip.Addr, nodes ...int) (paths []router.Path) {
	e.t.Helper()
	want := fmt.Sprint(hops(wire.LANAddress(0).Addr(), nodes...))
	e.eventually(fmt.Sprintf("paths of %s to %s", r.Kind, a), func(ctx context.Context) (err error) {
		if paths, err = r.Paths(ctx, hostPrefix(a)); err != nil {
			return err
		}
		var from []netip.Addr
		for _, p := range paths {
			from = append(from, p.From)
		}
		if fmt.Sprint(from) != want {
			return fmt.Errorf("paths %+v, want from %s", paths, want)
		}
		return nil
	})
	return paths
}

// established returns since when the router's sessions are established, by neighbour. All are to be.
func (e *environment) established(r *router.Router) map[netip.Addr]time.Time {
	e.t.Helper()
	e.sessionsUp(r)
	all, err := r.Sessions(e.t.Context())
	e.must(err)
	since := make(map[netip.Addr]time.Time)
	for _, s := range all {
		since[s.Neighbor] = s.Since
	}
	return since
}

// goesOn fails the test if a session of a router is not the one that there was. A daemon that says for how long a session lasts, in whole
// seconds, is off by at most one.
func (e *environment) goesOn(r *router.Router, before map[netip.Addr]time.Time) {
	e.t.Helper()
	for neighbor, since := range e.established(r) {
		if d := since.Sub(before[neighbor]); d.Abs() > 2*time.Second {
			e.t.Errorf("the session of %s with %s began anew, %v later", r.Kind, neighbor, d)
		}
	}
}

// rollout has a second speaker follow the one of a node.
func (e *environment) rollout(number int) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), bound)
	defer cancel()
	e.must(e.Rollout(ctx, number))
}

// none fails the test for each change of a route.
func (e *environment) none(what string, w *router.RouteWatch) {
	e.t.Helper()
	for _, v := range w.Events() {
		e.t.Errorf("%s: the route to %s changed: deleted %t, by %v", what, v.Prefix, v.Deleted, v.Hops)
	}
}

// unharmed fails the test if a datagram was lost.
func (e *environment) unharmed(what string, t router.Traffic, since time.Time) {
	e.t.Helper()
	e.t.Logf("%s: %v", what, t)
	if len(t.Lost) > 0 {
		e.t.Errorf("%s: %d of %d datagrams lost, the last one %v after its begin", what, len(t.Lost), t.Sent, t.Outage(since))
	}
}

// terminate tells the speaker of a node to stop, and does not wait for its end.
func (e *environment) terminate(number int) {
	e.t.Helper()
	e.must(e.Signal(number, syscall.SIGTERM))
}
