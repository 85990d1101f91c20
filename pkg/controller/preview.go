package controller

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// previewRounds is the maximum number of plans that a change needs: one plan that releases and assigns, and two plans
// that assign released addresses. Another plan would change nothing.
const previewRounds = 3

// Change describes the effect of a configuration on one Service.
type Change struct {
	Service cluster.Key
	// Before and After hold the addresses of the Service, in the order of the status. Before and After differ.
	Before, After []netip.Addr
	// Reason and Message are the reason and the message of the condition of the Service after the change.
	Reason, Message string
}

// Preview returns the Services that would get other addresses, or none, if cfg were the configuration, sorted by
// Service. Preview does not know the addresses in cool-down, so a Service may get another free address than Preview
// says.
func Preview(snapshot cluster.Snapshot, cfg *config.Config) []Change {
	before := snapshot.Services
	snapshot.Config = cfg
	snapshot.Services = slices.Clone(before)
	for range previewRounds {
		for _, u := range Decide(snapshot, nil).Updates {
			i, found := slices.BinarySearchFunc(snapshot.Services, u.Key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
			if found {
				snapshot.Services[i] = written(snapshot.Services[i], u)
			}
		}
	}
	var changes []Change
	for i, now := range snapshot.Services {
		if slices.Equal(before[i].Ingress, now.Ingress) {
			continue
		}
		c := Change{Service: now.Key, Before: before[i].Ingress, After: now.Ingress}
		if now.Condition != nil {
			c.Reason, c.Message = now.Condition.Reason, now.Condition.Message
		}
		changes = append(changes, c)
	}
	return changes
}

// written returns the Service s after the write of u.
func written(s *cluster.Service, u cluster.Update) *cluster.Service {
	after := *s
	if !u.KeepIngress {
		after.Ingress, after.ForeignIngress = u.Ingress, false
	}
	after.AllocatedFrom, after.Condition, after.Conflict = u.AllocatedFrom, u.Condition, u.Conflict
	after.Assignment, after.AssignmentProblem = u.Assignment, ""
	return &after
}
