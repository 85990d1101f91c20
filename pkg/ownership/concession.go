package ownership

import "time"

const (
	// firstConcession is how long after a dispute that the names decided this node leaves the address to any member that answers: the two
	// nodes see different clusters, and the winner would claim the address again. Each further concession lasts four times as long, up to
	// longestConcession; after that time without a dispute the first one is due again.
	firstConcession   = 4 * time.Second
	longestConcession = 10 * time.Minute
)

// concession is the last dispute that this node lost by its name alone. It ends the alternation of two nodes whose inputs stay different.
type concession struct {
	at    time.Time
	count int
}

// concede notes that this node has lost a dispute by its name.
func (x *concession) concede(now time.Time) {
	if now.Sub(x.at) > longestConcession {
		x.count = 0
	}
	x.at, x.count = now, x.count+1
}

// until returns when this node may take the address from a member that answers again, zero without a concession.
func (x *concession) until() time.Time {
	if x.count == 0 {
		return time.Time{}
	}
	return x.at.Add(min(firstConcession<<(2*min(x.count-1, 8)), longestConcession))
}
