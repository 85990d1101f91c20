package election

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Candidate is a node that may own addresses. A Candidate holds the hash of the node's name, so make one Candidate for
// each node and use it for every address. Candidates with the same name and weight are equal.
type Candidate struct {
	name   string
	hash   uint64
	weight int
}

// NewCandidate returns the candidate for the node with the name. The weight is 0.
func NewCandidate(name string) Candidate {
	sum := sha256.Sum256([]byte(name))
	return Candidate{name: name, hash: binary.BigEndian.Uint64(sum[:])}
}

// Weighing returns the candidate with a weight. The candidates with the greatest weight own every address. The other
// candidates take over only if all candidates with a greater weight are gone.
func (c Candidate) Weighing(weight int) Candidate {
	c.weight = weight
	return c
}

// Weight returns the weight.
func (c Candidate) Weight() int { return c.weight }

// Name returns the node's name.
func (c Candidate) Name() string { return c.name }

// Winner returns the candidate that owns addr, and false if there are no candidates. The order of the candidates does
// not matter. addr must be unmapped and without a zone, as all addresses in Lanlord are.
func Winner(addr netip.Addr, among []Candidate) (Candidate, bool) {
	if len(among) == 0 {
		return Candidate{}, false
	}
	a := addressHash(addr)
	best := 0
	for i := 1; i < len(among); i++ {
		if order(a, among[i], among[best]) < 0 {
			best = i
		}
	}
	return among[best], true
}

// Ranked returns the candidates in the order in which they own addr, if all candidates before them are gone. The first
// candidate is the Winner.
func Ranked(addr netip.Addr, among []Candidate) []Candidate {
	a := addressHash(addr)
	return slices.SortedFunc(slices.Values(among), func(x, y Candidate) int { return order(a, x, y) })
}

// Rank returns the number of candidates that come before x in Ranked: 0 for the Winner. among need not contain x.
func Rank(addr netip.Addr, x Candidate, among []Candidate) (before int) {
	a := addressHash(addr)
	for _, c := range among {
		if order(a, c, x) < 0 {
			before++
		}
	}
	return before
}

// Outranks reports whether x comes before y in Ranked. Outranks returns false for equal candidates.
func Outranks(addr netip.Addr, x, y Candidate) bool { return order(addressHash(addr), x, y) < 0 }

// order is negative if x comes before y. a is the hash of the address.
func order(a uint64, x, y Candidate) int {
	if x.weight != y.weight {
		return cmp.Compare(y.weight, x.weight)
	}
	if sx, sy := mix(a^x.hash), mix(a^y.hash); sx != sy {
		return cmp.Compare(sy, sx)
	}
	return strings.Compare(x.name, y.name)
}

// addressHash spreads addresses over 64 bits, so that the hashes of neighbouring addresses have nothing in common.
// addressHash mixes the halves one after the other, because a plain XOR of the halves would give many IPv6 addresses
// the same hash.
func addressHash(addr netip.Addr) uint64 {
	b := addr.As16()
	high := mix(binary.BigEndian.Uint64(b[:8]) + golden)
	return mix(high ^ binary.BigEndian.Uint64(b[8:]))
}

// golden is 2^64 divided by the golden ratio: a constant without a pattern. For IPv4, where the high half is zero,
// golden avoids a start from zero, which mix would not change.
const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64. mix is a bijection in which each bit of the input changes each bit of the output
// with a probability of one half. Because mix is a bijection, two nodes have the same score only if their names have
// the same hash.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x
}
