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
	// contestPause is the pause between two writes to a contested Service. A change that comes later than twice this time
	// after a write is no answer to the write.
	contestPause = time.Minute
)

// contests tracks the Services whose status another controller changes back. Two controllers that both answer at once would
// write thousands of times a minute.
type contests struct {
	of map[cluster.Key]*contest
	// tidied is the time of the last call of forget that did anything.
	tidied time.Time
}

// contest records the last write to the status of one Service, and the changes back since then.
type contest struct {
	uid string
	// addrs are the addresses that were written, at the time at.
	addrs []netip.Addr
	at    time.Time
	// rounds counts the changes back, the newest one in version.
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

// forget drops the Services that were written too long ago, once every contestPause: every Service that gets an address
// is among them for a while.
func (cs *contests) forget(now time.Time) {
	if now.Sub(cs.tidied) < contestPause {
		return
	}
	cs.tidied = now
	maps.DeleteFunc(cs.of, func(_ cluster.Key, c *contest) bool { return c.over(now) })
}

// over reports whether the write is too long ago for a change to be an answer to it.
func (c *contest) over(now time.Time) bool { return now.Sub(c.at) > 2*contestPause }

// verdict is the result of judge.
type verdict struct {
	// contested is true when another controller keeps changing the status back. begins is true the first time.
	contested, begins bool
	// hold is the time before which the Service must not be written again; zero for now.
	hold time.Time
}

// judge looks at a planned update of svc.
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

// contested returns u with a condition that names the other controller, and without the Events that tell of each write.
func contested(u cluster.Update, svc *cluster.Service) cluster.Update {
	u.Before, u.Events = nil, nil
	u.Condition = &cluster.Condition{Reason: reason.StatusContested.String(), Message: contestMessage(u, svc)}
	return u
}

// contestEvent is the Event that a Service gets when it becomes contested.
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
