package speaker

import (
	"net/netip"
	"time"
)

const (
	// bootPause is the time between two questions of a booted node that waits for its service proxy.
	bootPause = 3 * time.Second
	// bootServices is the number of Services of each family in one question: a Service may be shut out.
	bootServices = 2
)

// bootProofs finds out whether a booted node has the rules of its service proxy: other members probe the path through
// this node to Services that other nodes announce.
type bootProofs struct {
	next time.Time
	// numbers has the family of each question: 0 for IPv4, 1 for IPv6. wants has the families with Services, and there
	// the families with an answer.
	numbers      map[uint32]int
	wants, there [2]bool
}

func newBootProofs() bootProofs { return bootProofs{numbers: map[uint32]int{}} }

// hear stores an answer, and reports whether all families have one. The rules of one family come at once, those of the
// other family later.
func (b *bootProofs) hear(m pathNews) (all bool) {
	family, is := b.numbers[m.number]
	if !is || !m.there {
		return false
	}
	b.there[family] = true
	return b.wants == b.there
}

// familyOf returns 0 for IPv4 and 1 for IPv6.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
