package membership

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate receives the calls of memberlist. Because memberlist holds its own lock during most calls, a delegate must
// not block, and must not call memberlist.
type delegate struct{ m *Membership }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
	_ memberlist.PingDelegate     = delegate{}
)

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.put(n, eventJoined) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.put(n, eventUpdated) }

// put publishes a copy of n, because memberlist changes n later.
func (d delegate) put(n *memberlist.Node, e event) {
	addr, _ := netip.AddrFromSlice(n.Addr)
	where := netip.AddrPortFrom(addr.Unmap(), n.Port)
	if n.Name == d.m.options.Name {
		// The metadata in n may be older than the report that SetState has published, or is about to publish.
		d.m.publish(func(v *view) *view { return v.with(d.m.self(where), nil) })
		return
	}
	d.m.count(e)
	d.m.news.note("")
	report, problem := parseMeta(n.Meta)
	member := report.member(n.Name, where)
	now := time.Now()
	d.m.publish(func(v *view) *view {
		if e == eventJoined {
			return v.join(member, problem, now)
		}
		return v.update(member, problem)
	})
}

// NotifyLeave implements memberlist.EventDelegate. memberlist calls NotifyLeave for dead members and for members that
// left.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if n.Name == d.m.options.Name {
		return
	}
	d.m.count(eventLeft)
	d.m.news.note("")
	name, now := n.Name, time.Now()
	d.m.publish(func(v *view) *view { return v.lose(name, now) })
}

// AckPayload implements memberlist.PingDelegate.
func (delegate) AckPayload() []byte { return nil }

// NotifyPingComplete implements memberlist.PingDelegate: n itself has answered a probe over UDP.
func (d delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	d.m.paths.answered(n.Name)
}

// NotifyConflict implements memberlist.ConflictDelegate: another process claims the name of a member with another
// address. memberlist logs the conflict, and rejects the other process while the member lives.
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

// event is a change of another member.
type event uint8

const (
	eventJoined event = iota
	eventUpdated
	eventLeft
	eventConflict
)

// events holds every event.
var events = [...]event{eventJoined, eventUpdated, eventLeft, eventConflict}

// String returns the label of the event in the metrics.
func (e event) String() string {
	if int(e) >= len(events) {
		return fmt.Sprintf("event %d", uint8(e))
	}
	return [...]string{"joined", "updated", "left", "conflict"}[e]
}
