package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
)

// serves starts an HTTP server and returns its address.
func serves(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// patientCollector returns a collector without an API server, which also waits for processes on a busy machine.
func patientCollector() *collector {
	c := newCollector(nil, "n")
	c.client.Timeout = time.Minute
	return c
}

// sealedBy answers like the process of a Pod.
func sealedBy(t *testing.T, pod string, status []byte) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != daemon.SealedPath {
			http.NotFound(w, r)
			return
		}
		text, err := json.Marshal(daemon.Sealed{Pod: pod, Status: status})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text) // the collector does not read a text that is too long
	}
}

// TestCollector checks that the collector passes on the statuses of the processes, and the reason for each missing
// status.
func TestCollector(t *testing.T) {
	var redirected atomic.Bool
	elsewhere := serves(t, func(http.ResponseWriter, *http.Request) { redirected.Store(true) })
	var turns atomic.Int64
	processes := []kube.Process{
		{Pod: "speaker-1", Addr: serves(t, sealedBy(t, "speaker-1", []byte("encrypted")))},
		{Pod: "old", Addr: serves(t, http.NotFound)},
		{Pod: "other", Addr: serves(t, sealedBy(t, "somebody", nil))},
		{Pod: "without-key", Addr: serves(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "there is no Secret", http.StatusServiceUnavailable)
		})},
		{Pod: "long", Addr: serves(t, sealedBy(t, "long", make([]byte, maxAnswer)))},
		{Pod: "nonsense", Addr: serves(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("nonsense")) // a client that is gone fails the test itself
		})},
		{Pod: "elsewhere", Addr: serves(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+elsewhere.String(), http.StatusFound)
		})},
		{Pod: "gone", Addr: netip.MustParseAddrPort("127.0.0.1:1")},
		{Pod: "no-port", Problem: errors.New("the Pod has no address")},
	}
	// During an update, two processes of one node listen on the port.
	shared := serves(t, func(w http.ResponseWriter, r *http.Request) {
		pod := "before"
		if turns.Add(1)%3 == 0 {
			pod = "after"
		}
		sealedBy(t, pod, []byte(pod))(w, r)
	})
	processes = append(processes, kube.Process{Pod: "before", Addr: shared}, kube.Process{Pod: "after", Addr: shared})

	c := patientCollector()
	c.list = func(context.Context) ([]kube.Process, error) { return processes, nil }
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, daemon.StatusesPath, nil))
	var all daemon.Statuses
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	said := map[string]string{}
	for _, s := range all.Sealed {
		said[s.Pod] = string(s.Status)
	}
	if len(said) != 3 || said["speaker-1"] != "encrypted" || said["before"] != "before" || said["after"] != "after" {
		t.Errorf("passed on %q", said)
	}
	want := map[string]string{
		"old": "version without", "other": "another process answers", "without-key": "there is no Secret",
		"long":     "more than",
		"nonsense": "read the answer", "elsewhere": "302", "gone": "connection refused", "no-port": "no address",
	}
	for pod, text := range want {
		if !strings.Contains(all.Problems[pod], text) {
			t.Errorf("%s: %q, want %q", pod, all.Problems[pod], text)
		}
	}
	if len(all.Problems) != len(want) || redirected.Load() {
		t.Errorf("%q; redirected %t", all.Problems, redirected.Load())
	}
}

// TestCollectionsAreFew checks that many requests at once cause few collections.
func TestCollectionsAreFew(t *testing.T) {
	var asked, listed atomic.Int64
	at := serves(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		sealedBy(t, "a", []byte("x"))(w, r)
	})
	c := patientCollector()
	c.list = func(context.Context) ([]kube.Process, error) {
		listed.Add(1)
		return []kube.Process{{Pod: "a", Addr: at}}, nil
	}
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			w := httptest.NewRecorder()
			c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, daemon.StatusesPath, nil))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"pod":"a"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	clients.Wait()
	// A busy machine may take longer than one pause.
	if n := asked.Load(); n == 0 || n > 10 || listed.Load() != n {
		t.Errorf("%d questions to the process and %d lists for 50 requests", n, listed.Load())
	}
}

// TestAllStatusesAreBounded checks that statuses above the limit of all answers together are left out.
func TestAllStatusesAreBounded(t *testing.T) {
	const processes = maxAnswers/(1<<20) + 3
	var list []kube.Process
	at := serves(t, sealedBy(t, "a", make([]byte, 1<<20)))
	for range processes {
		list = append(list, kube.Process{Pod: "a", Addr: at})
	}
	all := patientCollector().collect(t.Context(), list)
	if len(all.Sealed) != maxAnswers/(1<<20) || !strings.Contains(all.Problems["a"], "have more than") {
		t.Errorf("%d answers of 1 MiB are kept; %q", len(all.Sealed), all.Problems)
	}
}

// TestListErrorIsNotRepeated checks that the answer does not quote the API server.
func TestListErrorIsNotRepeated(t *testing.T) {
	c := patientCollector()
	c.list = func(context.Context) ([]kube.Process, error) {
		return nil, errors.New("secret words of the API server")
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, daemon.StatusesPath, nil))
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
