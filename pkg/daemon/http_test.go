package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// serve runs a server on a free port until the test ends, and returns the URL of the server.
func serve(t *testing.T, options ServerOptions) string {
	t.Helper()
	options.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if options.Metrics == nil {
		options.Metrics = prometheus.NewRegistry()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	server := NewServer(options)
	go func() { done <- server.serve(ctx, listener, server.handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

// get returns the status and the body of an answer.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestHealthAndReadiness(t *testing.T) {
	var synced atomic.Bool
	url := serve(t, ServerOptions{Checks: []Check{
		{"caches", func() error {
			if !synced.Load() {
				return errors.New("waiting for Services, Nodes")
			}
			return nil
		}},
		{"sockets", func() error { return nil }},
	}})
	for _, test := range []struct {
		path   string
		synced bool
		status int
		body   string
	}{
		{"/healthz", false, 200, "ok\n"},
		{"/readyz", false, 503, "not ready\ncaches: waiting for Services, Nodes\n"},
		{"/readyz", true, 200, "ok\n"},
		{"/debug/pprof/", true, 404, "404 page not found\n"},
		{"/", true, 404, "404 page not found\n"},
	} {
		synced.Store(test.synced)
		if status, body := get(t, url+test.path); status != test.status || body != test.body {
			t.Errorf("%s with caches synced=%v: %d %q, want %d %q", test.path, test.synced, status, body, test.status, test.body)
		}
	}
}

func TestMetricsAreServed(t *testing.T) {
	url := serve(t, ServerOptions{Metrics: NewRegistry()})
	status, body := get(t, url+"/metrics")
	for _, want := range []string{"\nlanlord_build_info{", "\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("/metrics answers %d and has no %q", status, strings.TrimSpace(want))
		}
	}
}

func TestProfilesWhenAskedFor(t *testing.T) {
	url := serve(t, ServerOptions{PProf: true})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1", "/debug/pprof/trace?seconds=0.01"} {
		if status, body := get(t, url+path); status != 200 || body == "" {
			t.Errorf("%s answers %d with %d bytes", path, status, len(body))
		}
	}
}

func TestRunSaysWhereItCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	server := NewServer(ServerOptions{
		Listen: address, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	want := "listen on " + address + ": bind: address already in use"
	if err := server.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func TestRunUntilStopped(t *testing.T) {
	for _, listen := range []string{"", "127.0.0.1:0"} {
		ctx, cancel := context.WithCancel(t.Context())
		server := NewServer(ServerOptions{
			Listen: listen, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
		done := make(chan error, 1)
		go func() { done <- server.Run(ctx) }()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("listening on %q it ends with %v", listen, err)
		}
	}
}
