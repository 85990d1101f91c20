package inspect

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// pathFrom returns the finding of a node: the station owner answers, and the port 80 gives the result.
func pathFrom(node, result string, change func(*status.Path)) status.Path {
	n := status.Path{
		Node: node, Address: "192.0.2.10", Ping: true,
		Stations: []status.Station{{MAC: "02:00:00:00:00:03", Node: "owner", Interface: "eth0"}},
		Probes: []status.PathProbe{{
			Service: "shop/cart", Port: 80, Through: "02:00:00:00:00:03", Node: "owner", Result: result, After: 700, Source: "192.0.2.1",
		}},
	}
	if change != nil {
		change(&n)
	}
	return n
}

// TestPaths gives each kind of broken hop, and expects the sentence that names the hop.
func TestPaths(t *testing.T) {
	c := &Cluster{Services: []cluster.Service{{Key: cluster.Key{Namespace: "shop", Name: "cart"}, Ingress: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}}}
	owner := status.Path{Node: "owner", Address: "192.0.2.10", Holds: true}
	probe := func(change func(*status.PathProbe)) func(*status.Path) {
		return func(n *status.Path) { change(&n.Probes[0]) }
	}
	for _, x := range []struct {
		name  string
		nodes []status.Path
		state string
		want  string
		fix   string
	}{
		{"open from all", []status.Path{pathFrom("b", "open", nil), owner, pathFrom("a", "open", nil)}, PathReachable,
			"The node owner answers, and its TCP port is open from 2 nodes, within 0.7 ms", ""},
		{"nobody asked", nil, PathUnknown, "no node could probe the path (no speaker was asked)", "who 192.0.2.10"},
		{"one node", []status.Path{owner}, PathUnknown, "no other node could probe", "client"},
		{"older speakers", []status.Path{{Node: "a", Problem: "unknown command"}}, PathUnknown, "a: unknown command", "who"},
		{"nobody answers", []status.Path{pathFrom("a", "", func(n *status.Path) { n.Stations, n.Probes = nil, nil })}, PathBroken, "no host answers ARP or NDP", "why SERVICE"},
		{"nobody hears the owner", []status.Path{owner, pathFrom("a", "", func(n *status.Path) { n.Stations, n.Probes = nil, nil })}, PathBroken,
			"the segment drops the ARP or NDP frames of owner", "switch port of owner"},
		{"one node hears nothing", []status.Path{owner, pathFrom("a", "open", nil), pathFrom("b", "", func(n *status.Path) { n.Stations, n.Probes = nil, nil })},
			PathBroken, "the nodes b do not hear the answer of owner", "switch ports of these nodes: dynamic ARP inspection"},
		{"two answer", []status.Path{pathFrom("a", "open", func(n *status.Path) { n.Stations = append(n.Stations, status.Station{MAC: "x", Node: "other"}) })},
			PathBroken, "several hosts answer for the address: other, owner", "who"},
		{"a foreign host", []status.Path{pathFrom("a", "open", func(n *status.Path) { n.Stations[0].Node = "" })}, PathBroken,
			"a host that is no node answers for the address: 02:00:00:00:00:03", "switch"},
		{"no TCP port", []status.Path{pathFrom("a", "", func(n *status.Path) { n.Probes = nil })}, PathUnknown, "UDP and SCTP ports cannot be checked", ""},
		{"shut out", []status.Path{pathFrom("a", "silent", probe(func(p *status.PathProbe) { p.ShutOut = true }))}, PathUnknown,
			"loadBalancerSourceRanges of shop/cart lack the addresses of the nodes", "client in these ranges"},
		{"some shut out", []status.Path{pathFrom("a", "open", nil), pathFrom("b", "silent", probe(func(p *status.PathProbe) { p.ShutOut = true }))}, PathReachable,
			"open from a; loadBalancerSourceRanges shut out b", ""},
		{"refused", []status.Path{pathFrom("a", "refused", nil)}, PathBroken, "reach a Pod through owner, and no program listens there", "targetPort"},
		{"no endpoints", []status.Path{pathFrom("a", "unreachable", probe(func(p *status.PathProbe) { p.Cause = "port" }))}, PathBroken,
			"the service proxy of owner knows no endpoint", "endpointslices"},
		{"a firewall", []status.Path{pathFrom("a", "unreachable", probe(func(p *status.PathProbe) { p.Cause, p.Type, p.Code, p.From = "prohibited", 3, 10, "192.0.2.3" }))},
			PathBroken, "ICMP type 3 code 10 from 192.0.2.3", "rules of this host"},
		{"no rules", []status.Path{pathFrom("a", "silent", probe(func(p *status.PathProbe) { p.Redirected = true }))}, PathBroken,
			"the node owner has no rules that lead port 80 of shop/cart to a running Pod", "kube-proxy"},
		{"no rules, later", []status.Path{pathFrom("a", "unreachable", probe(func(p *status.PathProbe) { p.Cause = "host" }))}, PathBroken, "the node owner has no rules", "kube-proxy"},
		{"a loop", []status.Path{pathFrom("a", "unreachable", probe(func(p *status.PathProbe) { p.Cause, p.Type, p.From = "other", 11, "192.0.2.3" }))}, PathBroken,
			"ICMP type 11 code 0 from 192.0.2.3", "routes"},
		{"silent from one", []status.Path{pathFrom("a", "open", nil), pathFrom("b", "silent", nil)}, PathBroken, "is open from a and silent from b", "NetworkPolicy"},
		{"forwards nothing", []status.Path{pathFrom("a", "silent", nil)}, PathBroken, "get lost on owner or behind it", "ip_forward"},
		{"a switch that filters", []status.Path{pathFrom("a", "silent", func(n *status.Path) { n.Ping = false })}, PathBroken,
			"the switch port of owner drops packets with this source address", "IP source guard"},
		{"silent without pings", []status.Path{pathFrom("a", "silent", func(n *status.Path) { n.NoPing, n.Ping = true, false })}, PathBroken, "nothing comes back", "ping: true"},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := Paths(c, netip.MustParseAddr("192.0.2.10"), x.nodes)
			if a.State != x.state || !strings.Contains(a.Detail, x.want) || !strings.Contains(a.Fix, x.fix) || (a.Fix == "") != (x.fix == "") {
				t.Errorf("%s: %s\nfix: %s\nwant %s: %s, %s", a.State, a.Detail, a.Fix, x.state, x.want, x.fix)
			}
			r := PathReport{Addresses: []PathAddress{a}}
			if r.Well() != (x.state == PathReachable) || r.Known() != (x.state == PathBroken) {
				t.Errorf("well is %v, known is %v", r.Well(), r.Known())
			}
			var text bytes.Buffer
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for _, n := range x.nodes {
				if !strings.Contains(text.String(), "\n"+n.Node+" ") {
					t.Errorf("the table lacks %s:\n%s", n.Node, text.String())
				}
			}
		})
	}
}
