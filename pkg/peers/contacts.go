package peers

import (
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// contact holds the times at which a neighbour was heard.
type contact struct {
	// lastHeard is the time of the last answer, and reachableSince the time of the first answer after the last failed
	// probe.
	lastHeard, reachableSince time.Time
	// unreachable is true from a failed probe until the neighbour is reachable again.
	unreachable bool
	// station is the station that the beats ask, nil before the first question of a beat. The station knows an answer
	// before lastHeard does.
	station *layer2.Station
	// heartbeats are exchanged with the neighbour, nil without a common network.
	heartbeats *layer2.Heartbeats
}

// last returns the time of the last answer or heartbeat, zero for none.
func (x *contact) last() (last time.Time) {
	last = x.lastHeard
	if x.station != nil && !x.unreachable {
		last = latest(last, x.station.Answered())
	}
	if x.heartbeats != nil && !x.unreachable {
		beaten, _ := x.heartbeats.Last()
		last = latest(last, beaten)
	}
	return last
}

// latest returns the latest of the times.
func latest(times ...time.Time) (last time.Time) {
	for _, at := range times {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// contacts holds the contact of each watched node. Each watcher writes its own contact and reads all others. A mutex is
// simpler here than a goroutine, because each critical section is a few assignments.
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

// remove forgets a neighbour. Its watcher may still write to the contact, but nothing reads the contact.
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

// meet notes the station that the beats ask.
func (c *contacts) meet(x *contact, station *layer2.Station) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.station = station
}

// listen notes the heartbeats of a neighbour, nil for none.
func (c *contacts) listen(x *contact, heartbeats *layer2.Heartbeats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.heartbeats = heartbeats
}

// setUnreachable notes whether a neighbour is unreachable.
func (c *contacts) setUnreachable(x *contact, unreachable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.unreachable = unreachable
}

// unreachable reports whether the named node is watched and unreachable.
func (c *contacts) unreachable(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.byName[name]
	return x != nil && x.unreachable
}

// hearsAnother reports whether another neighbour than x has answered since lately, and was reachable when the probe of
// x began. A node that was cut off until now does not know the state of its neighbours.
func (c *contacts) hearsAnother(x *contact, began, lately time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.byName {
		if other != x && !other.last().Before(lately) && !other.reachableSince.After(began) {
			return true
		}
	}
	return false
}

// lastHeard returns the time of the last answer of the named neighbour, and false when there is none.
func (c *contacts) lastHeard(name string) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.byName[name]
	if x == nil || x.lastHeard.IsZero() {
		return time.Time{}, false
	}
	return x.last(), true
}
