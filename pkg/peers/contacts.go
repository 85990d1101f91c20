package peers

import (
	"sync"
	"time"
)

// contact is when a neighbour was heard.
type contact struct {
	// lastHeard is when it answered last, and reachableSince the first of its answers without a failed probe since.
	lastHeard, reachableSince time.Time
	// unreachable is true when the newest probes have failed.
	unreachable bool
}

// contacts holds the contact of each neighbour that is probed. The watchers of the neighbours write it, each its own contact, and read
// those of the others. A mutex is simpler here than a goroutine: nobody waits for anybody, and every critical section is a few
// assignments.
type contacts struct {
	mu     sync.Mutex
	byName map[string]*contact
}

// add returns the contact of a new neighbour.
func (c *contacts) add(name string) *contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &contact{}
	c.byName[name] = x
	return x
}

// remove forgets a neighbour. Its watcher may still write to its contact, which nobody reads any longer.
func (c *contacts) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byName, name)
}

// heard notes that a neighbour has answered.
func (c *contacts) heard(x *contact, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.reachableSince.IsZero() || x.unreachable {
		x.reachableSince = now
	}
	x.lastHeard = now
}

// setUnreachable notes whether the newest probes of a neighbour have failed.
func (c *contacts) setUnreachable(x *contact, unreachable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.unreachable = unreachable
}

// unreachable reports whether the named node is a neighbour that does not answer.
func (c *contacts) unreachable(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.byName[name]
	return x != nil && x.unreachable
}

// hearsAnother reports whether another neighbour than x has answered since lately, and was already reachable when the probe of x began:
// a node that was cut off until then knows nothing of its neighbours.
func (c *contacts) hearsAnother(x *contact, began, lately time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.byName {
		if other != x && !other.lastHeard.Before(lately) && !other.reachableSince.After(began) {
			return true
		}
	}
	return false
}

// lastHeard returns when the named neighbour answered last, and false when it did not or is no neighbour.
func (c *contacts) lastHeard(name string) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.byName[name]
	if x == nil || x.lastHeard.IsZero() {
		return time.Time{}, false
	}
	return x.lastHeard, true
}
