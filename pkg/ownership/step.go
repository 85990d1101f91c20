package ownership

import "time"

// mostChanges bounds the states that one review goes through. No path through the table is longer.
const mostChanges = 4

// Step applies an event to the address and returns what to do. It reviews the inputs before and after: a result of a probe is judged only if it
// still concerns the present attempt, and what is due is done at once. Afterwards Next returns another time, after now, and State another
// state, as the table says.
func (a *Address) Step(now time.Time, in Input) []Action {
	return a.step(now, in, func(int) {})
}

// step is Step. It calls fired with the index of each line of the table that it applies.
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

// review lets the state, and each new state, look at the inputs.
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
