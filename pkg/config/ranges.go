package config

import (
	"iter"
	"math/big"
	"net/netip"
	"slices"
	"sort"
)

// Contains reports whether a is in the range. No range contains an address with a zone.
func (r Range) Contains(a netip.Addr) bool {
	return a.Zone() == "" && a.BitLen() == r.From.BitLen() && r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0
}

// All yields the addresses of the range, ascending.
func (r Range) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for a := r.From; r.Contains(a); a = a.Next() {
			if !yield(a) {
				return
			}
		}
	}
}

// String returns "from-to", or the address if there is only one.
func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return r.From.String() + "-" + r.To.String()
}

// Size returns the number of addresses in the range.
func (r Range) Size() *big.Int {
	size := new(big.Int).SetBytes(r.To.AsSlice())
	size.Sub(size, new(big.Int).SetBytes(r.From.AsSlice()))
	return size.Add(size, big.NewInt(1))
}

func (r Range) overlaps(o Range) bool {
	return r.From.BitLen() == o.From.BitLen() && r.From.Compare(o.To) <= 0 && o.From.Compare(r.To) <= 0
}

// rangeOf returns the range of all addresses in p. p must be masked.
func rangeOf(p netip.Prefix) Range { return Range{p.Addr(), lastOf(p)} }

func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// widestPrefix returns the length of the widest prefix inside r: the shortest length in a decomposition of r into
// prefixes.
func (r Range) widestPrefix() int {
	for bits := range r.From.BitLen() {
		prefix := netip.PrefixFrom(r.From, bits).Masked()
		if prefix.Addr() != r.From {
			// The prefix with r.From begins before r. The next prefix of this length is the first that can be inside r.
			next := lastOf(prefix).Next()
			if !r.Contains(next) {
				continue
			}
			prefix = netip.PrefixFrom(next, bits)
		}
		if r.Contains(lastOf(prefix)) {
			return bits
		}
	}
	return r.From.BitLen()
}

// merged returns the same addresses in as few ranges as possible, ascending. merged reorders ranges.
func merged(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return a.From.Compare(b.From) })
	var out []Range
	for _, r := range ranges {
		if n := len(out); n > 0 && out[n-1].From.BitLen() == r.From.BitLen() &&
			(r.From.Compare(out[n-1].To) <= 0 || r.From == out[n-1].To.Next()) {
			if out[n-1].To.Less(r.To) {
				out[n-1].To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// without returns the addresses of r that are in none of holes. holes must be ascending and disjoint.
func (r Range) without(holes []Range) []Range {
	first := sort.Search(len(holes), func(i int) bool { return r.From.Compare(holes[i].To) <= 0 })
	var left []Range
	for _, hole := range holes[first:] {
		if !r.overlaps(hole) {
			break
		}
		if r.From.Less(hole.From) {
			left = append(left, Range{r.From, hole.From.Prev()})
		}
		if r.To.Compare(hole.To) <= 0 {
			return left
		}
		r.From = hole.To.Next()
	}
	return append(left, r)
}

// find returns the index of the range that contains a, or -1. ranges must be ascending and disjoint.
func find(ranges []Range, a netip.Addr) int {
	i := sort.Search(len(ranges), func(i int) bool { return a.Compare(ranges[i].To) <= 0 })
	if i < len(ranges) && ranges[i].Contains(a) {
		return i
	}
	return -1
}

// Contains reports whether the pool may hand out a: a range of the pool contains a, and AvoidBuggyIPs does not leave a
// out.
func (p Pool) Contains(a netip.Addr) bool {
	return find(p.Ranges, a) >= 0 && !(p.AvoidBuggyIPs && buggy(a))
}

// buggy reports whether a is an IPv4 address that ends in .0 or .255. Some devices take every such address for a
// network or broadcast address.
func buggy(a netip.Addr) bool {
	return a.Is4() && (a.As4()[3] == 0 || a.As4()[3] == 255)
}

// Size returns the number of addresses that the pool may hand out (see Contains), for each family.
func (p Pool) Size() (v4, v6 *big.Int) {
	v4, v6 = new(big.Int), new(big.Int)
	for _, r := range p.Ranges {
		if r.From.Is6() {
			v6.Add(v6, r.Size())
			continue
		}
		v4.Add(v4, r.Size())
		if p.AvoidBuggyIPs {
			from, to := r.From.As4(), r.To.As4()
			v4.Sub(v4, big.NewInt(buggyUpTo(to)-buggyUpTo(from)))
			if buggy(r.From) {
				v4.Sub(v4, big.NewInt(1))
			}
		}
	}
	return v4, v6
}

// buggyUpTo returns the number of IPv4 addresses that end in .0 or .255, from 0.0.0.0 to a.
func buggyUpTo(a [4]byte) int64 {
	networks := int64(a[0])<<16 | int64(a[1])<<8 | int64(a[2])
	count := 2*networks + 1
	if a[3] == 255 {
		count++
	}
	return count
}

// Pool returns the pool with this name, or nil.
func (c *Config) Pool(name string) *Pool {
	i := slices.IndexFunc(c.Pools, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Pools[i]
}

// PoolOf returns the only pool that may hand out a (see Pool.Contains). If no pool of c may, PoolOf returns the pool of
// the newest Past that may hand out a, or nil. In a Config made by Parse, the number of pools has almost no influence
// on the time.
func (c *Config) PoolOf(a netip.Addr) *Pool {
	if p := c.current(a); p != nil {
		return p
	}
	return c.poolBefore(a)
}

// current returns the pool in Pools that may hand out a, or nil.
func (c *Config) current(a netip.Addr) *Pool {
	if c.index.owners == nil {
		i := slices.IndexFunc(c.Pools, func(p Pool) bool { return p.Contains(a) })
		if i < 0 {
			return nil
		}
		return &c.Pools[i]
	}
	i := find(c.index.ranges, a)
	if i < 0 {
		return nil
	}
	if p := &c.Pools[c.index.owners[i]]; p.Contains(a) {
		return p
	}
	return nil
}

// index finds the pool of an address among the ranges of all pools.
type index struct {
	// ranges holds the ranges of all pools, ascending and disjoint.
	ranges []Range
	// owners holds, for each range, the index of its pool in Pools. owners is nil in a Config that Parse did not make.
	owners []int
}

func newIndex(pools []Pool) index {
	type owned struct {
		Range
		owner int
	}
	var all []owned
	for i, p := range pools {
		for _, r := range p.Ranges {
			all = append(all, owned{r, i})
		}
	}
	slices.SortFunc(all, func(a, b owned) int { return a.From.Compare(b.From) })
	ix := index{owners: []int{}}
	for _, o := range all {
		ix.ranges, ix.owners = append(ix.ranges, o.Range), append(ix.owners, o.owner)
	}
	return ix
}
