package kube

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRequestsAreCounted makes requests to an API server that answers, refuses, and stops.
func TestRequestsAreCounted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/secrets") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if !r.URL.Query().Has("watch") {
			w.Write([]byte(`{"kind":"ServiceList","apiVersion":"v1","items":[]}`))
		}
	}))
	file := kubeconfig(t, server.URL)
	registry := prometheus.NewPedanticRegistry()
	client, err := ConnectMeasured(file, "test", registry)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := client.Do(ctx, Request{Verb: VerbList, Resource: services}); err != nil {
		t.Fatal(err)
	}
	w, err := client.Watch(ctx, Request{Resource: services})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	if _, err := client.Do(ctx, Request{Verb: VerbList, Resource: secrets, Namespace: "n"}); err == nil {
		t.Fatal("what is forbidden is listed")
	}
	server.Close()
	if _, err := client.Do(ctx, Request{Verb: VerbList, Resource: services}); err == nil {
		t.Fatal("a server that is gone answers")
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP lanlord_api_requests_total Requests to the API server, by method (WATCH for a GET that watches) and the answer's HTTP status, which is "none" for no answer.
# TYPE lanlord_api_requests_total counter
lanlord_api_requests_total{code="200",method="GET"} 1
lanlord_api_requests_total{code="200",method="WATCH"} 1
lanlord_api_requests_total{code="403",method="GET"} 1
lanlord_api_requests_total{code="none",method="GET"} 1
lanlord_api_requests_total{code="none",method="PATCH"} 0
lanlord_api_requests_total{code="none",method="POST"} 0
lanlord_api_requests_total{code="none",method="PUT"} 0
lanlord_api_requests_total{code="none",method="WATCH"} 0
`), "lanlord_api_requests_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
