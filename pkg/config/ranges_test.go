package config

import (
	"iter"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func span(from, to string) Range { return Range{addr(from), addr(to)} }

func TestRange(t *testing.T) {
	tests := []struct {
		r      Range
		text   string
		size   string
		inside []string
		out    []string
	}{
		{span("10.0.0.1", "10.0.0.1"), "10.0.0.1", "1", []string{"10.0.0.1"}, []string{"10.0.0.0", "10.0.0.2", "::ffff:10.0.0.1"}},
		{span("10.0.0.250", "10.0.1.3"), "10.0.0.250-10.0.1.3", "10", []string{"10.0.0.250", "10.0.0.255", "10.0.1.3"}, []string{"10.0.0.249", "10.0.1.4"}},
		{span("0.0.0.0", "255.255.255.255"), "0.0.0.0-255.255.255.255", "4294967296", []string{"0.0.0.0", "255.255.255.255"}, []string{"::"}},
		{span("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"), "2001:db8::-2001:db8::ffff:ffff:ffff:ffff", "18446744073709551616",
			[]string{"2001:db8::", "2001:db8::1"}, []string{"2001:db8::1%eth0", "2001:db8:0:1::", "10.0.0.1"}},
		{span("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"340282366920938463463374607431768211456", []string{"::", "fe80::1"}, []string{"0.0.0.0"}},
	}
	for _, test := range tests {
		if got := test.r.String(); got != test.text {
			t.Errorf("String: got %s, want %s", got, test.text)
		}
		if got := test.r.Size().String(); got != test.size {
			t.Errorf("size of %s: got %s, want %s", test.r, got, test.size)
		}
		for _, a := range test.inside {
			if !test.r.Contains(addr(a)) {
				t.Errorf("%s does not contain %s", test.r, a)
			}
		}
		for _, a := range append(test.out, "") {
			if a, _ := netip.ParseAddr(a); test.r.Contains(a) {
				t.Errorf("%s contains %s", test.r, a)
			}
		}
	}
}

func TestAll(t *testing.T) {
	for _, test := range []struct {
		r    Range
		want []string
	}{
		{span("10.0.0.254", "10.0.1.1"), []string{"10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"}},
		{span("255.255.255.254", "255.255.255.255"), []string{"255.255.255.254", "255.255.255.255"}},
		{span("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}},
	} {
		var got []string
		for a := range test.r.All() {
			got = append(got, a.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.r, got, test.want)
		}
	}

	// The iteration over a huge range starts at once, because All makes each address only on demand.
	next, stop := iter.Pull(span("2001:db8::", "2001:db8:ffff::").All())
	defer stop()
	next()
	if second, _ := next(); second != addr("2001:db8::1") {
		t.Errorf("the second address is %s", second)
	}
}

// TestRangeLaws compares the arithmetic of ranges with sets of addresses, over 256 addresses that cross a border of the
// third octet.
func TestRangeLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	universe := slices.Collect(span("10.0.0.128", "10.0.1.127").All())
	some := func(n int) []Range {
		ranges := make([]Range, random.IntN(n+1))
		for i := range ranges {
			from := random.IntN(len(universe))
			ranges[i] = Range{universe[from], universe[min(from+random.IntN(20), len(universe)-1)]}
		}
		return ranges
	}
	in := func(ranges []Range, a netip.Addr) bool {
		return slices.ContainsFunc(ranges, func(r Range) bool { return r.Contains(a) })
	}
	for range 2000 {
		ranges, holes := some(8), some(8)
		whole := merged(slices.Clone(ranges))
		checkCanonical(t, whole)
		mergedHoles := merged(slices.Clone(holes))
		var left []Range
		for _, r := range whole {
			left = append(left, r.without(mergedHoles)...)
		}
		pool := Pool{Ranges: left, AvoidBuggyIPs: random.IntN(2) == 0}
		size := int64(0)
		for _, a := range universe {
			if in(whole, a) != in(ranges, a) {
				t.Fatalf("%v merged to %v: they differ in %s", ranges, whole, a)
			}
			want := in(ranges, a) && !in(holes, a)
			if in(left, a) != want {
				t.Fatalf("%v without %v is %v: wrong about %s", ranges, holes, left, a)
			}
			want = want && !(pool.AvoidBuggyIPs && (a.As4()[3] == 0 || a.As4()[3] == 255))
			if pool.Contains(a) != want {
				t.Fatalf("pool %v contains %s: got %t", left, a, !want)
			}
			if want {
				size++
			}
		}
		if v4, v6 := pool.Size(); v4.Cmp(big.NewInt(size)) != 0 || v6.Sign() != 0 {
			t.Fatalf("size of %v: got %d and %d, want %d and 0", left, v4, v6, size)
		}
	}
}

// checkCanonical fails if ranges are not ascending, disjoint and as few as possible.
func checkCanonical(t *testing.T, ranges []Range) {
	t.Helper()
	for i, r := range ranges {
		if !r.From.IsValid() || r.From.BitLen() != r.To.BitLen() || r.To.Less(r.From) {
			t.Fatalf("range %s is none", r)
		}
		if i > 0 && (r.From.Compare(ranges[i-1].To) <= 0 || ranges[i-1].To.Next() == r.From) {
			t.Fatalf("%s and %s are not apart", ranges[i-1], r)
		}
	}
}

func TestWidestPrefix(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(3)), byte(random.IntN(256))})
		r := Range{from, from}
		for range random.IntN(600) {
			r.To = r.To.Next()
		}
		// The naive computation tries every prefix of every address.
		want := 32
		for a := range r.All() {
			for bits := range 32 {
				p := netip.PrefixFrom(a, bits)
				if p.Masked() == p && r.Contains(lastOf(p)) {
					want = min(want, bits)
				}
			}
		}
		if got := r.widestPrefix(); got != want {
			t.Fatalf("%s: got /%d, want /%d", r, got, want)
		}
	}
	for text, want := range map[string]int{"::/0": 0, "0.0.0.0/0": 0, "2001:db8::/32": 32, "255.255.255.255/32": 32} {
		if got := rangeOf(netip.MustParsePrefix(text)).widestPrefix(); got != want {
			t.Errorf("%s: got /%d, want /%d", text, got, want)
		}
	}
}

func TestPoolOf(t *testing.T) {
	parsed, err := Parse([]byte(`
address-pools:
- {name: b, protocol: layer2, addresses: [10.0.0.0/24, "2001:db8::/64"], exclude: [10.0.0.77], avoid-buggy-ips: true}
- {name: a, protocol: layer2, addresses: [10.0.1.0/24, 10.0.0.77]}
- {name: c, protocol: bgp, addresses: [10.0.2.0/24]}
`))
	if err != nil {
		t.Fatal(err)
	}
	literal := &Config{Pools: parsed.Pools}
	for text, want := range map[string]string{
		"10.0.0.1": "b", "10.0.0.77": "a", "10.0.0.0": "", "10.0.0.255": "", "10.0.1.0": "a", "10.0.1.255": "a", "10.0.2.1": "c", "10.0.3.1": "",
		"2001:db8::": "b", "2001:db8::1%eth0": "", "::ffff:10.0.0.1": "", "9.255.255.255": "", "255.255.255.255": "", "ff00::": "",
	} {
		for _, c := range []*Config{parsed, literal} {
			got := ""
			if p := c.PoolOf(addr(text)); p != nil {
				got = p.Name
			}
			if got != want {
				t.Errorf("%s: got %q, want %q (index: %t)", text, got, want, c == parsed)
			}
		}
	}
	if p := parsed.PoolOf(netip.Addr{}); p != nil {
		t.Errorf("no address is in pool %s", p.Name)
	}
	if p := parsed.Pool("b"); p != &parsed.Pools[1] {
		t.Errorf("pool b: got %v", p)
	}
	for _, name := range []string{"none", "", "B"} {
		if p := parsed.Pool(name); p != nil {
			t.Errorf("pool %q: got %v", name, p)
		}
	}
}
