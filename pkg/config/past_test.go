package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// randomPools returns a document of up to three pools with ranges in 10.0.0.0/26, with or without restrictions.
func randomPools(random *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintln(&b, "address-pools:")
	last, pools := 0, 0
	for _, i := range random.Perm(3) {
		from := last + random.IntN(12)
		to := from + random.IntN(12)
		if last = to + 1; to > 63 || random.IntN(4) == 0 {
			continue
		}
		pools++
		fmt.Fprintf(&b, "- {name: p%d, protocol: layer2, addresses: [10.0.0.%d-10.0.0.%d]", i, from, to)
		switch random.IntN(6) {
		case 0:
			fmt.Fprint(&b, ", namespaces: [x]")
		case 1:
			fmt.Fprint(&b, ", avoid-buggy-ips: true")
		case 2:
			fmt.Fprintf(&b, ", reserve: {10.0.0.%d: y/own}", max(from, 1))
		}
		fmt.Fprintln(&b, "}")
	}
	if pools == 0 {
		return "address-pools: []"
	}
	return b.String()
}

// may reports whether the Service may have the address. may examines each pool.
func may(c *Config, a netip.Addr, service ServiceName) bool {
	for i := range c.Pools {
		if p := &c.Pools[i]; p.Contains(a) {
			if reserved, ours := p.ReservedFor(a, service); reserved {
				return ours
			}
			return p.AdmitsNamespace(service.Namespace, nil) && p.AdmitsService(nil)
		}
	}
	return false
}

// TestPastLaw compares PoolOf, Leaving and Grants of random configurations with their definitions for each address.
func TestPastLaw(t *testing.T) {
	random := rand.New(rand.NewPCG(17, 1))
	granted := 0
	for range 5000 {
		var all [3]*Config
		for i := range all {
			text := randomPools(random)
			c, err := Parse([]byte(text))
			if err != nil {
				if strings.Contains(err.Error(), "reserve") {
					c = new(Config) // the reserved address is in no pool
				} else {
					t.Fatalf("%s: %v", text, err)
				}
			}
			all[i] = c
		}
		c := all[0].WithPast([]Past{{Config: all[1]}, {Config: all[2]}})
		leaving, grants := c.Leaving(), all[0].Grants(all[1])
		for i := range 64 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			var want *Pool
			ranges := 0
			for _, one := range all {
				if p := one.PoolOf(a); p != nil && want == nil {
					want = p
				}
			}
			if got := c.PoolOf(a); got != want {
				t.Fatalf("%s is of %v, want %v", a, got, want)
			}
			for _, pools := range [][]Pool{c.Pools, leaving} {
				for _, p := range pools {
					if find(p.Ranges, a) >= 0 {
						ranges++
					}
				}
			}
			somewhere := false
			for _, one := range all {
				for _, p := range one.Pools {
					somewhere = somewhere || find(p.Ranges, a) >= 0
				}
			}
			if ranges > 1 || somewhere != (ranges == 1) {
				t.Fatalf("%s is in %d ranges of pools and of those that leave", a, ranges)
			}
			for _, service := range []ServiceName{{"x", "a"}, {"y", "own"}, {"y", "other"}} {
				if grants && may(all[1], a, service) && !may(all[0], a, service) {
					t.Fatalf("%v grants %v, and %v loses %s", all[0].Pools, all[1].Pools, service, a)
				}
			}
		}
		if grants && len(all[1].Pools) > 0 {
			granted++
		}
	}
	if granted < 10 {
		t.Errorf("only %d configurations of 5000 grant all of another one", granted)
	}
}

// TestGrants checks changes that take no address away, and for each key a change that does.
func TestGrants(t *testing.T) {
	const base = "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24]%s}\n"
	for _, test := range []struct {
		was, is string
		want    bool
	}{
		{"", "", true},
		{"", ", priority: 3, disabled: true, auto-assign: false, quota: {each: 1}, interfaces: [eth0], node-selectors: [{match-labels: {a: b}}]", true},
		{", namespaces: [x]", "", true},
		{"", ", namespaces: [x]", false},
		{", namespaces: [x]", ", namespaces: [x]", true},
		{", namespaces: [x, y]", ", namespaces: [x]", false},
		{", namespace-selectors: [{match-labels: {a: b}}]", ", namespace-selectors: [{match-labels: {a: b}}]", true},
		{", namespace-selectors: [{match-labels: {a: b}}]", ", namespace-selectors: [{match-labels: {a: c}}]", false},
		{"", ", service-selectors: [{match-labels: {a: b}}]", false},
		{"", ", avoid-buggy-ips: true", false},
		{", avoid-buggy-ips: true", "", true},
		{"", ", reserve: {10.0.0.1: x/y}", false},
		{", reserve: {10.0.0.1: x/y}", ", reserve: {10.0.0.1: x/y}", true},
		{", reserve: {10.0.0.1: x/y}", ", reserve: {10.0.0.1: x/z}", false},
		{"", ", exclude: [10.0.0.9]", false},
	} {
		was, err := Parse(fmt.Appendf(nil, base, test.was))
		if err != nil {
			t.Fatal(err)
		}
		is, err := Parse(fmt.Appendf(nil, base, test.is))
		if err != nil {
			t.Fatal(err)
		}
		if got := is.Grants(was); got != test.want {
			t.Errorf("from %q to %q: got %t", test.was, test.is, got)
		}
	}
}

// TestWithdrawDelayAfter checks that the delay comes from the new document, or else from the old document.
func TestWithdrawDelayAfter(t *testing.T) {
	parsed := map[string]*Config{}
	for _, text := range []string{"", "allocation: {withdraw-delay: 0s}", "allocation: {withdraw-delay: 5m}", "allocation: {withdraw-delay: 9m}"} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		parsed[strings.Trim(strings.TrimPrefix(text, "allocation: {withdraw-delay: "), "}")] = c
	}
	for _, test := range []struct {
		was, is string
		want    time.Duration
	}{
		{"", "", 0}, {"5m", "", 5 * time.Minute}, {"5m", "0s", 0}, {"5m", "9m", 9 * time.Minute}, {"", "9m", 9 * time.Minute},
	} {
		if got := parsed[test.is].WithdrawDelayAfter(parsed[test.was]); got != test.want {
			t.Errorf("from %q to %q: %v, want %v", test.was, test.is, got, test.want)
		}
	}
}
