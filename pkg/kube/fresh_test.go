package kube

import (
	"context"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// TestWaitFresh lets the watch of each kind lag behind in turn: WaitFresh waits until the watch has passed the newest
// object, even if the object no longer exists.
func TestWaitFresh(t *testing.T) {
	speaker := pod("speaker-1", "n", "{}")
	for resource, o := range map[string]runtime.Object{
		"services":   service("n"),
		"nodes":      node("n", "192.0.2.1"),
		"namespaces": &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}},
		"pods":       speaker,
		"configmaps": configMap("address-pools: []"),
	} {
		t.Run(resource, func(t *testing.T) {
			inBubble(t, newFakeAPI(service("s")), func(t *testing.T, s *Store, wakes *counter, _ *lines) {
				api := s.opt.Client.(*fakeAPI)
				if err := s.WaitFresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				api.hold(resource)
				api.put(o)
				done := make(chan error, 1)
				go func() { done <- s.WaitFresh(t.Context()) }()
				wakes.take()
				select {
				case err := <-done:
					t.Fatalf("%v before the watch has shown the newest object", err)
				default:
				}
				api.remove(o)
				api.release(resource)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestWaitFreshEnds checks that WaitFresh returns the cause of the context while a watch lags behind.
func TestWaitFreshEnds(t *testing.T) {
	api := newFakeAPI(service("s"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		api.hold("nodes")
		n := node("n", "192.0.2.1")
		api.put(n)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.WaitFresh(ctx) }()
		cancel()
		if err := <-done; err == nil {
			t.Error("no error although a watch lags behind")
		}
		api.release("nodes")
	})
}

// TestWaitFreshTriesAgain checks that WaitFresh retries after failed lists.
func TestWaitFreshTriesAgain(t *testing.T) {
	api := newFakeAPI(service("s"))
	var failures atomic.Int32
	api.PrependReactor("list", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
		return failures.Add(-1) >= 0, nil, &apiDown{}
	})
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		failures.Store(3)
		if err := s.WaitFresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := log.count("cannot find out whether a watch is up to date"); n != 3 {
			t.Errorf("told %d times of three failures", n)
		}
	})
}
