package ownership

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// moment records the owners of the address from a time on.
type moment struct {
	at time.Time
	// owners lists the machines in state Owner, answering the machines that answer, including draining machines.
	owners, answering []string
}

// judge records the history of the address.
type judge struct {
	moments      []moment
	gains        []string // with their times
	gained       []time.Time
	unreasonable []string
	appointments int
}

// observe records the present owners.
func (j *judge) observe(w *wire) {
	now := moment{at: w.now}
	for _, m := range w.machines {
		if m.answers() {
			now.answering = append(now.answering, m.name)
			if m.a.State() == Owner {
				now.owners = append(now.owners, m.name)
			}
		}
	}
	if n := len(j.moments); n > 0 && slices.Equal(j.moments[n-1].owners, now.owners) &&
		slices.Equal(j.moments[n-1].answering, now.answering) {
		return
	}
	j.moments = append(j.moments, now)
}

// report records a gain, and whether the gain had a reason: by its inputs the machine may have the address, and takes
// the address from a reachable node that may keep it only after the failback delay, or if a Service prefers the
// machine.
func (j *judge) report(m *machine, c Change) {
	if c.Kind != Gained {
		return
	}
	j.gains = append(j.gains, fmt.Sprintf("%v %s from %q: %s", c.At.Sub(epoch), m.name, c.Peer, c.Cause))
	j.gained = append(j.gained, c.At)
	p := m.in.Placement
	why := ""
	switch {
	case p == nil || !p.Eligible(m.name):
		why = "may not have it"
	case (p.Owner == m.name) == (c.Cause == CauseBackup):
		why = "has another turn"
	case c.Cause == CausePreferred && !p.Preferred:
		why = "is not preferred"
	case c.Cause == CauseNew && m.in.Path == PathMissing && c.At.Before(m.in.Arrival.Came.Add(RulesBound)):
		why = "has no rules yet"
	case (c.Cause == CauseFailback || c.Cause == CausePreferred) && m.in.Path == PathMissing:
		why = "has no rules"
	case c.Cause == CauseFailback && (m.in.Failback.Never || !m.in.Self.Configured):
		why = "never fails back"
	}
	if why != "" {
		j.unreasonable = append(j.unreasonable, j.gains[len(j.gains)-1]+": "+why)
	}
}

// longest returns the longest time after from in which the condition held, and the start of this time.
func (j *judge) longest(from, until time.Time, is func(moment) bool) (longest time.Duration, began time.Time) {
	var since time.Time
	end := func(at time.Time) {
		if !since.IsZero() && at.Sub(since) > longest {
			longest, began = at.Sub(since), since
		}
		since = time.Time{}
	}
	for i, m := range j.moments {
		if next := i + 1; next < len(j.moments) && !j.moments[next].at.After(from) {
			continue
		}
		if !is(m) {
			end(m.at)
		} else if since.IsZero() {
			since = m.at
			if since.Before(from) {
				since = from
			}
		}
	}
	end(until)
	return longest, began
}

// restless reports whether more happens than in any reasonable history.
func (j *judge) restless() bool { return j.appointments > 200_000 }

// String returns the history of the address.
func (j *judge) String() string {
	var b strings.Builder
	for _, m := range j.moments {
		fmt.Fprintf(&b, "%12v owners %v, answering %v\n", m.at.Sub(epoch), m.owners, m.answering)
	}
	return b.String() + strings.Join(j.gains, "\n")
}

// atMost fails when the condition held for longer than the bound.
func (j *judge) atMost(t *testing.T, what string, bound time.Duration, from, until time.Time,
	is func(moment) bool) (longest time.Duration) {
	t.Helper()
	longest, began := j.longest(from, until, is)
	if longest > bound {
		t.Errorf("%s for %v at %v, the bound is %v", what, longest, began.Sub(epoch), bound)
	}
	return longest
}

func two(m moment) bool  { return len(m.owners) > 1 }
func none(m moment) bool { return len(m.answering) == 0 }
