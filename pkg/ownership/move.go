package ownership

import "time"

const (
	// pathPatience limits the time for which a planned move waits for the answer of another member about the path.
	pathPatience = RulesDelay
	// PathRecheck is the time before the next try of a planned move to a node without a path.
	PathRecheck = time.Minute
)

// move tracks a planned move of an address to this node, which waits for a proof of the path through this node.
type move struct {
	// since is the time at which the wait began; zero while no move waits. until is the time of the next try.
	since, until time.Time
	// missing is true when another member gets no answer from the Service through this node.
	missing bool
}

// wait plans the next try. missing means that the path is known to be missing.
func (m *move) wait(now time.Time, missing bool) (until time.Time) {
	if m.since.IsZero() {
		m.since = now
	}
	if m.missing = missing; missing {
		m.until = now.Add(PathRecheck)
	} else {
		m.until = m.since.Add(pathPatience)
	}
	return m.until
}

// patient reports whether the move still waits for an answer.
func (m *move) patient(now time.Time) bool {
	return m.since.IsZero() || now.Before(m.since.Add(pathPatience))
}

func (m *move) end() { *m = move{} }
