package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// TestWriteThrottled writes to an API server whose priority and fairness rejects the first requests. The write is
// repeated at the time that the API server names, not earlier, and takes effect once.
func TestWriteThrottled(t *testing.T) {
	const refusals, retryAfter = 2, 1
	var mu sync.Mutex
	var came []time.Time
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		came = append(came, time.Now())
		if len(came) <= refusals {
			w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if r.Method != http.MethodPatch || r.URL.Path != "/api/v1/namespaces/default/services/web/status" || len(body) == 0 {
			t.Errorf("%s %s with %d bytes", r.Method, r.URL.Path, len(body))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"Service","apiVersion":"v1","metadata":{"namespace":"default","name":"web","uid":"u","resourceVersion":"2"},
			"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.9"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`)
	})
	s := New(Options{Client: client, Log: textLog(&lines{})})
	o := service("web")
	o.Namespace, o.UID, o.ResourceVersion = "default", "u", "1"
	if err := s.services.Replace([]any{o}, "1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Write(ctx, cluster.Update{Key: cluster.Key{Namespace: "default", Name: "web"}, UID: "u", Version: "1"}); err != nil {
		t.Fatal(err)
	}
	if len(came) != refusals+1 {
		t.Fatalf("%d requests", len(came))
	}
	for i, at := range came[1:] {
		if pause := at.Sub(came[i]); pause < retryAfter*time.Second {
			t.Errorf("asked again after %v, although told to wait %d s", pause, retryAfter)
		}
	}
	if got := s.Snapshot().Services[0].Ingress; len(got) != 1 {
		t.Errorf("the result does not show: %v", got)
	}
}
