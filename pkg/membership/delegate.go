package membership

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls, holding its own lock. It may not block and may not call memberlist.
type delegate struct{ m *Membership }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
)

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.put(n, eventJoined) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.put(n, eventUpdated) }

// put publishes n as it is now. The node belongs to memberlist, which changes it later, so everything is copied.
func (d delegate) put(n *memberlist.Node, e event) {
	addr, _ := netip.AddrFromSlice(n.Addr)
	where := netip.AddrPortFrom(addr.Unmap(), n.Port)
	if n.Name == d.m.options.Name {
		// What comes back from memberlist may be older than what SetState has published, or publishes at this moment.
		d.m.publish(func(v *view) *view { return v.with(d.m.self(where), nil) })
		return
	}
	d.m.count(e)
	member := Member{Name: n.Name, Addr: where}
	var problem error
	member.State, member.Links, problem = parseMeta(n.Meta)
	d.m.publish(func(v *view) *view { return v.with(member, problem) })
}

// NotifyLeave implements memberlist.EventDelegate. A member that was found dead and one that took leave look the same.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if n.Name == d.m.options.Name {
		return
	}
	d.m.count(eventLeft)
	name := n.Name
	d.m.publish(func(v *view) *view { return v.without(name) })
}

// NotifyConflict implements memberlist.ConflictDelegate: other claims the name of existing under another address.
// memberlist logs it; as long as existing lives, other is not let in.
func (d delegate) NotifyConflict(_, _ *memberlist.Node) { d.m.count(eventConflict) }

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(int) []byte { return d.m.own.Load().meta }

// NotifyMsg implements memberlist.Delegate. memberlist does not hold its lock here.
func (d delegate) NotifyMsg(message []byte) { d.m.hear(message) }

// GetBroadcasts implements memberlist.Delegate.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (delegate) MergeRemoteState([]byte, bool) {}

// event is something that happened to another member.
type event uint8

const (
	eventJoined event = iota
	eventUpdated
	eventLeft
	eventConflict
)

// events holds every event.
var events = [...]event{eventJoined, eventUpdated, eventLeft, eventConflict}

// String returns the event as the metrics label it.
func (e event) String() string {
	if int(e) >= len(events) {
		return fmt.Sprintf("event %d", uint8(e))
	}
	return [...]string{"joined", "updated", "left", "conflict"}[e]
}
