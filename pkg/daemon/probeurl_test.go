package daemon

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestProbeURL asks a process that becomes ready, one that never does, and none.
func TestProbeURL(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && asked.Add(1) == 2 {
			w.Write([]byte("ok"))
			return
		}
		http.Error(w, "waiting for the caches", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	var out strings.Builder
	if err := ProbeURL(t.Context(), server.URL+"/readyz", urlPatience, &out); err != nil || !strings.Contains(out.String(), "200 OK: ok") {
		t.Errorf("a process that becomes ready: %v, %q", err, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out.Reset()
	if err := ProbeURL(ctx, server.URL+"/never", urlPatience, &out); !errors.Is(err, ErrFailed) || out.Len() == 0 {
		t.Errorf("no answer before the end: %v, %q", err, out.String())
	}
	var usage *UsageError
	for _, args := range [][]string{{"http://["}, {}, {server.URL, "60"}, {server.URL, "-1s"}, {server.URL, "1s", "2s"}} {
		if err := ProbeURLCommand(t.Context(), args, &out); !errors.As(err, &usage) {
			t.Errorf("probe %q: %v, want a usage error", args, err)
		}
	}
	out.Reset()
	if err := ProbeURLCommand(t.Context(), []string{server.URL + "/never", "50ms"}, &out); !errors.Is(err, ErrFailed) || out.Len() == 0 {
		t.Errorf("a process that never answers 200: %v, %q", err, out.String())
	}
}
