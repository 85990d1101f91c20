package controller

import (
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// arrivals is since when the Services wait that nothing was written for yet.
type arrivals struct {
	// seen are the Services of the last snapshot.
	seen []*cluster.Service
	// since is by UID.
	since map[string]time.Time
}

// observe notes the Services that are new, and forgets those that are gone. A Service's creation time is a whole second; of one
// that is seen within that second and the next, it counts from when it was seen.
func (a *arrivals) observe(services []*cluster.Service, now time.Time) {
	if a.since == nil {
		a.since = make(map[string]time.Time)
	}
	for _, c := range changes(a.seen, services) {
		arrived := c.is != nil && isUntouched(c.is)
		if c.was != nil && !(arrived && c.is.UID == c.was.UID) {
			delete(a.since, c.was.UID)
		}
		if !arrived {
			continue
		}
		if _, known := a.since[c.is.UID]; known {
			continue
		}
		a.since[c.is.UID] = now
		if now.Sub(c.is.Created) >= 2*time.Second {
			a.since[c.is.UID] = c.is.Created
		}
	}
	a.seen = services
}

// isUntouched is true for a Service that is ours and shows nothing of us yet.
func isUntouched(svc *cluster.Service) bool {
	return svc.Managed && svc.Condition == nil && svc.AllocatedFrom == "" && len(svc.Ingress) == 0
}

// served returns how long a Service has waited that was given addresses by its first write.
func (a *arrivals) served(u cluster.Update, now time.Time) (waited time.Duration, ok bool) {
	since, ok := a.since[u.UID]
	delete(a.since, u.UID)
	return max(0, now.Sub(since)), ok && len(u.Ingress) > 0
}
