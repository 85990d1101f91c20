package election

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Candidate is a node that may own addresses. Make it once for a node and use it for every address: it holds the hash of
// the node's name. Candidates of the same name and weight are equal.
type Candidate struct {
	name   string
	hash   uint64
	weight int
}

// NewCandidate returns the candidate for the node of this name.
func NewCandidate(name string) Candidate {
	sum := sha256.Sum256([]byte(name))
	return Candidate{name: name, hash: binary.BigEndian.Uint64(sum[:])}
}

// Weighing returns the candidate with a weight, which is 0 otherwise. Of candidates with different weights the one with the
// greatest owns every address; the others stand in for it.
func (c Candidate) Weighing(weight int) Candidate {
	c.weight = weight
	return c
}

// Weight returns the weight.
func (c Candidate) Weight() int { return c.weight }

// Name returns the node's name.
func (c Candidate) Name() string { return c.name }

// Winner returns the candidate that owns addr, and false when there are no candidates. The order of the candidates does
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

// Ranked returns the candidates in the order in which they would own addr if those before them were gone. The first is
// the Winner.
func Ranked(addr netip.Addr, among []Candidate) []Candidate {
	a := addressHash(addr)
	return slices.SortedFunc(slices.Values(among), func(x, y Candidate) int { return order(a, x, y) })
}

// Rank returns how many of the candidates come before x in Ranked: 0 for the Winner. It does not matter whether x is among them.
func Rank(addr netip.Addr, x Candidate, among []Candidate) (before int) {
	a := addressHash(addr)
	for _, c := range among {
		if order(a, c, x) < 0 {
			before++
		}
	}
	return before
}

// Outranks reports whether x comes before y in Ranked, if they are two.
func Outranks(addr netip.Addr, x, y Candidate) bool { return order(addressHash(addr), x, y) < 0 }

// order is negative when x comes before y, for the address of this hash.
func order(a uint64, x, y Candidate) int {
	if x.weight != y.weight {
		return cmp.Compare(y.weight, x.weight)
	}
	if sx, sy := mix(a^x.hash), mix(a^y.hash); sx != sy {
		return cmp.Compare(sy, sx)
	}
	return strings.Compare(x.name, y.name)
}

// addressHash spreads addresses over 64 bits so that neighbours have nothing in common. The halves go in one after the
// other, for a plain XOR of the two would give many IPv6 addresses the same hash.
func addressHash(addr netip.Addr) uint64 {
	b := addr.As16()
	high := mix(binary.BigEndian.Uint64(b[:8]) + golden)
	return mix(high ^ binary.BigEndian.Uint64(b[8:]))
}

// golden is 2^64 divided by the golden ratio: a constant without a pattern, so that IPv4, whose high half is zero, does
// not start from zero, which mix leaves as it is.
const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64. It is a bijection in which each bit of the input changes each bit of the output with
// a probability of one half. Being a bijection, it gives two nodes the same score only if their names have the same hash.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x
}
