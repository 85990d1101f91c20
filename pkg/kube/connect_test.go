package kube

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// kubeconfig writes a kubeconfig for a server and returns its path.
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": "` + server + `"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"users": [{"name": "u", "user": {}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve starts an API server that answers with handler, and returns a client of the server.
func serve(t *testing.T, handler http.HandlerFunc) Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := Connect(kubeconfig(t, server.URL), "lanlord-test")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestConnect(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("clusters: 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := kubeconfig(t, "http://127.0.0.1:1")
	for _, c := range []struct{ name, flag, env, want string }{
		{"flag", good, "", ""},
		{"environment", "", "/nonexistent:" + good, ""},
		{"flag before environment", good, broken, ""},
		{"nothing", "", "", "name a file with --kubeconfig or in $KUBECONFIG"},
		{"no such file", "/nonexistent", good, "--kubeconfig /nonexistent: "},
		{"broken", broken, "", "--kubeconfig " + broken + ": "},
		{"empty", empty, "", "--kubeconfig " + empty + ": names no cluster"},
		{"broken in the environment", "", broken, "$KUBECONFIG " + broken + ": "},
		{"nothing there in the environment", "", "/nonexistent", "$KUBECONFIG /nonexistent: names no cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			t.Setenv("KUBECONFIG", c.env)
			client, err := Connect(c.flag, "lanlord-test")
			switch {
			case c.want == "" && (err != nil || client == nil):
				t.Errorf("%v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want ...%s...", err, c.want)
			}
		})
	}
}

// TestRunEndsWithoutAPIServer checks, with a real client and its streamed list, that Run ends at once even if the API
// server never answered.
func TestRunEndsWithoutAPIServer(t *testing.T) {
	// The closed listener leaves a port that refuses connections.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	client, err := Connect(kubeconfig(t, "http://"+address), "lanlord-test")
	if err != nil {
		t.Fatal(err)
	}
	log := &signal{seen: make(chan struct{}, 1)}
	s := New(Options{Client: client, Namespace: "n", ConfigMap: "c", Log: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-log.seen
	start := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > firstRetry-100*time.Millisecond {
		t.Errorf("Run ended %v after its context", d)
	}
	if s.Synced() || s.Connected() {
		t.Error("synced or connected without an API server")
	}
}

func TestEnsureGossipSecret(t *testing.T) {
	client := fakeClient{fake.NewClientset()}
	get := func() map[string][]byte {
		o, err := client.CoreV1().Secrets("lanlord-system").Get(t.Context(), GossipSecret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return o.Data
	}
	log := &lines{}
	for range 2 {
		if err := EnsureGossipSecret(t.Context(), client, "lanlord-system", textLog(log)); err != nil {
			t.Fatal(err)
		}
		if n := len(get()["key-1"]); n != 32 {
			t.Fatalf("a key of %d bytes, want 32", n)
		}
	}
	if n := log.count("\n"); n != 1 {
		t.Errorf("%d lines, want one for the one that was created", n)
	}
	first := string(get()["key-1"])
	if err := EnsureGossipSecret(t.Context(), client, "lanlord-system", textLog(log)); err != nil || string(get()["key-1"]) != first {
		t.Errorf("%v, or the key was replaced", err)
	}
	if err := client.CoreV1().Secrets("lanlord-system").Delete(t.Context(), GossipSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := EnsureGossipSecret(t.Context(), client, "lanlord-system", textLog(log)); err != nil || string(get()["key-1"]) == first {
		t.Errorf("%v, or the next key is the same one", err)
	}
	forbidden := fakeClient{fake.NewClientset()}
	forbidden.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, GossipSecret, errors.New("no"))
	})
	err := EnsureGossipSecret(t.Context(), forbidden, "lanlord-system", textLog(log))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "create the Secret lanlord-system/lanlord-gossip: ") {
		t.Errorf("%v", err)
	}
}
