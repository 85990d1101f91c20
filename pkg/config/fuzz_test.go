package config

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/lanlord/lanlord/pkg/config/configtest"
)

// FuzzParse asserts that no document, and no file, makes the parser panic or hang, and that what is accepted keeps the
// promises of Config.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		// One of everything that a pool can have, so that the fuzzer knows the words.
		"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24], exclude: [10.0.0.9-10.0.0.11], priority: 1, " +
			"auto-assign: no, avoid-buggy-ips: on, namespaces: [x], interfaces: ['eth*'], node-selectors: [{match-labels: {a: b}}], preferred-nodes: [{weight: 3, match-labels: {a: b}}]}\n",
		// The ends of the families, where the next address does not exist.
		"address-pools:\n- {name: a, protocol: bgp, addresses: [255.255.255.255, \"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1\"]}\n",
		// Two pools that touch, and two that overlap in one address.
		"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/25]}\n- {name: b, protocol: layer2, addresses: [10.0.0.128/25]}\n",
		"address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/25]}\n- {name: b, protocol: layer2, addresses: [10.0.0.127/32]}\n",
		// Aliases: to the node itself, to each other, as a merge key, as a key.
		"a: &a [*a]\n", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "address-pools:\n- &a {name: a}\n- {<<: *a, *a : *a}\n",
		"address-pools: [&x {<<: [&y {name: z}, *y, {<<: *y}]}]\n",
		// Keys and tags that are no plain words.
		"? {a: b}\n: c\n", "!!map {? ~ : ~}", "address-pools: !!seq [!!map {name: !!str 1}]", "!<x> a",
		// What only looks like text.
		"\ufeffaddress-pools: []\r\n", "\xff\xfea\x00", "a: \x01", "\t", "---\n---\n...\n%YAML 1.1\n---\n",
		// A manifest, whose document is in a literal block, and one in a list of objects.
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
		// What YAML also takes for the end of a line: NEL, LS and PS.
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

// checkConfig asserts what the types promise.
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
		if !slices.IsSorted(p.Namespaces) {
			t.Errorf("namespaces %q are not sorted", p.Namespaces)
		}
	}
	for _, r := range all {
		if n := len(slices.DeleteFunc(slices.Clone(all), func(o Range) bool { return !o.overlaps(r) })); n != 1 {
			t.Errorf("%s overlaps %d ranges", r, n-1)
		}
	}
}

// before tells whether addresses are taken from a before b.
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
