package router_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	bigASN   = 4_200_000_001
	password = "not-a-secret"
)

// variant is a kind of session. One node has such a session with each router.
type variant struct {
	name string
	// keys are the keys of the peer in the configuration.
	keys []string
	asn  uint32
	// six chooses a session over IPv6.
	six bool
	// neighbor changes the node in the configuration of the router.
	neighbor func(*router.Neighbor)
}

// variants are the kinds of sessions, one for each node.
func variants() []variant {
	return []variant{
		{name: "password", asn: nodeASN, keys: []string{fmt.Sprintf("password: %q", password)},
			neighbor: func(n *router.Neighbor) { n.Password = password }},
		{name: "IPv6", asn: nodeASN, six: true},
		{name: "four-byte ASN", asn: bigASN, keys: []string{fmt.Sprintf("my-asn: %d", bigASN), "peer-asn: external"}},
		{name: "iBGP", asn: routerASN, keys: []string{fmt.Sprintf("my-asn: %d", routerASN), "peer-asn: internal"}},
		{name: "TTL security", asn: nodeASN, keys: []string{"ttl-security: 1"},
			neighbor: func(n *router.Neighbor) { n.TTLSecurity = true }},
		{name: "password over IPv6", asn: nodeASN, six: true, keys: []string{fmt.Sprintf("password: %q", password)},
			neighbor: func(n *router.Neighbor) { n.Password = password }},
	}
}

// TestSessions has each node keep another kind of session with all routers at once, and compares what the routers hear
// there.
func TestSessions(t *testing.T) {
	t.Parallel()
	kinds := installed(t, router.Kinds()...)
	all := variants()
	peers := "peers:\n"
	for number, v := range all {
		for i := range kinds {
			keys := append(
				[]string{
					fmt.Sprintf("name: v%d-r%d", number, i),
					"hold-time: 9s",
					fmt.Sprintf("node-selectors: [{match-labels: {variant: v%d}}]", number),
				},
				v.keys...)
			if v.six {
				keys = append(keys, fmt.Sprintf("peer-address: %q", wire.StationAddresses(4 + i)[1].Addr()))
			}
			peers += router.Peer(4+i, keys...)
		}
	}
	e := speakers(
		t,
		len(all),
		peers+router.Pool(
			`bgp-advertisements: [{communities: [no-export], localpref: 150, prepend: 2}]`,
		)+"bgp-communities: {no-export: 65535:65281}\n",
	)
	var neighbors []router.Neighbor
	for number, v := range all {
		e.must(e.Label(number, map[string]string{"variant": fmt.Sprintf("v%d", number)}))
		n := router.Neighbor{Address: v.address(number), ASN: v.asn, HoldTime: 30e9}
		if v.neighbor != nil {
			v.neighbor(&n)
		}
		neighbors = append(neighbors, n)
	}
	var routers []*router.Router
	for i, k := range kinds {
		routers = append(
			routers,
			e.router(router.Options{Kind: k, Station: 4 + i, ASN: routerASN, Neighbors: neighbors}),
		)
	}
	e.put(router.Service{Name: "four", Addr: vip4}, router.On(0))
	e.put(router.Service{Name: "six", Addr: vip6}, router.On(0))
	e.startSpeakers()
	for i, r := range routers {
		t.Run(r.Kind.String(), func(t *testing.T) { checkVariants(t, e.in(t), r, i) })
	}
}

// address returns the address of a node in the session.
func (v variant) address(number int) netip.Addr {
	if v.six {
		return wire.LANAddress6(number).Addr()
	}
	return wire.LANAddress(number).Addr()
}

// checkVariants compares the sessions and paths of a router.
func checkVariants(t *testing.T, e *environment, r *router.Router, number int) {
	all := variants()
	e.sessionsUp(r)
	for _, vip := range []netip.Addr{vip4, vip6} {
		paths := e.awaitPaths(r, vip, len(all))
		for node, v := range all {
			i := slices.IndexFunc(paths, func(p router.Path) bool { return p.From == v.address(node) })
			if i < 0 {
				t.Errorf("%s: no path to %s among %+v", v.name, vip, paths)
				continue
			}
			p := paths[i]
			want := router.Path{
				From:        p.From,
				NextHop:     router.Hops(vip, node)[0],
				ASPath:      []uint32{v.asn, v.asn, v.asn},
				LocalPref:   p.LocalPref,
				Communities: []string{"65535:65281"},
			}
			if v.six && p.NextHop == v.address(node) {
				want.NextHop = p.NextHop // the router accepts an IPv6 next hop for IPv4 (RFC 8950)
			}
			localPref := p.LocalPref == 0 || p.LocalPref == 100
			if v.asn == routerASN {
				want.ASPath, localPref = nil, p.LocalPref == 150
			}
			if fmt.Sprint(p) != fmt.Sprint(want) || !localPref {
				t.Errorf("%s: path %+v to %s, want %+v", v.name, p, vip, want)
			}
		}
	}
	for node, v := range all {
		s, err := r.Session(t.Context(), v.address(node))
		e.must(err)
		if s.HoldTime != 0 && s.HoldTime != 9e9 {
			t.Errorf("%s: hold time %v, want the less of two, 9 s", v.name, s.HoldTime)
		}
		e.says(
			node,
			fmt.Sprintf("v%d-r%d", node, number),
			func(p router.SaidPeer) bool { return p.Up && p.State == "Established" && p.HoldTime == 9 },
		)
	}
}
