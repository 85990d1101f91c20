package speaker

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// darkDelay is how long nobody must answer for an address before the user is told: the endpoints of a new Service, and
// the speakers of a new cluster, need a moment.
const darkDelay = 5 * time.Second

// conflictReason is the reason of the Event about an address that another host has.
const conflictReason = "AddressConflict"

// noSubnetReason is the reason of the Event about an address that is in no subnet of any node.
const noSubnetReason = "NoSubnet"

// dark is an address that nobody answers for.
type dark struct {
	reason Reason
	since  time.Time
	told   bool
	// owner is the node that was to answer before, empty for none.
	owner string
}

// explain logs what has changed since the last decisions, and has Events tell of it. An address that this node has gained is
// told of by this node; one that nobody answers for is told of by one node, the first of the ready ones.
func (s *Speaker) explain(gained []netip.Addr, ready []membership.Member, snap cluster.Snapshot, now time.Time) {
	mine := make(map[netip.Addr]bool, len(gained))
	for _, a := range gained {
		mine[a] = true
	}
	stillDark := make(map[netip.Addr]dark, len(s.dark))
	for i := range s.decisions {
		d := &s.decisions[i]
		if d.Reason == Announced {
			if mine[d.Addr] {
				s.noteGain(d, now)
			}
			continue
		}
		was := s.dark[d.Addr]
		if was.since.IsZero() || was.reason != d.Reason {
			was = dark{reason: d.Reason, since: now, owner: cmp.Or(s.owners[d.Addr], was.owner)}
		}
		if !was.told && now.Sub(was.since) >= darkDelay {
			was.told = true
			if len(ready) == 0 || ready[0].Name == s.Self {
				s.Log.Warn("nobody answers", "ip", d.Addr, "service", d.Services, "reason", d.Reason, "detail", d.Detail)
				s.noteDark(d, was.owner, now)
			}
		}
		stillDark[d.Addr] = was
	}
	s.dark = stillDark
	clear(s.gains)
	s.tellNews(snap, now)
}

// tell sends an Event to each Service that has the address.
func (s *Speaker) tell(d *Decision, snap cluster.Snapshot, reason string, warning bool, message string) {
	for _, key := range d.Services {
		i, found := slices.BinarySearchFunc(snap.Services, key, func(svc *cluster.Service, k cluster.Key) int { return svc.Key.Compare(k) })
		if !found {
			continue // it was deleted meanwhile
		}
		s.Event(cluster.Event{
			Object:  cluster.ObjectRef{Kind: "Service", Namespace: key.Namespace, Name: key.Name, UID: snap.Services[i].UID},
			Warning: warning,
			Reason:  reason,
			Message: message,
		})
	}
}
