package notify

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
)

// newService is the maximum age of a Service with a separate Event.
const newService = time.Minute

// group is the key of items that share an Event.
type group struct {
	reason  string
	warning bool
	// node is the previous owner of the addresses, empty for none; why is the cause.
	node, why string
}

// item describes a change of one address.
type item struct {
	group
	addr netip.Addr
	// message is the text for the Services that have the address. head and tail begin and end a sentence about several
	// addresses.
	message, head, tail string
	// placement names the Services to notify. An address without a Service gets no Event.
	placement *placement.Placement
	// host is the host that the item reports; zero for none.
	host ownership.Host
}

// events returns an Event for each Service with the address.
func (x *item) events(snap cluster.Snapshot) (events []cluster.Event) {
	for _, key := range x.placement.Services {
		svc := snap.Find(key)
		if svc == nil {
			continue // the Service was deleted meanwhile
		}
		events = append(events, cluster.Event{
			Object: cluster.ObjectRef{Kind: "Service", Namespace: key.Namespace, Name: key.Name,
				UID: svc.UID},
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

// isNew reports whether a Service with the address was created within newService.
func isNew(p *placement.Placement, snap cluster.Snapshot, now time.Time) bool {
	return slices.ContainsFunc(p.Services, func(key cluster.Key) bool {
		svc := snap.Find(key)
		return svc != nil && now.Sub(svc.Created) < newService
	})
}
