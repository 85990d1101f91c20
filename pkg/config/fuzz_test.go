package config

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/config/configtest"
)

// FuzzParse asserts that no document, and no file, makes the parser panic or hang, and that each accepted Config
// fulfils the promises of the type.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		// One of each key of a pool, so that the fuzzer knows the words.
		"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24], exclude: [10.0.0.9-10.0.0.11], priority: 1, " +
			"auto-assign: no, avoid-buggy-ips: on, namespaces: [x], interfaces: ['eth*'], node-selectors: [{match-labels: {a: b}}], preferred-nodes: [{weight: 3, match-labels: {a: b}}]}\n",
		// One of each key of peers and of pools with protocol bgp.
		"peers:\n- {my-asn: 1, peer-asn: external, peer-address: gateway, peer-port: 1, password-secret: a/b, bfd-profile: p, source-interface: e, ttl-security: 1, graceful-restart: off, address-pools: [a]}\n" +
			"- {my-asn: 1, peer-asn: 1, peer-interface: 'e*', name: x, hold-time: 3s, keepalive-time: 1s, router-id: 1.2.3.4, password: x, node-selectors: [{}]}\n" +
			"bfd-profiles: [{name: p, receive-interval: 10, detect-multiplier: 2, minimum-ttl: 1}]\nbgp-communities: {c: '1:2', l: '1:2:3'}\nbgp: {drain: 1s}\naddress-pools:\n" +
			"- {name: a, protocols: [layer2, bgp], addresses: [10.0.0.0/24], spread: 2, bgp-advertisements: [{aggregation-length: 24, communities: [c, l, '3:4'], peers: [x], med: 1, prepend: 1, localpref: 5, service-selectors: [{}]}, {}]}\n",
		// Announcements for other classes, and the order of the nodes.
		"announce-classes: [a/b, '']\naddress-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.1], announce-from: endpoints, " +
			"excluded-nodes: use}\nallocation: {allow-node-addresses: on}\nlayer2: {excluded-nodes: use}\nbgp: {excluded-nodes: skip}\n",
		// The last addresses of both families, because no next address exists.
		"address-pools:\n- {name: a, protocol: bgp, addresses: [255.255.255.255, \"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1\"]}\n",
		// Two adjacent pools, and two pools that overlap in one address.
		"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/25]}\n- {name: b, protocol: layer2, addresses: [10.0.0.128/25]}\n",
		"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/25]}\n- {name: b, protocol: layer2, addresses: [10.0.0.127/32]}\n",
		// Aliases: to the node itself, to each other, as a merge key, as a key.
		"a: &a [*a]\n", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "address-pools:\n- &a {name: a}\n- {<<: *a, *a : *a}\n",
		"address-pools: [&x {<<: [&y {name: z}, *y, {<<: *y}]}]\n",
		// Keys and tags that are not plain words.
		"? {a: b}\n: c\n", "!!map {? ~ : ~}", "address-pools: !!seq [!!map {name: !!str 1}]", "!<x> a",
		// Input that only looks like text.
		"\ufeffaddress-pools: []\r\n", "\xff\xfea\x00", "a: \x01", "\t", "---\n---\n...\n%YAML 1.1\n---\n",
		// A manifest with the document in a literal block, and a manifest in a list of objects.
		"apiVersion: v1\nkind: ConfigMap\ndata:\n  config: |\n    address-pools: x\n",
		"apiVersion: v1\nkind: List\nitems:\n- &c {apiVersion: v1, kind: ConfigMap, data: {config: 'peers: [{}]'}}\n- *c\n",
	} {
		f.Add([]byte(seed))
	}
	configtest.AddDocuments(f, "testdata/check/*.txtar")
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse(data)
		again, errAgain := Parse(data)
		if !reflect.DeepEqual(config, again) || !reflect.DeepEqual(err, errAgain) {
			t.Fatalf("parsed twice: %+v, %v and %+v, %v", config, err, again, errAgain)
		}
		if (config == nil) == (err == nil) {
			t.Fatalf("got %v and %v", config, err)
		}
		if err != nil {
			checkProblems(t, data, err.(*Problems).List)
		} else {
			checkProblems(t, data, config.Warnings)
			checkConfig(t, config)
		}
		_ = Check(data, io.Discard)
	})
}

func checkProblems(t *testing.T, data []byte, list []Problem) {
	lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) +
		// YAML also accepts NEL, LS and PS as ends of lines.
		bytes.Count(data, []byte("\u0085")) + bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029"))
	for _, problem := range list {
		if problem.Line < 1 || problem.Line > lines && data[0] < 0xfe || problem.Message == "" {
			t.Errorf("problem %+v in a document of %d lines", problem, lines)
		}
	}
	if !slices.IsSortedFunc(list, func(a, b Problem) int { return a.Line - b.Line }) {
		t.Errorf("not in the order of the document: %v", list)
	}
}

// checkConfig asserts the promises of the types.
func checkConfig(t *testing.T, c *Config) {
	t.Helper()
	var all []Range
	names := map[string]bool{}
	for i, p := range c.Pools {
		if p.Name == "" || names[p.Name] || p.Priority < 0 || p.Priority > 1_000_000 || len(p.Ranges) == 0 {
			t.Fatalf("pool %+v", p)
		}
		names[p.Name] = true
		if i > 0 && !before(c.Pools[i-1], p) {
			t.Errorf("pool %q comes after pool %q", p.Name, c.Pools[i-1].Name)
		}
		checkCanonical(t, p.Ranges)
		for _, r := range p.Ranges {
			if err := checkHosts(r.String(), r); err != nil {
				t.Error(err)
			}
			for _, a := range [...]Range{{r.From, r.To}, {r.To, r.From}} {
				if owner := c.PoolOf(a.From); p.Contains(a.From) != (owner == &c.Pools[i]) {
					t.Errorf("%s is of pool %v, want %q", a.From, owner, p.Name)
				}
			}
		}
		all = append(all, p.Ranges...)
		for j, r := range p.Reserve {
			if !p.Contains(r.Addr) || len(r.Services) == 0 || j > 0 && !p.Reserve[j-1].Addr.Less(r.Addr) {
				t.Errorf("pool %q reserves %v", p.Name, p.Reserve)
			}
		}
		for namespace, limit := range p.Quotas {
			if got, limited := p.Quota(namespace); limit < 0 || got != limit || !limited {
				t.Errorf("the quotas %v give namespace %q %d", p.Quotas, namespace, got)
			}
		}
		checkAdvertisements(t, &p)
		if !slices.IsSorted(p.Namespaces) {
			t.Errorf("namespaces %q are not sorted", p.Namespaces)
		}
	}
	checkPeers(t, c)
	for _, r := range all {
		if n := len(slices.DeleteFunc(slices.Clone(all), func(o Range) bool { return !o.overlaps(r) })); n != 1 {
			t.Errorf("%s overlaps %d ranges", r, n-1)
		}
	}
}

func checkAdvertisements(t *testing.T, p *Pool) {
	t.Helper()
	if !p.Layer2 && !p.BGP || p.BGP != (len(p.Advertisements) > 0) || p.Spread != 0 && !p.BGP {
		t.Errorf("pool %+v", p)
	}
	for _, a := range p.Advertisements {
		if a.AggregationLength > 32 || a.AggregationLengthV6 > 128 || a.Prepend > 10 || a.MED != 0 && !a.HasMED ||
			!slices.IsSorted(a.Communities) || !slices.IsSortedFunc(a.LargeCommunities, LargeCommunity.Compare) || !slices.IsSorted(a.Peers) {
			t.Errorf("pool %q advertises %+v", p.Name, a)
		}
	}
}

func checkPeers(t *testing.T, c *Config) {
	t.Helper()
	names := map[string]bool{}
	for i := range c.Peers {
		p := &c.Peers[i]
		ways := 0
		for _, given := range []bool{p.Address.IsValid(), p.Gateway, p.Interface != ""} {
			if given {
				ways++
			}
		}
		switch {
		case p.Name == "" || names[p.Name], ways != 1, p.LocalASN == 0, (p.RemoteASN == 0) != (p.RemoteAS != RemoteExact), p.Port == 0,
			p.HoldTime != 0 && (p.HoldTime < 3*time.Second || p.HoldTime > 65535*time.Second || p.KeepaliveTime < time.Second),
			p.HoldTime%time.Second != 0, p.KeepaliveTime > p.HoldTime,
			len(p.Password) > 80, p.Password != "" && p.PasswordSecret != SecretKey{},
			p.Multihop && (p.TTLSecurity > 0 || p.internal()), p.TTLSecurity < 0 || p.TTLSecurity > 254,
			p.GracefulRestart < 0 || p.GracefulRestart > 4095*time.Second, p.RouterID.IsValid() && (!p.RouterID.Is4() || p.RouterID.IsUnspecified()):
			t.Errorf("peer %s: %+v", p, *p)
		}
		names[p.Name] = true
		for _, pool := range p.AddressPools {
			if pool := c.Pool(pool); pool == nil || !pool.BGP {
				t.Errorf("peer %s takes pool %v", p, pool)
			}
		}
	}
	for _, pool := range c.Pools {
		for _, a := range pool.Advertisements {
			for _, name := range a.Peers {
				if !names[name] {
					t.Errorf("pool %q is for the peer %q", pool.Name, name)
				}
			}
		}
	}
}

// before reports whether the allocator tries a before b.
func before(a, b Pool) bool {
	switch {
	case a.Priority == b.Priority && a.Restricted() != b.Restricted():
		return a.Restricted()
	case a.Priority == b.Priority:
		return a.Name < b.Name
	case a.Priority == 0 || b.Priority == 0:
		return b.Priority == 0
	default:
		return a.Priority < b.Priority
	}
}
