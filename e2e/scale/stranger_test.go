package scale

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	networksAnnotation = "lanlord.io/networks"
	preferAnnotation   = "lanlord.io/prefer-node"
)

// TestNodeIsNoStranger restarts a speaker while another node is cut off from gossip, so that the speaker has never heard
// from that node, and shows the speaker new addresses that the node answers for. The speaker knows the MAC address of the
// node from the controller, reports no foreign host, and every Service keeps its address. The address of a host that is
// no node is in quarantine.
func TestNodeIsNoStranger(t *testing.T) {
	const services, other, owner, fresh = 8, 0, 1, 2
	r, ctx := newRig(t), t.Context()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	ok("start the controller", r.StartController())
	ok("await the controller", r.awaitController(ctx))
	for i, node := range r.lab.Nodes() {
		awaitNetworks(t, r, node, r.lab.MACs()[i].String())
	}

	ok("cut the owner off from gossip", r.lab.Cut(owner, wire.Gossip))
	awaitMembers(t, r, other, 2)
	ok("kill a speaker", r.lab.Kill(fresh))
	ok("start it again", r.lab.Start(fresh, nil))
	awaitMembers(t, r, fresh, 2)
	for _, node := range []int{other, fresh} {
		ok("cut off from the API server", r.lab.Cut(node, wire.API))
	}
	for i := range services {
		ok("create a Service", createFor(ctx, r, ours(i), r.lab.Nodes()[owner]))
	}
	r.services = services
	var before []netip.Addr
	ok("assign", until(ctx, "addresses", time.Second/10, func() (done bool, err error) {
		before, err = r.addresses(ctx)
		return err == nil, err
	}))
	macs := r.lab.MACs()
	ok("announce", until(ctx, "the preferred node to answer for all addresses", time.Second/10, func() (bool, error) {
		r.lab.Claims()
		if err := r.lab.Ask(before); err != nil {
			return false, err
		}
		time.Sleep(time.Second / 5)
		answered := make(map[netip.Addr]bool)
		for _, c := range r.lab.Claims() {
			answered[c.Addr] = answered[c.Addr] || c.MAC == macs[owner]
		}
		return !slices.ContainsFunc(before, func(a netip.Addr) bool { return !answered[a] }), nil
	}))
	ok("show the Services to the speaker that has just started", r.lab.Join(fresh, wire.API))
	awaitDecided(t, r, fresh, services)

	// What the controller is shown after that it has seen after that.
	bystander := netip.MustParseAddr("10.99.255.254")
	ok("tell of a stranger", tellOfStranger(ctx, r, bystander))
	ok("see it", until(ctx, "the address of the stranger to be in quarantine", time.Second/10, func() (bool, error) {
		kept, err := r.metric(ctx, `lanlord_pool_addresses_kept{family="IPv4",pool="wire",why="quarantined"}`)
		if kept > 1 {
			t.Fatalf("%v addresses are in quarantine, one of them is a stranger's", kept)
		}
		return kept == 1, err
	}))
	after, err := r.addresses(ctx)
	ok("read the addresses", err)
	ok("heal gossip", r.lab.Join(owner, wire.Gossip))
	ok("heal the rest", r.lab.Join(other, wire.API))
	r.lab.Judge(after)
	_, err = r.lab.Settle(ctx)
	ok("settle", err)
	after, err = r.addresses(ctx)
	ok("read the addresses", err)
	if !slices.Equal(before, after) {
		t.Errorf("addresses were %v and are %v", before, after)
	}
	events, err := r.server.Admin.CoreV1().Events(appNamespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=Withdrawn"})
	ok("read the Events", err)
	for _, e := range events.Items {
		t.Errorf("%s: %s", e.InvolvedObject.Name, e.Message)
	}
}

// createFor creates a Service with an endpoint that a node is to announce.
func createFor(ctx context.Context, r *Rig, name, node string) error {
	services := r.server.Admin.CoreV1().Services(appNamespace)
	_, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{preferAnnotation: node}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = r.server.Admin.DiscoveryV1().EndpointSlices(appNamespace).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.97.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}, metav1.CreateOptions{})
	return err
}

// tellOfStranger is the Pod of a speaker that has met a stranger.
func tellOfStranger(ctx context.Context, r *Rig, addr netip.Addr) error {
	says := fmt.Sprintf(`{"strangers":[{"addr":%q,"mac":"02:00:00:00:ff:ff","quarantine":true}]}`, addr)
	_, err := r.server.Admin.CoreV1().Pods(systemNamespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "witness", Labels: map[string]string{"component": "speaker"}, Annotations: map[string]string{networksAnnotation: says}},
		Spec: corev1.PodSpec{
			NodeName: "witness", ServiceAccountName: controlplane.Speaker, Containers: []corev1.Container{{Name: "speaker", Image: "lanlord/lanlord"}},
		},
	}, metav1.CreateOptions{})
	return err
}

// awaitNetworks waits until the speaker of a node says something of its networks.
func awaitNetworks(t *testing.T, r *Rig, node, what string) {
	t.Helper()
	err := until(t.Context(), node+" to tell of "+what, time.Second/10, func() (bool, error) {
		pod, err := r.server.Admin.CoreV1().Pods(systemNamespace).Get(t.Context(), "speaker-"+node, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		says := pod.Annotations[networksAnnotation]
		if !strings.Contains(says, what) {
			return false, fmt.Errorf("it tells of %s", says)
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitDecided waits until a speaker has decided on so many addresses of Services.
func awaitDecided(t *testing.T, r *Rig, number, addresses int) {
	t.Helper()
	what := fmt.Sprintf("%s to decide on %d addresses", r.lab.Nodes()[number], addresses)
	err := until(t.Context(), what, time.Second/10, func() (bool, error) {
		sum := 0
		text, err := r.lab.Get(t.Context(), number, "/metrics")
		for line := range strings.Lines(text) {
			var n int
			if series, value, _ := strings.Cut(line, "} "); strings.HasPrefix(series, "lanlord_speaker_addresses{") {
				if _, err := fmt.Sscan(value, &n); err != nil {
					return false, err
				}
				sum += n
			}
		}
		return sum == addresses, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitMembers waits until a speaker knows so many members to be ready.
func awaitMembers(t *testing.T, r *Rig, number, members int) {
	t.Helper()
	want := fmt.Sprintf("lanlord_membership_members{state=\"ready\"} %d\n", members)
	err := until(t.Context(), fmt.Sprintf("%s to know %d members", r.lab.Nodes()[number], members), time.Second/10, func() (bool, error) {
		text, err := r.lab.Get(t.Context(), number, "/metrics")
		return strings.Contains(text, want), err
	})
	if err != nil {
		t.Fatal(err)
	}
}
