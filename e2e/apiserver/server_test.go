package apiserver_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// client returns a client that speaks as the speakers do: protobuf, and JSON where the server knows nothing else.
func client(t *testing.T, s *apiserver.Server) kubernetes.Interface {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections() // watches never end
		server.Close()
	})
	c, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1, ContentConfig: rest.ContentConfig{
		ContentType: "application/vnd.kubernetes.protobuf", AcceptContentTypes: "application/vnd.kubernetes.protobuf,application/json",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func node(name, zone string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": zone}}}
}

// TestInformer follows objects with client-go's own informer: what was there, what comes, changes, and leaves the selection.
func TestInformer(t *testing.T) {
	s := apiserver.New()
	if err := s.Put(node("a", "1"), node("b", "2")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(client(t, s), 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "zone=1" }))
	nodes := factory.Core().V1().Nodes().Informer()
	seen := make(chan string, 100)
	_, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { seen <- "add " + o.(*corev1.Node).Name },
		UpdateFunc: func(_, o any) { seen <- "update " + o.(*corev1.Node).Name },
		DeleteFunc: func(o any) { seen <- "delete " + o.(*corev1.Node).Name },
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-seen:
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("nothing, want %s", want)
		}
	}
	expect("add a")
	for _, step := range []struct {
		node *corev1.Node
		want string
	}{
		{node("c", "1"), "add c"}, {node("c", "1"), "update c"}, {node("b", "1"), "add b"}, {node("a", "2"), "delete a"},
	} {
		if err := s.Put(step.node); err != nil {
			t.Fatal(err)
		}
		expect(step.want)
	}
}

// TestList holds a plain list, selected by name, and a get.
func TestList(t *testing.T) {
	s := apiserver.New()
	if err := s.Put(node("a", "1"), node("b", "2")); err != nil {
		t.Fatal(err)
	}
	c := client(t, s).CoreV1().Nodes()
	list, err := c.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=b"})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "b" || list.ResourceVersion != "2" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.Get(t.Context(), "c", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a Node that is not there: %v", err)
	}
	if _, err := c.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.unschedulable=true"}); !apierrors.IsBadRequest(err) {
		t.Errorf("a field that is not known: %v", err)
	}
}

// TestWrites sends what the speakers send: an Event, its repetition, and the annotation of a Pod.
func TestWrites(t *testing.T) {
	s := apiserver.New()
	if err := s.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}); err != nil {
		t.Fatal(err)
	}
	core := client(t, s).CoreV1()
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "e"}, Reason: "Announced", Count: 1}
	if _, err := core.Events("n").Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Events("n").Create(t.Context(), event, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("the same Event again: %v", err)
	}
	if _, err := core.Events("n").Patch(t.Context(), "e", types.StrategicMergePatchType, []byte(`{"count":2}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events()
	if err != nil || len(events) != 1 || events[0].Count != 2 || events[0].Reason != "Announced" {
		t.Errorf("%+v, %v", events, err)
	}
	patch := []byte(`{"metadata":{"annotations":{"k":"v"}}}`)
	pod, err := core.Pods("n").Patch(t.Context(), "p", types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil || pod.Annotations["k"] != "v" {
		t.Errorf("%+v, %v", pod, err)
	}
	if _, err := core.Pods("n").Patch(t.Context(), "q", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); !apierrors.IsNotFound(err) {
		t.Errorf("a Pod that is not there: %v", err)
	}
}
