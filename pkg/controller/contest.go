package controller

import (
	"fmt"
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
type contests map[cluster.Key]*contest

// contest is what happened to the status of one Service since it was written.
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
func (cs contests) wrote(u cluster.Update, now time.Time) {
	c := cs[u.Key]
	if len(u.Ingress) == 0 {
		delete(cs, u.Key)
		return
	}
	if c == nil || c.uid != u.UID || !slices.Equal(c.addrs, u.Ingress) {
		c = &contest{uid: u.UID, addrs: u.Ingress}
		cs[u.Key] = c
	}
	c.at = now
}

// forget drops the Services that were written too long ago.
func (cs contests) forget(now time.Time) {
	for key, c := range cs {
		if now.Sub(c.at) > 2*contestPause {
			delete(cs, key)
		}
	}
}

// verdict is the result of judge.
type verdict struct {
	// contested is true when another controller keeps changing the status back. begins is true the first time.
	contested, begins bool
	// hold is the time before which the Service must not be written again; zero for now.
	hold time.Time
}

// judge looks at a planned update of svc.
func (cs contests) judge(u cluster.Update, svc *cluster.Service) (v verdict) {
	c := cs[u.Key]
	if c == nil || svc == nil || c.uid != u.UID || !slices.Equal(c.addrs, u.Ingress) {
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

func listed(addrs []netip.Addr) string {
	text := ""
	for i, a := range addrs {
		if i > 0 {
			text += ", "
		}
		text += a.String()
	}
	return text
}
