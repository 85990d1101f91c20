package peers

import "time"

// SuspicionTTL is how long a suspicion lasts. The watchers of an unreachable member repeat theirs within this time, and gossip finds a
// dead member within half of it.
const SuspicionTTL = 3 * time.Second

// Suspicion is a report on a member: it was unreachable for a time, or it is reachable again.
type Suspicion struct {
	// Name is the node that the report is about.
	Name string
	// Silent is for how long nothing was heard from the member. Zero is a sign of life: the member is reachable again.
	Silent time.Duration
	// LastSign is when something was heard from the member last. When it is zero, it is Silent ago.
	LastSign time.Time
	// FromOther is true when another node than this one reports.
	FromOther bool
}

// NewSuspicion returns the report, made now, that nothing was heard from the named member for so long.
func NewSuspicion(name string, silent time.Duration, fromOther bool, now time.Time) Suspicion {
	return Suspicion{Name: name, Silent: silent, LastSign: now.Add(-silent), FromOther: fromOther}
}

// suspicion is what a table keeps of the Suspicions of one member. The zero value is a member that was never suspected.
type suspicion struct {
	// since is the last sign before the first Suspicion. It outlives until, up to the next sign of life.
	since time.Time
	// until is when the member counts as reachable again unless a Suspicion is repeated; zero while it is not suspected.
	until time.Time
	// byOthers is true when another node than this one suspects the member.
	byOthers bool
}

// active reports whether the member is suspected.
func (s suspicion) active() bool { return !s.until.IsZero() }

// with returns s with one more report, and whether the member was not suspected before.
func (s suspicion) with(x Suspicion, now time.Time) (next suspicion, first bool) {
	first = !s.active()
	if s.since.IsZero() {
		s.since = x.LastSign
	}
	if s.since.IsZero() {
		s.since = now.Add(-x.Silent)
	}
	s.until = now.Add(SuspicionTTL)
	s.byOthers = x.FromOther || s.byOthers
	return s, first
}

// ended returns s after the suspicion was refuted or has expired. since stays: nothing was heard from the member yet.
func (s suspicion) ended() suspicion { return suspicion{since: s.since} }
