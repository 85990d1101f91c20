package ownership

import "time"

// mostChanges bounds the states that one Step goes through. No path through the table is longer.
const mostChanges = 6

// Step applies an event to the address and returns what to do. Afterwards Next returns another time, and State another state, as the
// table says. A result of a probe that does not concern the present attempt changes nothing.
func (a *Address) Step(now time.Time, in Input) []Action {
	c := &step{a: a, in: &in, now: now}
	if !c.classify() {
		return nil
	}
	if in.Event.Kind == Probed {
		a.probing.end()
	}
	if expiry := a.foreign.expiry(); !expiry.IsZero() && !expiry.After(now) {
		a.foreign.forget()
	}
	for range mostChanges {
		if !c.apply() {
			break
		}
		c.on = review // the new state looks at the inputs
	}
	return c.actions
}

// apply applies the first line of the table that fits, and reports whether the state has changed.
func (c *step) apply() (changed bool) {
	before := c.a.state
	for i := range table {
		t := &table[i]
		if !t.from.has(before) || t.on&c.on == 0 || t.when != nil && !t.when(c) {
			continue
		}
		for _, effect := range t.do {
			effect(c)
		}
		if t.to == more {
			continue
		}
		if t.to != same {
			c.a.state = t.to
		}
		return c.a.state != before
	}
	return false
}
