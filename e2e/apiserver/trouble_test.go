package apiserver_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// TestOnlyOneWriterWins refuses a write that was meant for another version, as an election by Lease needs it.
func TestOnlyOneWriterWins(t *testing.T) {
	s := apiserver.New()
	leases := client(t, s).CoordinationV1().Leases("ns")
	mine, err := leases.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "l"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Update(t.Context(), mine, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Update(t.Context(), mine, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a write to an old version gives %v, want a conflict", err)
	}
	patch := []byte(`{"metadata":{"uid":"another"},"spec":{"holderIdentity":"b"}}`)
	if _, err := leases.Patch(t.Context(), "l", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a patch of another object of this name gives %v, want a conflict", err)
	}
}

// TestAdministratorEditsAndDeletes tells watches and Changes of both, in order.
func TestAdministratorEditsAndDeletes(t *testing.T) {
	s := apiserver.New()
	if err := s.Put(node("a", "1")); err != nil {
		t.Fatal(err)
	}
	_, start, err := s.Changes("nodes", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w, err := client(t, s).CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	key := types.NamespacedName{Name: "a"}
	found, err := s.Edit("nodes", key, func(o runtime.Object) { o.(*corev1.Node).Labels["zone"] = "2" })
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if err := s.Delete("nodes", key); err != nil {
		t.Fatal(err)
	}
	for _, want := range []watch.EventType{watch.Modified, watch.Deleted} {
		if e := <-w.ResultChan(); e.Type != want || e.Object.(*corev1.Node).Labels["zone"] != "2" {
			t.Errorf("got %v, want %s", e, want)
		}
	}
	s.Forget()
	changes, _, err := s.Changes("nodes", start)
	if err != nil || len(changes) != 2 || changes[0].After == nil || changes[1].After != nil {
		t.Errorf("changes %v, error %v", changes, err)
	}
	if found, err := s.Edit("nodes", key, func(runtime.Object) {}); found || err != nil {
		t.Errorf("edited what was deleted: %v, %v", found, err)
	}
}

// TestForgetsThePast tells a watch of a version before so, once.
func TestForgetsThePast(t *testing.T) {
	s := apiserver.New()
	if err := s.Put(node("a", "1"), node("b", "1")); err != nil {
		t.Fatal(err)
	}
	s.Forget()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	nodes := client(t, s).CoreV1().Nodes()
	old, err := nodes.Watch(ctx, metav1.ListOptions{ResourceVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-old.ResultChan(); e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
		t.Errorf("got %v, want 410", e)
	}
	current, err := nodes.Watch(ctx, metav1.ListOptions{ResourceVersion: "2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(node("c", "1")); err != nil {
		t.Fatal(err)
	}
	if e := <-current.ResultChan(); e.Type != watch.Added {
		t.Errorf("got %v, want the new node", e)
	}
	s.HangUp()
	if e, open := <-current.ResultChan(); open {
		t.Errorf("got %v after the server hung up", e)
	}
}

// TestHangUpOf ends the watches of one client, and not those of another.
func TestHangUpOf(t *testing.T) {
	s := apiserver.New()
	watching, err := client(t, s).CoreV1().Nodes().Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.HangUpOf(netip.MustParseAddr("192.0.2.1"))
	if err := s.Put(node("a", "1")); err != nil {
		t.Fatal(err)
	}
	if e := <-watching.ResultChan(); e.Type != watch.Added {
		t.Errorf("got %v after the server hung up on another client, want the new node", e)
	}
	s.HangUpOf(netip.MustParseAddr("127.0.0.1"))
	if e, open := <-watching.ResultChan(); open {
		t.Errorf("got %v after the server hung up", e)
	}
}

// TestTroubles gives each its status.
func TestTroubles(t *testing.T) {
	s := apiserver.New()
	nodes := client(t, s).CoreV1().Nodes()
	for _, test := range []struct {
		name    string
		trouble apiserver.Trouble
		want    func(error) bool
	}{
		{"fail", apiserver.Trouble{Fail: 1}, apierrors.IsInternalError},
		{"token", apiserver.Trouble{Tokens: []string{"x"}}, apierrors.IsUnauthorized},
		{"none", apiserver.Trouble{}, func(err error) bool { return err == nil }},
	} {
		s.SetTrouble(test.trouble)
		if _, err := nodes.List(t.Context(), metav1.ListOptions{}); !test.want(err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// client-go waits as it is told, and then asks again: of two requests one is refused.
	s.SetTrouble(apiserver.Trouble{Refuse: 2})
	for range 2 {
		if _, err := nodes.List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("a request that was refused once: %v", err)
		}
	}
	s.SetTrouble(apiserver.Trouble{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := nodes.List(ctx, metav1.ListOptions{}); ctx.Err() == nil {
		t.Errorf("a delayed request returned %v", err)
	}
}
