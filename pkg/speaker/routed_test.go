package speaker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/routes"
)

// TestRouted has addresses that two routers, one router and no router were told. Neighbours with the same routers are one
// range, also over addresses that no Service has.
func TestRouted(t *testing.T) {
	session := func(name string) routerSession {
		return routerSession{config: &config.Peer{Name: name}, peer: bgp.Peer{Name: name}}
	}
	address := func(text string, peers ...string) routes.Address {
		return routes.Address{Addr: netip.MustParseAddr(text), Peers: peers}
	}
	r := routingStatus{
		sessions: []routerSession{session("a"), session("b"), session("c")},
		table: routes.Table{Addresses: []routes.Address{
			address("192.0.2.1", "a", "b"), address("192.0.2.2", "a", "b"), address("192.0.2.9", "a", "b", "c"),
			address("192.0.2.10", "a"), address("192.0.2.11"), address("192.0.2.12", "a"), address("192.0.2.13", "c"),
			address("192.0.2.14", "a", "b"), address("2001:db8::1", "a", "b"), address("2001:db8::2", "b"),
		}},
	}
	up := func(name string) bgp.Status {
		return bgp.Status{Name: name, State: bgp.Established, Announced4: 9, Wanted4: 9, Announced6: 2, Wanted6: 2}
	}
	slow := up("b")
	slow.Announced6 = 1
	down := bgp.Status{Name: "c", State: bgp.Active}
	for _, c := range []struct {
		name string
		now  []bgp.Status
		want string
	}{
		{"two routers", []bgp.Status{up("a"), up("b"), down},
			"[{[a b] [192.0.2.1-192.0.2.9 192.0.2.14 2001:db8::1]} {[a] [192.0.2.10 192.0.2.12]} {[b] [2001:db8::2]}]"},
		{"one router lacks a route of IPv6", []bgp.Status{up("a"), slow, down},
			"[{[a b] [192.0.2.1-192.0.2.9 192.0.2.14]} {[a] [192.0.2.10 192.0.2.12 2001:db8::1]}]"},
		{"no session", []bgp.Status{down}, "[]"},
	} {
		if got := fmt.Sprint(r.routed(c.now)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
