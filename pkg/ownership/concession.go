package ownership

import "time"

const (
	// shortConcession limits the time for which the loser of a dispute by name leaves the address to any answering
	// member. By the end, the two nodes may see the same cluster. After more than mostShort disputes within
	// longConcession the two nodes most likely see different clusters, and the loser waits for longConcession: the
	// winner would claim the address again.
	shortConcession = time.Second
	longConcession  = 10 * time.Minute
	mostShort       = 3
)

// concession records the last dispute that this node lost by name alone. The record ends the alternation of two nodes
// whose inputs stay different.
type concession struct {
	at    time.Time
	count int
}

// concede records a dispute lost by name.
func (x *concession) concede(now time.Time) {
	if now.Sub(x.at) > longConcession {
		x.count = 0
	}
	x.at, x.count = now, x.count+1
}

// until returns the earliest time for taking the address from a member that answers again, zero without a concession.
func (x *concession) until() time.Time {
	switch {
	case x.count == 0:
		return time.Time{}
	case x.count <= mostShort:
		return x.at.Add(shortConcession)
	}
	return x.at.Add(longConcession)
}
