package scale

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanlord/lanlord/e2e/controlplane"
)

// laggingAPI hands requests on to the API server as one of a version without WatchList would answer them. It holds back
// the events of the watches of one kind.
type laggingAPI struct {
	proxy httputil.ReverseProxy
	// held is the kind whose events are held back, "" for none, refused how many watches were asked for a list.
	held    atomic.Pointer[string]
	refused atomic.Int32
	changed *sync.Cond
	// watches counts the watches that began, by kind. The lock is that of changed.
	watches map[string]int
}

func newLaggingAPI(t *testing.T, r *Rig) *laggingAPI {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", r.server.Kubeconfig(controlplane.Controller))
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	config.Dial = r.lab.Host().Dial
	transport, err := restclient.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	a := &laggingAPI{changed: sync.NewCond(&sync.Mutex{}), watches: map[string]int{}}
	a.hold("")
	a.proxy = httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport, FlushInterval: -1,
		ModifyResponse: func(response *http.Response) error {
			if response.Request.URL.Query().Has("watch") {
				kind := kindOf(response.Request.URL.Path)
				a.began(kind)
				response.Body = &watchBody{response.Body, a, kind}
			}
			return nil
		},
	}
	return a
}

// ServeHTTP implements [http.Handler].
func (a *laggingAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		// The words of an API server of version 1.28.
		a.refused.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":`+
			`"ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"}`)
		return
	}
	a.proxy.ServeHTTP(w, r)
}

func (a *laggingAPI) hold(kind string) {
	a.changed.L.Lock()
	defer a.changed.L.Unlock()
	a.held.Store(&kind)
	a.changed.Broadcast()
}

func (a *laggingAPI) began(kind string) {
	a.changed.L.Lock()
	defer a.changed.L.Unlock()
	a.watches[kind]++
}

// take reports whether all kinds are watched, and if so begins to count anew.
func (a *laggingAPI) take() bool {
	a.changed.L.Lock()
	defer a.changed.L.Unlock()
	for kind, want := range map[string]int{"services": 1, "nodes": 1, "namespaces": 1, "pods": 1, "configmaps": 2} {
		if a.watches[kind] < want {
			return false
		}
	}
	clear(a.watches)
	return true
}

// kindOf returns the last part of a path, as "nodes".
func kindOf(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// watchBody is the answer to a watch.
type watchBody struct {
	io.ReadCloser
	api  *laggingAPI
	kind string
}

// Read implements [io.Reader]. Read keeps the bytes back while the kind is held back.
func (b *watchBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.api.changed.L.Lock()
	defer b.api.changed.L.Unlock()
	for *b.api.held.Load() == b.kind {
		b.api.changed.Wait()
	}
	return n, err
}

// TestFreshLeader lets the watch of each kind lag behind a real API server, as one without WatchList, in a controller that
// becomes the leader: the controller assigns nothing before it knows the newest Nodes, Namespaces, Pods of speakers and
// configuration.
func TestFreshLeader(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	api := newLaggingAPI(t, r)
	server := httptest.NewServer(api)
	file, logs := filepath.Join(t.TempDir(), "kubeconfig"), filepath.Join(r.options.Dir, "standby.log")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\nclusters: [{name: e, cluster: {server: \""+server.URL+"\"}}]\n"+
		"users: [{name: e, user: {}}]\ncontexts: [{name: e, context: {cluster: e, user: e}}]\ncurrent-context: e\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := r.server.Admin.CoreV1()
	const merge = types.MergePatchType
	wide := configText(t, r)
	for _, c := range []struct {
		kind string
		// change makes next an address that no Service may have, or does something else.
		change func(next netip.Addr) error
		may    func(got, next netip.Addr) bool
	}{
		{"nodes", func(next netip.Addr) error {
			_, err := admin.Nodes().Patch(ctx, "node-0", merge,
				fmt.Appendf(nil, `{"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, next), metav1.PatchOptions{}, "status")
			return err
		}, func(got, next netip.Addr) bool { return got != next }},
		{"pods", func(next netip.Addr) error { return tellOfStranger(ctx, r, next) },
			func(got, next netip.Addr) bool { return got != next }},
		{"configmaps", func(netip.Addr) error {
			configure(t, r, "address-pools:\n- {name: blue, protocol: layer2, namespace-selectors: [{match-labels: {team: blue}}], addresses: [10.99.201.0/24]}\n"+
				strings.Replace(wide[strings.Index(wide, "- name"):], "10.99.128.0/17", "10.99.128.0-10.99.200.255", 1))
			return nil
		}, func(got, next netip.Addr) bool { return got == next }},
		{"namespaces", func(netip.Addr) error {
			_, err := admin.Namespaces().Patch(ctx, appNamespace, merge, []byte(`{"metadata":{"labels":{"team":"blue"}}}`), metav1.PatchOptions{})
			return err
		}, func(got, _ netip.Addr) bool { return netip.MustParsePrefix("10.99.201.0/24").Contains(got) }},
	} {
		t.Run(c.kind, func(t *testing.T) {
			if err := r.StartController(); err != nil {
				t.Fatal(err)
			}
			first := awaitAddress(t, r, c.kind+"-first")
			standby := startStandby(t, r, file, logs)
			if err := until(ctx, "the standby to read the cluster", time.Second/10, func() (bool, error) { return api.take(), nil }); err != nil {
				t.Fatal(err)
			}
			if err := r.controller.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-r.ended
			api.hold(c.kind)
			if err := c.change(first.Next()); err != nil {
				t.Fatal(err)
			}
			if err := r.createService(ctx, c.kind+"-second", nil); err != nil {
				t.Fatal(err)
			}
			err := until(ctx, "the new leader to wait for its watch", time.Second/10, func() (bool, error) {
				text, err := os.ReadFile(logs)
				return strings.Contains(string(text), "waiting for a watch to catch up"), err
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // on a slow machine the test sees less, and does not fail
			if s, err := admin.Services(appNamespace).Get(ctx, c.kind+"-second", metav1.GetOptions{}); err != nil || len(s.Status.LoadBalancer.Ingress) > 0 {
				t.Errorf("the new leader assigns %v before it knows the newest %s, %v", s.Status.LoadBalancer.Ingress, c.kind, err)
			}
			api.hold("")
			if second := awaitAddress(t, r, c.kind+"-second"); !c.may(second, first.Next()) {
				t.Errorf("the Service gets %s after %s", second, first)
			}
			standby()
		})
	}
	if api.refused.Load() == 0 {
		t.Error("no watch was asked for a list, so this is no test of an API server without WatchList")
	}
	server.CloseClientConnections()
	server.Close()
}

// startStandby starts a controller beside the leading one. stop ends it.
func startStandby(t *testing.T, r *Rig, kubeconfig, logs string) (stop func()) {
	t.Helper()
	log, err := os.Create(logs)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(r.options.Controller, "--kubeconfig="+kubeconfig, "--namespace="+systemNamespace, "--listen=", "--status-listen=", "--log-level=debug")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(stop)
	return stop
}

// awaitAddress creates the Service unless it exists, and returns its address.
func awaitAddress(t *testing.T, r *Rig, name string) (addr netip.Addr) {
	t.Helper()
	services := r.server.Admin.CoreV1().Services(appNamespace)
	if err := r.createService(t.Context(), name, nil); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	err := until(t.Context(), name+" to have an address", time.Second/10, func() (bool, error) {
		s, err := services.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || len(s.Status.LoadBalancer.Ingress) == 0 {
			return false, err
		}
		addr, err = netip.ParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
		return err == nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
