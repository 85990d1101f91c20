package page

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/pkg/status"
)

// TestPath asks for a path, asks again during the probe, and asks without an address.
func TestPath(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	h := Path(func(_ context.Context, addr netip.Addr) status.Path {
		close(begun)
		<-end
		return status.Path{Node: "a", Address: addr.String()}
	})
	get := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/path.json"+query, nil))
		return w
	}
	for _, query := range []string{"", "?address=web", "?address=fe80::1%25eth0"} {
		if w := get(query); w.Code != http.StatusBadRequest {
			t.Errorf("%q gives the status %d", query, w.Code)
		}
	}
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- get("?address=::ffff:192.0.2.10") }()
	<-begun
	if w := get("?address=192.0.2.11"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a second probe at the same time gives the status %d", w.Code)
	}
	close(end)
	w := <-first
	var said status.Path
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || w.Code != http.StatusOK || said.Address != "192.0.2.10" {
		t.Errorf("status %d, %q, %v", w.Code, w.Body, err)
	}
}
