package e2e

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/scrape"
)

var scale = flag.Int("scale", 0, "number of Services for TestScale, 2000 say; it takes minutes, and 0 skips it")

// writers is how many Services are written at once, by the controller and by the reference.
const writers = 8

// TestScale prints what so many Services cost a real API server, the controller and the speakers.
func TestScale(t *testing.T) {
	if *scale == 0 {
		t.Skip("a measurement: go test -run TestScale -scale 2000 .")
	}
	l := lab.Open(t)
	in := install(t, l, l.FreeAddresses(lab.IPv4, 1)...)
	in.configure("address-pools:\n- {name: big, protocol: layer2, addresses: [10.99.0.0/16]}\n")

	// The same writes by somebody else are what the API server itself needs.
	in.createMany("other", new("example.com/other"))
	reference := in.patchMany("other")
	before := in.cpu()
	began := time.Now()
	in.createMany("ours", nil)
	created := time.Since(began)
	in.waitForAll("ours")
	t.Logf("%d Services: created in %v, the last one assigned after %v; the API server alone takes %v for the same writes",
		*scale, created.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), reference.Round(time.Millisecond))
	t.Logf("controller: %.2f s of CPU, %.1f MB resident", in.cpu()-before, in.resident())
	for _, node := range in.Nodes() {
		text := in.ExecOnNode(node, "curl", "-s", "http://127.0.0.1:7572/metrics")
		t.Logf("speaker on %s: %.1f MB resident", node.Name, value(t, text, "process_resident_memory_bytes")/1e6)
	}

	in.MustKubectl("-n", systemNamespace, "delete", "pod", "-l", "component=controller")
	restarted := time.Now()
	in.expose("web", "late", nil)
	in.WaitFor("late to have an address", patience, func(ctx context.Context) error {
		s, err := in.service(ctx, "late")
		if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
			err = fmt.Errorf("it has none")
		}
		return err
	})
	t.Logf("a new Service has its address %v after the controller's pod was deleted", time.Since(restarted).Round(time.Millisecond))
}

// createMany makes the Services of one kind, without endpoints.
func (in *installation) createMany(prefix string, class *string) {
	in.t.Helper()
	in.each(func(ctx context.Context, i int) error {
		_, err := in.Clientset.CoreV1().Services(in.namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%05d", prefix, i)},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class, AllocateLoadBalancerNodePorts: new(false),
				Ports: []corev1.ServicePort{{Port: 80}},
			},
		}, metav1.CreateOptions{})
		return err
	})
}

// patchMany writes a status to each of the Services of one kind, as the controller does, and returns how long that takes.
func (in *installation) patchMany(prefix string) time.Duration {
	in.t.Helper()
	began := time.Now()
	in.each(func(ctx context.Context, i int) error {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/pool":"big"}},"status":{"loadBalancer":{"ingress":[{"ip":"10.98.%d.%d","ipMode":"VIP"}]},`+
			`"conditions":[{"type":"example.com/Assigned","status":"True","reason":"Assigned","message":"10.98.0.0 from pool big","lastTransitionTime":%q}]}}`,
			i/256, i%256, time.Now().UTC().Format(time.RFC3339))
		_, err := in.Clientset.CoreV1().Services(in.namespace).Patch(ctx, fmt.Sprintf("%s-%05d", prefix, i),
			types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
	return time.Since(began)
}

// each calls f for each number below scale, some at once.
func (in *installation) each(f func(ctx context.Context, i int) error) {
	in.t.Helper()
	group, ctx := errgroup.WithContext(in.t.Context())
	group.SetLimit(writers)
	for i := range *scale {
		group.Go(func() error { return f(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) waitForAll(prefix string) {
	in.t.Helper()
	in.WaitFor("all Services to have an address", 10*time.Minute, func(ctx context.Context) error {
		// The newest is not always the last, so all are looked at; every look costs the API server little.
		list, err := in.Clientset.CoreV1().Services(in.namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		assigned := 0
		for _, s := range list.Items {
			if s.Spec.LoadBalancerClass == nil && len(s.Status.LoadBalancer.Ingress) > 0 {
				assigned++
			}
		}
		if assigned < *scale {
			return fmt.Errorf("%d of %d have", assigned, *scale)
		}
		return nil
	})
}

// metrics are the controller's.
func (in *installation) metrics() string {
	in.t.Helper()
	for name := range in.Pods(systemNamespace, "component=controller") {
		return in.MustKubectl("get", "--raw", "/api/v1/namespaces/"+systemNamespace+"/pods/"+name+":7572/proxy/metrics")
	}
	in.t.Fatal("there is no controller")
	return ""
}

func (in *installation) cpu() float64 { return value(in.t, in.metrics(), "process_cpu_seconds_total") }

func (in *installation) resident() float64 {
	return value(in.t, in.metrics(), "process_resident_memory_bytes") / 1e6
}

// value returns the value of a metric without labels.
func value(t *testing.T, text, name string) float64 {
	t.Helper()
	v, err := scrape.Value(text, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
