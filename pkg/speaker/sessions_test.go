package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/routes"
)

// localNode is a node with two interfaces, and a default gateway in each family.
func localNode() *local {
	addrs := func(list ...string) (addrs []netip.Addr) {
		for _, text := range list {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs
	}
	own := addrs("10.0.0.5", "10.9.0.5")
	return &local{
		self: "n1", node: &cluster.Node{Name: "n1", Addresses: addrs("fd00::5", "10.0.0.5")}, uptime: time.Hour, ready: true,
		interfaces: []layer2.Interface{
			{Name: "eth0", Local: own, Gateways: addrs("10.0.0.1", "10.0.0.2", "fe80::1")},
			{Name: "eth1", Local: own},
		},
		password: func(k config.SecretKey) (string, error) {
			if k.Key == "missing" {
				return "", errors.New("no such entry")
			}
			return "secret of " + k.Key, nil
		},
	}
}

// text returns the routers of sessions, or why there are none.
func text(sessions []routerSession) (list []string) {
	for _, s := range sessions {
		p := s.peer
		switch {
		case s.problem != "":
			list = append(list, s.problem)
		case p.Interface != "":
			list = append(list, p.Name+": "+p.Interface)
		default:
			list = append(list, fmt.Sprintf("%s: %v", p.Name, p.Address))
		}
	}
	return list
}

// TestRouters finds the routers of a node by address, by gateway and by interface.
func TestRouters(t *testing.T) {
	for _, test := range []struct {
		name   string
		peer   config.Peer
		change func(*local)
		last   gateways
		want   string
	}{
		{"address", config.Peer{Name: "tor", Address: netip.MustParseAddr("10.0.0.9")}, nil, gateways{}, "[tor: 10.0.0.9]"},
		{"gateway", config.Peer{Name: "gw", Gateway: true}, nil, gateways{}, "[gw: 10.0.0.1 gw/IPv6: fe80::1%eth0]"},
		{"the gateway in use stays", config.Peer{Name: "gw", Gateway: true}, nil, gateways{netip.MustParseAddr("10.0.0.2")},
			"[gw: 10.0.0.2 gw/IPv6: fe80::1%eth0]"},
		{"another gateway", config.Peer{Name: "gw", Gateway: true}, nil, gateways{netip.MustParseAddr("10.0.0.3")},
			"[gw: 10.0.0.1 gw/IPv6: fe80::1%eth0]"},
		{"no gateway", config.Peer{Name: "gw", Gateway: true}, func(l *local) { l.interfaces[0].Gateways = nil }, gateways{},
			"[the node has no default gateway]"},
		{"a lost gateway", config.Peer{Name: "gw", Gateway: true}, func(l *local) { l.interfaces[0].Gateways = nil },
			gateways{netip.MustParseAddr("10.0.0.1")}, "[gw: 10.0.0.1]"},
		{"interface", config.Peer{Name: "fabric", Interface: "eth1"}, nil, gateways{}, "[fabric: eth1]"},
		{"pattern", config.Peer{Name: "fabric", Interface: "eth*"}, nil, gateways{}, "[fabric/eth0: eth0 fabric/eth1: eth1]"},
		{"no interface", config.Peer{Name: "fabric", Interface: "ens*"}, nil, gateways{},
			`[the node has no interface "ens*"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := localNode()
			if test.change != nil {
				test.change(l)
			}
			if got := fmt.Sprint(text(l.sessionsOf(&test.peer, nil, test.last))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestSessionParameters checks what a session takes from the peer and from the node.
func TestSessionParameters(t *testing.T) {
	of := func(p config.Peer, change func(*local)) bgp.Peer {
		l := localNode()
		if change != nil {
			change(l)
		}
		p.Address = netip.MustParseAddr("10.0.0.9")
		return l.sessionsOf(&p, nil, gateways{})[0].peer
	}
	plain := of(config.Peer{LocalASN: 1, RemoteASN: 2, GracefulRestart: time.Second}, nil)
	if plain.RemoteASN != 2 || plain.AnyExternal || plain.RouterID != netip.MustParseAddr("10.0.0.5") ||
		!plain.ForwardingKept || !plain.Ready ||
		plain.BFD != nil || plain.Password != "" || plain.PasswordProblem != "" {
		t.Errorf("plain: %+v", plain)
	}
	if p := of(config.Peer{LocalASN: 1, RemoteAS: config.RemoteExternal}, nil); p.RemoteASN != 0 || !p.AnyExternal {
		t.Errorf("external: AS %d, any: %t", p.RemoteASN, p.AnyExternal)
	}
	if p := of(config.Peer{LocalASN: 1, RemoteAS: config.RemoteInternal}, nil); p.RemoteASN != 1 || p.AnyExternal {
		t.Errorf("internal: AS %d, any: %t", p.RemoteASN, p.AnyExternal)
	}
	if p := of(config.Peer{}, func(l *local) { l.uptime = bootTime - 1 }); p.ForwardingKept {
		t.Error("a router keeps the routes of a node that has just booted")
	}
	if p := of(config.Peer{PasswordSecret: config.SecretKey{Secret: "s", Key: "k"}},
		nil); p.Password != "secret of k" || p.PasswordProblem != "" {
		t.Errorf("password %q, problem %q", p.Password, p.PasswordProblem)
	}
	if p := of(config.Peer{PasswordSecret: config.SecretKey{Secret: "s", Key: "missing"}}, nil); p.Password != "" ||
		p.PasswordProblem != "no such entry" {
		t.Errorf("password %q, problem %q", p.Password, p.PasswordProblem)
	}
	profile := &config.BFDProfile{ReceiveInterval: 1, TransmitInterval: 2, DetectMultiplier: 3, Passive: true,
		MinimumTTL: 4}
	if b := of(config.Peer{BFD: profile}, nil).BFD; b == nil || b.ReceiveInterval != 1 || b.TransmitInterval != 2 ||
		b.DetectMultiplier != 3 ||
		!b.Passive || b.MinimumTTL != 4 {
		t.Errorf("BFD %+v", b)
	}
}

// TestRouterID has a BGP identifier on every node, the same after each restart.
func TestRouterID(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.1")
	for _, test := range []struct {
		name   string
		peer   config.Peer
		change func(*local)
		want   string
	}{
		{"configured", config.Peer{RouterID: own}, nil, "192.0.2.1"},
		{"InternalIP", config.Peer{}, nil, "10.0.0.5"},
		{"an address of the node", config.Peer{},
			func(l *local) { l.node.Addresses = l.node.Addresses[:1]; l.interfaces[0].Local = nil }, "10.0.0.5"},
		{"without a Node", config.Peer{}, func(l *local) { l.node = nil }, "10.0.0.5"},
		{"without IPv4", config.Peer{}, func(l *local) { l.node, l.interfaces = nil, nil }, "4.53.220.1"},
	} {
		l := localNode()
		if test.change != nil {
			test.change(l)
		}
		if got := l.routerID(&test.peer); got.String() != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

// TestEqualNames has two peers that lead to sessions of one name: the second one has no session, and says why.
func TestEqualNames(t *testing.T) {
	l := localNode()
	r := newRouting("n1", Routing{})
	for _, p := range []config.Peer{{Name: "gw", Gateway: true}, {Name: "gw/IPv6",
		Address: netip.MustParseAddr("10.0.0.9")}} {
		r.table.Peers = append(r.table.Peers, routes.Peer{Config: &p})
		r.announced = append(r.announced, nil)
	}
	want := "[gw: 10.0.0.1 gw/IPv6: fe80::1%eth0 another peer has a session with the name gw/IPv6]"
	sessions := r.find(l)
	if got := fmt.Sprint(text(sessions)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if peers := peersOf(sessions); len(peers) != 2 {
		t.Errorf("%d sessions", len(peers))
	}
	if s := statuses(sessions, nil); s[2].Name != "gw/IPv6" || s[2].Reason != bgp.NoRoute {
		t.Errorf("status %+v", s[2])
	}
}
