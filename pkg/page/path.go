package page

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/lanlord/lanlord/pkg/status"
)

// Path returns a handler that probes the path to the address in the query ("address=192.0.2.10") and serves the finding
// as JSON. One probe runs at a time; a further request gets the status 503.
func Path(probe func(context.Context, netip.Addr) status.Path) http.Handler {
	slots := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr, err := netip.ParseAddr(r.URL.Query().Get("address"))
		if err != nil || addr.Zone() != "" {
			http.Error(w, "the query needs an IP address without a zone, such as address=192.0.2.10", http.StatusBadRequest)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "this speaker probes a path already; ask again in a few seconds", http.StatusServiceUnavailable)
			return
		}
		text, err := json.Marshal(probe(r.Context(), addr.Unmap()))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(text) // a client that has disconnected asks again
	})
}
