package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/page"
	"github.com/lanlord/lanlord/pkg/status"
)

// crowd is a controller with so many Services, the first of which waits.
func crowd(n int) status.Controller {
	s := status.Controller{Role: status.Leader, HeldBack: []status.HeldBack{}, Pools: []status.Pool{{Name: "lan", Addresses: "10.0.0.0/16", AutoAssign: true,
		Families: []status.Stock{{Family: "IPv4", Size: "65536", Free: "63536", Used: n}}}}}
	s.Time, s.Connected = time.Now(), true
	for i := range n {
		svc := status.Service{Namespace: "shop", Name: fmt.Sprintf("service-%04d", i), State: status.Assigned, Reason: "Assigned",
			Addresses: []status.Assignment{{Address: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Pool: "lan"}},
			Wants:     status.Wants{Families: []string{"IPv4"}, Policy: "SingleStack", TrafficPolicy: "Cluster"}, Since: s.Time}
		if i == 0 {
			svc.State, svc.Reason, svc.Message, svc.Addresses = status.Waiting, "NoFreeAddress", "no IPv4 address is free", nil
		}
		s.Services = append(s.Services, svc)
	}
	return s
}

// TestManyServices has 2,000 Services shown, found and kept up to date within a second, and refuses what is no part of the page.
func TestManyServices(t *testing.T) {
	var state atomic.Pointer[status.Controller]
	s := crowd(2000)
	state.Store(&s)
	server := httptest.NewServer(page.Controller(func() status.Controller { return *state.Load() }, nil))
	defer server.Close()
	w := Open(t, 1280, 900)
	w.Visit(server.URL)
	// The second visit finds the browser warm, as its user has it.
	took := w.Visit(server.URL + "/?page=2")
	t.Logf("2,000 Services: the page is there after %v", took.Round(time.Millisecond))
	if took > patience/2 {
		t.Errorf("the page took %v, which is too long even for a busy machine", took)
	}
	w.Await("the second page", `document.querySelectorAll("[aria-labelledby=services] tbody tr").length === 100 && document.body.innerText.includes("service-0150")`)
	w.Type("#q", "10.0.7.200")
	w.Await("the filter", `document.querySelectorAll("table[aria-labelledby=services] tbody tr").length === 1 && document.body.innerText.includes("service-1992")`)
	w.Eval(`document.getElementById("q").value = ""; document.getElementById("filter").dispatchEvent(new Event("input"))`)
	w.Await("all Services", `document.body.innerText.includes("service-0000")`)
	next := crowd(2001)
	next.Services[1].Name = "<img src=x onerror=alert(1)>"
	state.Store(&next)
	w.Await("what changed, without reload", `document.body.innerText.includes("<img src=x onerror=alert(1)>") && document.querySelector("#services").innerText.includes("2,001")`)
	for _, width := range []int64{1280, 600, 375, 320} {
		w.Resize(width, 800)
		if wide := w.Overflow(); len(wide) > 0 {
			t.Errorf("at a width of %d the page is wider than the window: %q", width, wide)
		}
	}
	w.Shoot("many")
	if complaints := w.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

// TestUnreachable says that what is shown is old.
func TestUnreachable(t *testing.T) {
	var gone atomic.Bool
	s := crowd(3)
	handler := page.Controller(func() status.Controller { return s }, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	w := Open(t, 400, 800)
	w.Visit(server.URL)
	gone.Store(true)
	w.Await("the warning", `document.getElementById("live").textContent === "not reachable; this is old" && document.body.classList.contains("stale")`)
	w.AwaitComplaint("503")
	gone.Store(false)
	w.Await("the return", `document.getElementById("live").textContent === "live" && !document.body.classList.contains("stale")`)
}
