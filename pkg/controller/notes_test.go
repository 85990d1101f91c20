package controller

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestNotes checks the notes about configurations in various clusters. Each want is a part of one note, in order.
func TestNotes(t *testing.T) {
	const pool = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.2]}]\n"
	const label = "all nodes that could have the label"
	node := func(name, addr string, excluded bool) cluster.Node {
		return cluster.Node{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(addr)}, Excluded: excluded}
	}
	windows := node("w", "10.1.0.9", false)
	windows.Labels = map[string]string{"kubernetes.io/os": "windows"}
	for _, test := range []struct {
		name, config string
		nodes        []cluster.Node
		want         []string
	}{
		{"nothing to say", pool, []cluster.Node{node("n1", "10.1.0.1", true), node("n2", "10.1.0.2", false)}, nil},
		{"no nodes", pool, nil, nil},
		{"all excluded", pool, []cluster.Node{node("n1", "10.1.0.1", true), windows}, []string{label}},
		{"excluded and used", pool + "layer2: {excluded-nodes: use}", []cluster.Node{node("n1", "10.1.0.1", true)}, nil},
		{"routes too", "address-pools: [{name: a, protocols: [layer2, bgp], addresses: [10.0.0.1]}]\nbgp: {excluded-nodes: use}",
			[]cluster.Node{node("n1", "10.1.0.1", true)}, []string{`"a" by layer2: ` + label}},
		{"node not selected", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.1], node-selectors: [{match-labels: {x: y}}]}]",
			[]cluster.Node{node("n1", "10.1.0.1", true)}, nil},
		{"a node's address among others", pool, []cluster.Node{node("n1", "10.0.0.1", false)}, nil},
		{"only addresses of nodes", pool, []cluster.Node{node("n1", "10.0.0.1", false), node("n2", "10.0.0.2", false)},
			[]string{"has addresses of Nodes only, and Lanlord gives these to no Service: 10.0.0.1 (node n1), 10.0.0.2 (node n2)"}},
		{"allowed", pool + "allocation: {allow-node-addresses: true}", []cluster.Node{node("n1", "10.0.0.1", false)},
			[]string{"Services may have them (allow-node-addresses): 10.0.0.1 (node n1)"}},
		{"announced and outside", pool + "announce-classes: [x]", nil,
			[]string{"in no pool, so Lanlord would not announce them: 10.9.0.1 of edge/x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := config.Parse([]byte(test.config))
			if err != nil {
				t.Fatal(err)
			}
			var others []*cluster.Service
			for _, class := range []string{"x", "y"} {
				others = append(others, &cluster.Service{
					Key: cluster.Key{Namespace: "edge", Name: class}, Class: class,
					Ingress: []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.0.0.2")},
				})
			}
			notes := Notes(cluster.Snapshot{Nodes: test.nodes, Others: others}, cfg)
			if !slices.EqualFunc(notes, test.want, strings.Contains) {
				t.Errorf("got %q, want %q", notes, test.want)
			}
		})
	}
}

// TestOwnAddressHasNoRoutes checks that a Service with the address of a Node gets no condition about routers, unless
// the Service has another address.
func TestOwnAddressHasNoRoutes(t *testing.T) {
	cfg, err := config.Parse([]byte("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.1, 'fd00::1']}]\n" +
		"peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.9.9.9}]\nallocation: {allow-node-addresses: true}"))
	if err != nil {
		t.Fatal(err)
	}
	own, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	svc := &cluster.Service{Managed: true, Ingress: []netip.Addr{own, other}}
	snapshot := cluster.Snapshot{
		Config: cfg, Nodes: []cluster.Node{{Name: "n1", External: []netip.Addr{own}}},
		Routed: []cluster.Routed{routedBy("n1", cfg.Peers[0].Name, own.String(), other.String())},
	}
	if is, known := routesOf(svc, &snapshot); !known || !is.True || strings.Contains(is.Message, own.String()) ||
		!strings.Contains(is.Message, other.String()) || len(svc.Ingress) != 2 {
		t.Errorf("%v has the condition %+v", svc.Ingress, is)
	}
	svc.Ingress = svc.Ingress[:1]
	if is, known := routesOf(svc, &snapshot); !known || is != nil {
		t.Errorf("the address of a Node alone has the condition %+v", is)
	}
	cfg.Allocation.AllowNodeAddresses = false
	if is, known := routesOf(svc, &snapshot); !known || is == nil || !strings.Contains(is.Message, own.String()) {
		t.Errorf("an address of a Node counts as allowed without the key: %+v", is)
	}
}
