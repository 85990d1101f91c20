package controller

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func TestArrivals(t *testing.T) {
	second := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	svc := func(uid string, age time.Duration) *cluster.Service {
		return &cluster.Service{UID: uid, Managed: true, Created: second.Add(-age)}
	}
	now := second.Add(900 * time.Millisecond)
	waiting, foreign, old := svc("waiting", 0), svc("foreign", 0), svc("old", 0)
	waiting.Condition = &cluster.Condition{}
	foreign.Managed = false
	old.AllocatedFrom, old.Ingress = "a", []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	services := []*cluster.Service{svc("new", 0), svc("late", time.Minute), svc("gone", 0), svc("refused", 0), waiting, foreign, old}
	a := arrivals{}
	a.observe(services, now)
	a.observe(append(services[:2:2], services[3:]...), now.Add(time.Second))

	given := []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	for _, c := range []struct {
		uid    string
		given  []netip.Addr
		waited time.Duration
		ok     bool
	}{
		{"new", given, 2 * time.Second, true},
		{"new", given, 0, false}, // the Service was served before
		{"late", given, time.Minute + 2900*time.Millisecond, true},
		{"gone", given, 0, false},
		{"refused", nil, 0, false},
		{"refused", given, 0, false}, // the Service had to wait
		{"waiting", given, 0, false},
		{"foreign", given, 0, false},
		{"old", given, 0, false},
	} {
		waited, ok := a.served(cluster.Update{UID: c.uid, Ingress: c.given}, now.Add(2*time.Second))
		if ok != c.ok || ok && waited != c.waited {
			t.Errorf("%s: %v, %t, want %v, %t", c.uid, waited, ok, c.waited, c.ok)
		}
	}
	if len(a.since) != 0 {
		t.Errorf("remembers %v", a.since)
	}
}
