package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var viewerSecret = []byte("0123456789abcdef0123456789abcdef")

// TestSealedStatusNeedsTheKey checks that only the right key opens a sealed status, and only an unchanged status.
func TestSealedStatusNeedsTheKey(t *testing.T) {
	status := []byte(`{"services": ["shop/cart"]}`)
	sealed, err := Seal(viewerSecret, "speaker-1", status)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := sealed.Open(viewerSecret); err != nil || !bytes.Equal(text, status) {
		t.Errorf("%s, %v", text, err)
	}
	if again, err := Seal(viewerSecret, "speaker-1", status); err != nil || bytes.Equal(again.Status, sealed.Status) {
		t.Errorf("the same status twice is sealed alike, %v", err)
	}
	changed := bytes.Clone(sealed.Status)
	changed[len(changed)/2] ^= 1
	for name, attempt := range map[string]struct {
		sealed Sealed
		secret []byte
	}{
		"another key":      {sealed, []byte("another key of the same size ...")},
		"a short key":      {sealed, []byte("short")},
		"no key":           {sealed, nil},
		"another pod":      {Sealed{"speaker-2", sealed.Status}, viewerSecret},
		"a changed status": {Sealed{"speaker-1", changed}, viewerSecret},
		"a cut status":     {Sealed{"speaker-1", sealed.Status[:len(sealed.Status)-1]}, viewerSecret},
		"a nonce alone":    {Sealed{"speaker-1", sealed.Status[:12]}, viewerSecret},
		"nothing":          {Sealed{Pod: "speaker-1"}, viewerSecret},
	} {
		if text, err := attempt.sealed.Open(attempt.secret); err == nil {
			t.Errorf("%s opens it: %s", name, text)
		}
	}
	if _, err := Seal([]byte("short"), "speaker-1", status); err == nil {
		t.Error("a short secret seals")
	}
}

// TestStatusIsSealedOnThePort checks that the port on the node's network serves the status only in encrypted form.
func TestStatusIsSealedOnThePort(t *testing.T) {
	problem := error(nil)
	s := NewServer(ServerOptions{
		Pod: "speaker-1", Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Status: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/status.json" {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = w.Write([]byte(`{"kind": "speaker"}`))
		}),
		Key: func(context.Context) ([]byte, error) { return viewerSecret, problem },
	})
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	w := ask(SealedPath)
	var sealed Sealed
	if err := json.Unmarshal(w.Body.Bytes(), &sealed); err != nil || sealed.Pod != "speaker-1" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if text, err := sealed.Open(viewerSecret); err != nil || string(text) != `{"kind": "speaker"}` {
		t.Errorf("%s, %v", text, err)
	}
	problem = errors.New("there is no Secret n/lanlord-viewer")
	w = ask(SealedPath)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "there is no Secret") {
		t.Errorf("without a key: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/status.json", StatusesPath, "/"} {
		if w := ask(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// FuzzSealed opens any bytes that a network peer may send.
func FuzzSealed(f *testing.F) {
	sealed, err := Seal(viewerSecret, "speaker-1", []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("speaker-1", sealed.Status)
	f.Add("", []byte{})
	f.Add("speaker-1", make([]byte, 12))
	f.Fuzz(func(t *testing.T, pod string, status []byte) {
		text, err := Sealed{pod, status}.Open(viewerSecret)
		if err == nil && (pod != "speaker-1" || !bytes.Equal(status, sealed.Status) || string(text) != "{}") {
			t.Errorf("%q of %q opens as %q", status, pod, text)
		}
	})
}
