package config

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

func TestParseTypes(t *testing.T) {
	got, err := Parse([]byte(`
address-pools:
- name: plain
  protocol: layer2
  addresses: [10.0.0.0/24]
- name: all
  protocol: layer2
  addresses: [10.0.1.1, 2001:db8::-2001:db8::f]
  exclude: [2001:db8::]
  avoid-buggy-ips: true
  auto-assign: false
  priority: 7
  namespaces: [web, shop]
  namespace-selectors: [{match-labels: {team: web}}]
  service-selectors: [{}]
  disabled: true
  reserve: {2001:db8::5: [web/tcp, shop/udp]}
  quota: {each: 3, namespaces: {shop: 5}}
  node-selectors:
  - match-labels: {zone: a}
    match-expressions: [{key: rack, operator: In, values: [r1]}]
  - {}
  preferred-nodes:
  - {weight: 10, match-labels: {zone: a}, match-expressions: [{key: rack, operator: In, values: [r1]}]}
  - {match-labels: {team: web}, weight: 1}
  interfaces: [vlan*, eth0]
- {name: z, protocol: bgp, addresses: [10.1.0.0/24]}
- {name: y, protocols: [bgp, layer2], addresses: [10.2.0.0/24]}
allocation: {release-delay: 0}
layer2: {refresh: 10s, rate: 12, ping: no, failback: never, move-on-cordon: yes}
`))
	if err != nil {
		t.Fatal(err)
	}
	selector, err := labels.Parse("rack in (r1),zone=a")
	if err != nil {
		t.Fatal(err)
	}
	host := []Advertisement{{AggregationLength: 32, AggregationLengthV6: 128}}
	want := []Pool{
		{
			Name: "all", Layer2: true, Priority: 7, AvoidBuggyIPs: true,
			Ranges:     []Range{span("10.0.1.1", "10.0.1.1"), span("2001:db8::1", "2001:db8::f")},
			Namespaces: []string{"shop", "web"}, Interfaces: []string{"eth0", "vlan*"},
			NamespaceSelectors: []labels.Selector{labels.SelectorFromSet(labels.Set{"team": "web"})},
			ServiceSelectors:   []labels.Selector{labels.Everything()},
			NodeSelectors:      []labels.Selector{selector, labels.Everything()},
			PreferredNodes: []PreferredNodes{
				{10, selector}, {1, labels.SelectorFromSet(labels.Set{"team": "web"})},
			},
			Disabled: true,
			Reserve: []Reservation{{netip.MustParseAddr("2001:db8::5"),
				[]ServiceName{{"shop", "udp"}, {"web", "tcp"}}}},
			Quotas: map[string]int{"": 3, "shop": 5},
		},
		{Name: "plain", AutoAssign: true, Ranges: []Range{span("10.0.0.0", "10.0.0.255")}, Layer2: true},
		{Name: "y", AutoAssign: true, Ranges: []Range{span("10.2.0.0", "10.2.0.255")}, Layer2: true, BGP: true, Advertisements: host},
		{Name: "z", AutoAssign: true, Ranges: []Range{span("10.1.0.0", "10.1.0.255")}, BGP: true, Advertisements: host},
	}
	if !reflect.DeepEqual(got.Pools, want) {
		t.Errorf("got  %+v\nwant %+v", got.Pools, want)
	}
	if got.BGP.Drain != 2*time.Second {
		t.Errorf("drain: %s", got.BGP.Drain)
	}
	if got.Allocation.ReleaseDelay != 0 || got.Layer2 != (Layer2{Refresh: 10 * time.Second, Rate: 12, Failback: FailbackNever, MoveOnCordon: true}) {
		t.Errorf("got %v and %v", got.Allocation, got.Layer2)
	}
	if len(got.Warnings) != 2 || got.Warnings[0].Pool != "z" || got.Warnings[0].Line != 27 {
		t.Errorf("warnings: %v", got.Warnings)
	}
}

func TestProblemsAreTyped(t *testing.T) {
	_, err := Parse([]byte("address-pools:\n- name: a\n  protocol: layer2\n  addresses: [x]\n"))
	problems, ok := errors.AsType[*Problems](err)
	if !ok {
		t.Fatalf("got a %T", err)
	}
	want := []Problem{{Line: 4, Pool: "a", Path: "address-pools[0].addresses[0]",
		Message: `"x" is no address; write one like 192.0.2.10 or 2001:db8::10`}}
	if !slices.Equal(problems.List, want) {
		t.Errorf("got %v, want %v", problems.List, want)
	}
}

func TestProblemString(t *testing.T) {
	for want, problem := range map[string]Problem{
		`line 3: pool "a b": x.y: bad`: {Line: 3, Pool: "a b", Path: "x.y", Message: "bad"},
		"bad":                          {Message: "bad"},
		"x: bad":                       {Path: "x", Message: "bad"},
	} {
		if got := problem.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestManyProblems(t *testing.T) {
	_, err := Parse([]byte("address-pools:\n- name: a\n  protocol: layer2\n  addresses:\n" + strings.Repeat("  - x\n", 102)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 101 || lines[100] != "and 2 more problems" {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// TestReferenceManual checks that deploy/config.example.yaml is valid, and contains every key.
func TestReferenceManual(t *testing.T) {
	text, err := os.ReadFile("../../deploy/config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, problem := findDocument(text)
	if problem != nil {
		t.Fatal(problem)
	}
	if document.object != "ConfigMap lanlord-system/config" || !document.inFile {
		t.Errorf("got %s, lines in the file: %t", document.object, document.inFile)
	}
	parsed, err := Parse(document.text)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Warnings) != 1 || parsed.Warnings[0].Path != "peers[1].password" {
		t.Errorf("more than the warning about the password: %v", parsed.Warnings)
	}
	for _, key := range knownKeys(t) {
		if !strings.Contains(string(document.text), key+":") {
			t.Errorf("the key %s is not there", key)
		}
	}
}

// knownKeys returns the keys of every mapping, taken from the messages about unknown keys.
func knownKeys(t *testing.T) []string {
	_, err := Parse([]byte(`
_: 0
address-pools: [{_: 0, quota: {_: 0}, bgp-advertisements: [{_: 0}], node-selectors: [{_: 0, match-expressions: [{_: 0}]}], preferred-nodes: [{_: 0}]}]
peers: [{_: 0}]
bfd-profiles: [{_: 0}]
allocation: {_: 0}
layer2: {_: 0}
bgp: {_: 0}
`))
	var keys []string
	for line := range strings.Lines(err.Error()) {
		if _, names, ok := strings.Cut(strings.TrimSpace(line), "the keys here are "); ok {
			keys = append(keys, strings.Split(names, ", ")...)
		}
	}
	if len(keys) < 40 {
		t.Fatalf("only %d keys: %v", len(keys), keys)
	}
	return keys
}

// TestParseLaws compares Parse with a naive computation on sets of addresses. The documents are random, over a /26.
func TestParseLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	universe := slices.Collect(span("10.0.0.0", "10.0.0.63").All())
	accepted, refused := 0, 0
	for range 3000 {
		document, pools := randomDocument(random, universe)
		want := true
		owner := map[netip.Addr]string{}
		for _, pool := range pools {
			taken := map[netip.Addr]bool{}
			left := 0
			for _, r := range pool.addresses {
				for a := range r.All() {
					want = want && !taken[a]
					taken[a] = true
				}
			}
			for a := range taken {
				if slices.ContainsFunc(pool.exclude, func(r Range) bool { return r.Contains(a) }) {
					continue
				}
				left++
				want = want && owner[a] == ""
				owner[a] = pool.name
			}
			want = want && left > 0
		}
		config, err := Parse([]byte(document))
		if want != (err == nil) {
			t.Fatalf("%s\nmust be valid: %t; got %v", document, want, err)
		}
		if err != nil {
			refused++
			continue
		}
		accepted++
		for _, a := range universe {
			got := ""
			if p := config.PoolOf(a); p != nil {
				got = p.Name
			}
			if got != owner[a] {
				t.Fatalf("%s\n%s is of pool %q, got %q", document, a, owner[a], got)
			}
		}
	}
	if accepted < 300 || refused < 300 {
		t.Errorf("%d accepted and %d refused: the documents do not try both", accepted, refused)
	}
}

type naivePool struct {
	name               string
	addresses, exclude []Range
}

func randomDocument(random *rand.Rand, universe []netip.Addr) (string, []naivePool) {
	some := func(most int) []Range {
		ranges := make([]Range, 1+random.IntN(most))
		for i := range ranges {
			from := random.IntN(len(universe))
			ranges[i] = Range{universe[from], universe[min(from+random.IntN(10), len(universe)-1)]}
		}
		return ranges
	}
	text := strings.Builder{}
	text.WriteString("address-pools:\n")
	pools := make([]naivePool, 1+random.IntN(3))
	for i := range pools {
		pools[i] = naivePool{name: fmt.Sprint("pool-", i), addresses: some(3), exclude: some(3)}
		fmt.Fprintf(&text, "- name: %s\n  protocol: layer2\n  addresses:\n", pools[i].name)
		for _, r := range pools[i].addresses {
			fmt.Fprintf(&text, "  - %s\n", r)
		}
		text.WriteString("  exclude:\n")
		for _, r := range pools[i].exclude {
			fmt.Fprintf(&text, "  - %s\n", r)
		}
	}
	return text.String(), pools
}
