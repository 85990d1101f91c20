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
	if err := ProbeURL(t.Context(), server.URL+"/readyz", &out); err != nil || !strings.Contains(out.String(), "200 OK: ok") {
		t.Errorf("a process that becomes ready: %v, %q", err, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out.Reset()
	if err := ProbeURL(ctx, server.URL+"/never", &out); !errors.Is(err, ErrFailed) || out.Len() == 0 {
		t.Errorf("no answer before the end: %v, %q", err, out.String())
	}
	var usage *UsageError
	if err := ProbeURL(t.Context(), "http://[", &out); !errors.As(err, &usage) {
		t.Errorf("a malformed URL: %v", err)
	}
}
