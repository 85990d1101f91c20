package notify

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
)

// newService is the age up to which a Service gets its first Event alone.
const newService = time.Minute

// group is what some items have in common. Many items of one group make one Event.
type group struct {
	reason  string
	warning bool
	// node had the addresses before, empty for none; why is the cause.
	node, why string
}

// item is what happened to one address.
type item struct {
	group
	addr netip.Addr
	// message is for the Services that have the address. head and tail begin and end a sentence about several addresses.
	message, head, tail string
	// placement names the Services to tell. An address that no Service has any longer is not told of.
	placement *placement.Placement
	// host is the host that the item is about; zero for none.
	host ownership.Host
}

// events returns an Event for each Service that has the address.
func (x *item) events(snap cluster.Snapshot) (events []cluster.Event) {
	for _, key := range x.placement.Services {
		i, found := findService(snap, key)
		if !found {
			continue // the Service was deleted meanwhile
		}
		events = append(events, cluster.Event{
			Object:  cluster.ObjectRef{Kind: "Service", Namespace: key.Namespace, Name: key.Name, UID: snap.Services[i].UID},
			Warning: x.warning, Reason: x.reason, Message: x.message,
		})
	}
	return events
}

func nodeRef(snap cluster.Snapshot, name string) cluster.ObjectRef {
	ref := cluster.ObjectRef{Kind: "Node", Name: name}
	if i := slices.IndexFunc(snap.Nodes, func(n cluster.Node) bool { return n.Name == name }); i >= 0 {
		ref.UID = snap.Nodes[i].UID
	}
	return ref
}

func findService(snap cluster.Snapshot, key cluster.Key) (int, bool) {
	return slices.BinarySearchFunc(snap.Services, key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
}

// isNew reports whether a Service that has the address was created a short while ago.
func isNew(p *placement.Placement, snap cluster.Snapshot, now time.Time) bool {
	return slices.ContainsFunc(p.Services, func(key cluster.Key) bool {
		i, found := findService(snap, key)
		return found && now.Sub(snap.Services[i].Created) < newService
	})
}
