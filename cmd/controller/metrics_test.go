package main

import (
	"context"
	"flag"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/controller"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/daemon/daemontest"
	"github.com/lanlord/lanlord/pkg/kube"
)

var update = flag.Bool("update", false, "write what is found to testdata instead of comparing")

// TestMetrics compares the names, types, labels and help of all metrics of the controller with a file. Tests of
// docs/metrics.md, the alerts and the dashboard use the same file.
func TestMetrics(t *testing.T) {
	registry := daemon.NewRegistry()
	if _, err := kube.ConnectMeasured(daemontest.Unreachable(t), name, registry); err != nil {
		t.Fatal(err)
	}
	client := holding{
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: "config"},
			Data:       map[string]string{"config": "address-pools:\n- {name: a, protocol: layer2, addresses: [192.0.2.1-192.0.2.9]}\n"},
		},
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "u", Annotations: map[string]string{kube.AllocatedFromAnnotation: "a"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1"},
				IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}},
		},
	}
	var loop *controller.Controller
	flags := daemon.Flags{Namespace: "lanlord-system", ConfigMap: "config"}
	options := storeOptions(flags, client)
	options.Log, options.Wake, options.Registerer = flags.Logger(t.Output()), func() { loop.Wake() }, registry
	store := kube.New(options)
	loop = controller.New(controller.Options{Source: store, Writer: store, Log: options.Log, Registerer: registry, AddressMetrics: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- daemon.RunTasks(ctx,
			daemon.Task{Name: "watch", Run: store.Run},
			daemon.Task{Name: "decide", Run: func(ctx context.Context) error {
				if err := store.WaitSynced(ctx); err != nil {
					return err
				}
				return loop.Run(ctx)
			}})
	}()
	store.Event(cluster.Event{Object: cluster.ObjectRef{Kind: "Node", Name: "n"}, Reason: "Test"})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		events, err := testutil.GatherAndCount(registry, "lanlord_events_total")
		if err != nil {
			t.Fatal(err)
		}
		if len(loop.Summary().Pools) > 0 && events > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no plan within a minute")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	daemontest.CheckMetrics(t, registry, "testdata/metrics.txt", *update)
}

// holding is an API server with fixed objects that refuses every change.
type holding []runtime.Object

func (h holding) Do(_ context.Context, r kube.Request) (runtime.Object, error) {
	if r.Verb != kube.VerbList {
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: r.Resource.Name}, r.Name, nil)
	}
	var items []runtime.Object
	for _, o := range h {
		if reflect.TypeOf(o) == reflect.TypeOf(r.Resource.Object()) {
			items = append(items, o)
		}
	}
	list := r.Resource.List()
	return list, meta.SetList(list, items)
}

func (h holding) Watch(context.Context, kube.Request) (watch.Interface, error) {
	return watch.NewFake(), nil
}

// IsWatchListSemanticsUnSupported tells the reflector that a watch here does not begin with the existing objects.
func (h holding) IsWatchListSemanticsUnSupported() bool { return true }
