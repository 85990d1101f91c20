package controller

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// contestRounds is the number of times that another controller may change the status of a Service back before the
	// Service counts as contested.
	contestRounds = 3
	// contestPause is the pause between two writes to a contested Service. A change counts as a reaction to a write
	// only within twice this time.
	contestPause = time.Minute
)

// contests tracks the Services with a status that another controller changes back. Without a limit, two controllers
// that react to each other at once would write thousands of times a minute.
type contests struct {
	of map[cluster.Key]*contest
	// tidied is the time of the last call of forget that looked for old entries.
	tidied time.Time
}

// contest records the last write to the status of one Service, and how often another controller has changed the status
// back.
type contest struct {
	uid string
	// addrs holds the addresses of the last write, at the time of that write.
	addrs []netip.Addr
	at    time.Time
	// rounds counts the changes back. version is the version of the Service after the newest change back.
	rounds  int
	version string
}

// wrote records a successful write.
func (cs *contests) wrote(u cluster.Update, now time.Time) {
	c := cs.of[u.Key]
	if len(u.Ingress) == 0 {
		delete(cs.of, u.Key)
		return
	}
	if c == nil || c.uid != u.UID || !slices.Equal(c.addrs, u.Ingress) {
		c = &contest{uid: u.UID, addrs: u.Ingress}
		cs.of[u.Key] = c
	}
	c.at = now
}

// forget removes the Services with a last write that is too old, at most once in every contestPause. Every Service that
// gets an address is tracked for a while.
func (cs *contests) forget(now time.Time) {
	if now.Sub(cs.tidied) < contestPause {
		return
	}
	cs.tidied = now
	maps.DeleteFunc(cs.of, func(_ cluster.Key, c *contest) bool { return c.over(now) })
}

// over reports whether the last write is too old for a change to be a reaction to the write.
func (c *contest) over(now time.Time) bool { return now.Sub(c.at) > 2*contestPause }

// verdict holds the result of judge.
type verdict struct {
	// contested is true when another controller keeps changing the status back. begins is true only the first time.
	contested, begins bool
	// hold is the time before which the Service must not be written again. Zero means that the Service can be written
	// now.
	hold time.Time
}

// judge decides whether another controller contests svc, and when the planned update u may be written.
func (cs *contests) judge(u cluster.Update, svc *cluster.Service, now time.Time) (v verdict) {
	c := cs.of[u.Key]
	if c == nil || svc == nil || c.over(now) || c.uid != u.UID || !slices.Equal(c.addrs, u.Ingress) {
		return verdict{}
	}
	if !svc.ForeignIngress && slices.Equal(svc.Ingress, c.addrs) {
		if c.rounds >= contestRounds { // the other controller may only be slow
			return verdict{hold: c.at.Add(contestPause)}
		}
		return verdict{}
	}
	if c.version != u.Version {
		c.version, c.rounds = u.Version, c.rounds+1
	}
	switch {
	case c.rounds < contestRounds:
		return verdict{}
	case c.rounds == contestRounds:
		return verdict{contested: true, begins: true}
	}
	return verdict{contested: true, hold: c.at.Add(contestPause)}
}

// contested returns u with a condition that names the other controller, and without the Events of the single writes.
func contested(u cluster.Update, svc *cluster.Service) cluster.Update {
	u.Before, u.Events = nil, nil
	u.Condition = &cluster.Condition{Reason: reason.StatusContested.String(), Message: contestMessage(u, svc)}
	return u
}

// contestEvent returns the Event for a Service that becomes contested.
func contestEvent(u cluster.Update, svc *cluster.Service) cluster.Event {
	return event(svc, true, reason.StatusContested.String(), contestMessage(u, svc))
}

func contestMessage(u cluster.Update, svc *cluster.Service) string {
	who := "another controller"
	if svc.StatusManager != "" {
		who = fmt.Sprintf("another controller (field manager %q)", svc.StatusManager)
	}
	return fmt.Sprintf("%s keeps changing the addresses in the status of this Service, and Lanlord writes %s at most once a minute: "+
		"let only one of them serve the Service, by turning the other one off or by spec.loadBalancerClass", who, listed(u.Ingress))
}
