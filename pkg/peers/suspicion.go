package peers

import "time"

// SuspicionTTL is the lifetime of a suspicion. Within this time, the watchers of an unreachable member repeat their
// reports, and gossip finds a dead member in half the time.
const SuspicionTTL = 3 * time.Second

// Suspicion is a report of an unreachable member, or of a member that is reachable again.
type Suspicion struct {
	// Name is the name of the member.
	Name string
	// Silent is the time without an answer from the member. Zero is a sign of life: the member is reachable again.
	Silent time.Duration
	// LastSign is the time of the last answer. The zero time means Silent ago.
	LastSign time.Time
	// FromOther is true for a report of another node.
	FromOther bool
}

// NewSuspicion returns a report of this moment.
func NewSuspicion(name string, silent time.Duration, fromOther bool, now time.Time) Suspicion {
	return Suspicion{Name: name, Silent: silent, LastSign: now.Add(-silent), FromOther: fromOther}
}

// suspicion is the state of a member that was suspected at least once. The zero value stands for a member without a
// suspicion so far.
type suspicion struct {
	// since is the last sign before the first report. since stays until the next sign of life, even after the suspicion
	// has expired.
	since time.Time
	// until is the time at which the suspicion expires, and zero while the member is not suspected.
	until time.Time
	// byOthers is true when another node suspects the member.
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

// ended returns s after the suspicion was refuted or has expired. since stays, because the detector has not heard the
// member yet.
func (s suspicion) ended() suspicion { return suspicion{since: s.since} }
