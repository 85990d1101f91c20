package layer2

import (
	"bytes"
	"cmp"
	"math/bits"
	"net/netip"
	"slices"
)

// Range is the range of all addresses from From to To, both included and of one family.
type Range struct{ From, To netip.Addr }

// scope is the set of addresses for which frames may concern this node. The ranges of each family are ascending, and
// neither overlap nor touch. A scope never changes.
type scope struct{ v4, v6 []Range }

// newScope returns the scope of all the ranges. newScope leaves out an invalid range, with ends of two families or in
// the wrong order.
func newScope(lists ...[]Range) *scope {
	s := &scope{}
	for _, r := range slices.Concat(lists...) {
		r = Range{r.From.Unmap().WithZone(""), r.To.Unmap().WithZone("")}
		switch {
		case !r.From.IsValid() || r.From.BitLen() != r.To.BitLen() || r.To.Less(r.From):
		case r.From.Is4():
			s.v4 = append(s.v4, r)
		default:
			s.v6 = append(s.v6, r)
		}
	}
	s.v4, s.v6 = merged(s.v4), merged(s.v6)
	return s
}

// allAddresses returns the scope of all addresses.
func allAddresses() *scope {
	return newScope([]Range{
		{netip.AddrFrom4([4]byte{}), netip.AddrFrom4([4]byte(bytes.Repeat([]byte{0xff}, 4)))},
		{netip.AddrFrom16([16]byte{}), netip.AddrFrom16([16]byte(bytes.Repeat([]byte{0xff}, 16)))},
	})
}

// merged unites overlapping and touching ranges. merged reorders its argument.
func merged(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return a.From.Compare(b.From) })
	out := ranges[:0]
	for _, r := range ranges {
		// Next of the last address of all is invalid, and less than any address.
		if n := len(out); n > 0 && (r.From == out[n-1].To.Next() || r.From.Compare(out[n-1].To) <= 0) {
			if out[n-1].To.Less(r.To) {
				out[n-1].To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return slices.Clip(out)
}

func (s *scope) equal(o *scope) bool {
	return slices.Equal(s.v4, o.v4) && slices.Equal(s.v6, o.v6)
}

// contains reports whether addr is in the scope.
func (s *scope) contains(addr netip.Addr) bool {
	ranges := s.v6
	if addr.Is4() {
		ranges = s.v4
	}
	i, found := slices.BinarySearchFunc(ranges, addr, func(r Range, a netip.Addr) int { return r.From.Compare(a) })
	return found || i > 0 && addr.Compare(ranges[i-1].To) <= 0
}

// coarsened returns at most n ranges, but at least one, that cover the given ranges, by closing the narrowest gaps
// between the ranges.
func coarsened(ranges []Range, n int) []Range {
	n = max(n, 1)
	if len(ranges) <= n {
		return ranges
	}
	type gap struct {
		before int // index of the range after the gap
		hi, lo uint64
	}
	gaps := make([]gap, 0, len(ranges)-1)
	for i := 1; i < len(ranges); i++ {
		hi, lo := distance(ranges[i-1].To, ranges[i].From)
		gaps = append(gaps, gap{i, hi, lo})
	}
	slices.SortFunc(gaps, func(a, b gap) int {
		return cmp.Or(cmp.Compare(b.hi, a.hi), cmp.Compare(b.lo, a.lo), cmp.Compare(a.before, b.before))
	})
	gaps = gaps[:n-1]
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(a.before, b.before) })
	out, from := make([]Range, 0, n), ranges[0].From
	for _, g := range gaps {
		out = append(out, Range{from, ranges[g.before-1].To})
		from = ranges[g.before].From
	}
	return append(out, Range{from, ranges[len(ranges)-1].To})
}

// distance returns b-a as a number of 128 bits.
func distance(a, b netip.Addr) (hi, lo uint64) {
	x, y := a.As16(), b.As16()
	lo, borrow := bits.Sub64(be64(y[8:]), be64(x[8:]), 0)
	hi, _ = bits.Sub64(be64(y[:8]), be64(x[:8]), borrow)
	return hi, lo
}
