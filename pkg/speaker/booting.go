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
	// learnPause is the time after the first attempt of a ready node to get a first answer of any Service. The pause
	// grows to mostLearnPause.
	learnPause     = time.Second
	mostLearnPause = time.Minute
)

// bootProofs finds out whether a booted node has the rules of its service proxy: other members probe the path through
// this node to Services that other nodes announce.
type bootProofs struct {
	next time.Time
	// learn is the time of the next attempt to get a first answer of any Service, pause the time since the last attempt.
	learn time.Time
	pause time.Duration
	// numbers has the family of each question: 0 for IPv4, 1 for IPv6. wants has the families with Services, and there
	// the families with an answer.
	numbers      map[uint32]int
	wants, there [2]bool
}

func newBootProofs() bootProofs { return bootProofs{numbers: map[uint32]int{}} }

// attempt records an attempt to get a first answer: the pause grows with each attempt.
func (b *bootProofs) attempt(now time.Time) {
	b.pause = min(max(2*b.pause, learnPause), mostLearnPause)
	b.learn = now.Add(b.pause)
}

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
