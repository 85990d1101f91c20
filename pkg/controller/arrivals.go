package controller

import (
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// arrivals is since when the Services wait that nothing was written for yet, by their UIDs.
type arrivals map[string]time.Time

// observe notes the Services that are new, and forgets those that are gone. A Service's creation time is a whole second; of one
// that is seen within that second and the next, it counts from when it was seen.
func (a arrivals) observe(services []*cluster.Service, now time.Time) {
	if len(a) > 0 {
		there := make(map[string]bool, len(a))
		for _, svc := range services {
			if isUntouched(svc) {
				there[svc.UID] = true
			}
		}
		for uid := range a {
			if !there[uid] {
				delete(a, uid)
			}
		}
	}
	for _, svc := range services {
		if _, known := a[svc.UID]; known || !isUntouched(svc) {
			continue
		}
		since := now
		if now.Sub(svc.Created) >= 2*time.Second {
			since = svc.Created
		}
		a[svc.UID] = since
	}
}

// isUntouched is true for a Service that is ours and shows nothing of us yet.
func isUntouched(svc *cluster.Service) bool {
	return svc.Managed && svc.Condition == nil && svc.AllocatedFrom == "" && len(svc.Ingress) == 0
}

// served returns how long a Service has waited that was given addresses by its first write.
func (a arrivals) served(u cluster.Update, now time.Time) (waited time.Duration, ok bool) {
	since, ok := a[u.UID]
	delete(a, u.UID)
	return max(0, now.Sub(since)), ok && len(u.Ingress) > 0
}
