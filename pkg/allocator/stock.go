package allocator

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// pool holds the state of one configured pool.
type pool struct {
	*config.Pool
	// restricted is true when only certain Services may use the pool.
	restricted bool
	v4, v6     stock
}

// stock holds the addresses of one family in a pool.
type stock struct {
	// ranges holds all ranges of the stock.
	ranges []config.Range
	// settled is the start of the cursor in the next round. All addresses before settled are held by settled Services,
	// or kept from the automatic assignment.
	settled cursor
	cursor
	// size is the number of addresses; exact to 2^53.
	size float64
	// used counts the addresses that Services hold, resting the addresses in cool-down that no Service holds.
	used, resting int
	// reserved counts the addresses for certain Services only. withheld counts the addresses that Nodes, gateways,
	// subnets and claims keep from every Service.
	reserved, withheld int
	// rests lists the addresses in cool-down, the longest in cool-down first. Other Services may have these addresses
	// when no other address is left.
	rests []netip.Addr
}

// cursor iterates over the addresses of a stock.
type cursor struct {
	// ahead holds the ranges that the cursor has not left yet; next is the current address, in the first of these
	// ranges. At the end, next is the zero Addr.
	ahead []config.Range
	next  netip.Addr
	// avoid skips addresses that end in .0 or .255.
	avoid bool
}

// span is a range with the index of its pool.
type span struct {
	config.Range
	pool int
}

func newPool(p *config.Pool) pool {
	// The ranges ascend, IPv4 before IPv6.
	border, _ := slices.BinarySearchFunc(p.Ranges, true, func(r config.Range, _ bool) int {
		if r.From.Is4() {
			return -1
		}
		return 1
	})
	return pool{Pool: p, restricted: p.Restricted(), v4: newStock(p.Ranges[:border], p.AvoidBuggyIPs), v6: newStock(p.Ranges[border:], false)}
}

func newStock(ranges []config.Range, avoid bool) stock {
	s := stock{ranges: ranges, settled: cursor{ahead: ranges, avoid: avoid}}
	for _, r := range ranges {
		s.size += distance(r.From, r.To) + 1
		if avoid {
			s.size -= avoided(r)
		}
	}
	if len(ranges) > 0 {
		s.settled.next = ranges[0].From
		s.settled.skipAvoided()
	}
	return s
}

// of returns the pool's stock of the family.
func (p *pool) of(f cluster.Family) *stock {
	if f == cluster.IPv4 {
		return &p.v4
	}
	return &p.v6
}

// advance moves the cursor to the next address.
func (s *cursor) advance() {
	s.step()
	s.skipAvoided()
}

func (s *cursor) step() {
	if s.next != s.ahead[0].To {
		s.next = s.next.Next()
		return
	}
	s.ahead, s.next = s.ahead[1:], netip.Addr{}
	if len(s.ahead) > 0 {
		s.next = s.ahead[0].From
	}
}

func (s *cursor) skipAvoided() {
	for s.avoid && s.next.IsValid() && isBuggy(s.next) {
		s.step()
	}
}

// free moves the settled cursor back to addr, an address that a settled Service held until now, if addr is behind the
// cursor.
func (s *stock) free(addr netip.Addr) {
	if s.settled.next.IsValid() && !addr.Less(s.settled.next) {
		return
	}
	after, found := slices.BinarySearchFunc(s.ranges, addr, func(r config.Range, addr netip.Addr) int { return r.From.Compare(addr) })
	if !found {
		after--
	}
	s.settled.ahead, s.settled.next = s.ranges[after:], addr
}

// isBuggy reports whether a is an IPv4 address that ends in .0 or .255. Some old equipment takes these addresses for
// broadcasts.
func isBuggy(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	last := a.As4()[3]
	return last == 0 || last == 255
}

// avoided returns the number of addresses in an IPv4 range for which isBuggy returns true.
func avoided(r config.Range) float64 {
	// upTo counts such addresses below n, without n itself.
	upTo := func(n uint64) uint64 {
		count := n / 256 * 2
		if n%256 > 0 {
			count++
		}
		return count
	}
	from, to := r.From.As4(), r.To.As4()
	return float64(upTo(uint64(binary.BigEndian.Uint32(to[:]))+1) - upTo(uint64(binary.BigEndian.Uint32(from[:]))))
}

// distance returns the number of steps from one address to a later address of the same family.
func distance(from, to netip.Addr) float64 {
	f, t := from.As16(), to.As16()
	high := binary.BigEndian.Uint64(t[:8]) - binary.BigEndian.Uint64(f[:8])
	fl, tl := binary.BigEndian.Uint64(f[8:]), binary.BigEndian.Uint64(t[8:])
	if tl < fl {
		high--
	}
	return float64(high)*(1<<64) + float64(tl-fl)
}
