package ownership

import "time"

// mostChanges limits the changes of state in one review. No path through the table is longer.
const mostChanges = 4

// Step applies an event to the address and returns the actions for the caller. Step reviews the inputs before and after
// the event. The first review discards a probe of an earlier attempt before its result is judged; the second review
// carries out at once whatever is due. Afterwards Next returns another time, after now, and State another state, as the
// table says.
func (a *Address) Step(now time.Time, in Input) []Action {
	return a.step(now, in, func(int) {})
}

// step implements Step. step calls fired with the index of each table line that applies.
func (a *Address) step(now time.Time, in Input, fired func(line int)) []Action {
	c := &step{a: a, in: &in, now: now, fired: fired}
	if expiry := a.foreign.expiry(); !expiry.IsZero() && !expiry.After(now) {
		a.foreign.forget()
	}
	c.review()
	if c.on = c.classify(); c.on != nothing {
		if in.Event.Kind == Probed {
			a.probing.end(now, in.Event.Finding)
		}
		c.apply()
		c.review()
	}
	return c.actions
}

// review lets the current state, and each new state, look at the inputs.
func (c *step) review() {
	c.on = review
	for range mostChanges {
		if !c.apply() {
			return
		}
	}
}

// apply applies the first line of the table that fits, and reports whether the state has changed.
func (c *step) apply() (changed bool) {
	before := c.a.state
	for i := range table {
		t := &table[i]
		if !t.from.has(before) || t.on&c.on == 0 || t.when != nil && !t.when(c) {
			continue
		}
		c.fired(i)
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
