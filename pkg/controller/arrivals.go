package controller

import (
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// arrivals records the arrival times of the Services that the controller has not written yet.
type arrivals struct {
	// seen holds the Services of the last snapshot.
	seen []*cluster.Service
	// since maps the UID of a Service to the arrival time.
	since map[string]time.Time
}

// observe adds the new Services, and removes the Services that were deleted or written. The API server cuts creation
// times to whole seconds. The wait of a Service therefore begins with its first snapshot if that snapshot is less than
// 2 seconds newer than the creation time.
func (a *arrivals) observe(services []*cluster.Service, now time.Time) {
	if a.since == nil {
		a.since = make(map[string]time.Time)
	}
	for _, c := range cluster.Changes(a.seen, services) {
		arrived := c.Is != nil && isUntouched(c.Is)
		if c.Was != nil && !(arrived && c.Is.UID == c.Was.UID) {
			delete(a.since, c.Was.UID)
		}
		if !arrived {
			continue
		}
		if _, known := a.since[c.Is.UID]; known {
			continue
		}
		a.since[c.Is.UID] = now
		if now.Sub(c.Is.Created) >= 2*time.Second {
			a.since[c.Is.UID] = c.Is.Created
		}
	}
	a.seen = services
}

// isUntouched reports whether Lanlord manages svc and has not written to svc yet.
func isUntouched(svc *cluster.Service) bool {
	return svc.Managed && svc.Condition == nil && svc.AllocatedFrom == "" && len(svc.Ingress) == 0
}

// served returns the time between the arrival of a Service and its first write, and removes the Service from a. ok is
// false if u is not the first write, or assigns no address.
func (a *arrivals) served(u cluster.Update, now time.Time) (waited time.Duration, ok bool) {
	since, ok := a.since[u.UID]
	delete(a.since, u.UID)
	return max(0, now.Sub(since)), ok && len(u.Ingress) > 0
}
