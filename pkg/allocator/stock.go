package allocator

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// pool is the state of one configured pool.
type pool struct {
	*config.Pool
	// restricted is true when not all Services may use it.
	restricted bool
	v4, v6     stock
}

// stock is a pool's addresses of one family.
type stock struct {
	// ranges are all of them.
	ranges []config.Range
	// settled is the first address that is neither held between rounds nor kept from everybody, as far as that was looked for.
	settled cursor
	cursor
	// size is the number of addresses; exact to 2^53.
	size float64
	// used counts the addresses that Services hold, resting the addresses that rest and are not held.
	used, resting int
	// reserved counts the addresses for certain Services only, withheld the addresses that Nodes, gateways and subnets
	// keep from every Service.
	reserved, withheld int
	// rests are the resting addresses that others may have when nothing else is left, the longest resting first.
	rests []netip.Addr
}

// cursor goes over the addresses of a stock.
type cursor struct {
	// ahead are the ranges that the cursor has not left yet; next, in the first of them, is where it stands. next is
	// the zero Addr at the end.
	ahead []config.Range
	next  netip.Addr
	// avoid leaves out addresses that end in .0 or .255.
	avoid bool
}

// span is a range and the index of the pool it belongs to.
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

// free makes the stock know that addr, which was held between rounds, is not any more.
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

// isBuggy is true for the IPv4 addresses that end in .0 or .255, which some old equipment takes for broadcasts.
func isBuggy(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	last := a.As4()[3]
	return last == 0 || last == 255
}

// avoided counts the addresses in an IPv4 range that isBuggy is true for.
func avoided(r config.Range) float64 {
	// upTo counts those below n, a bound that is not included.
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
