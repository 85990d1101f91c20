package ownership

import (
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Input holds all inputs of Step besides the Address itself. The values behind its pointers must not change.
type Input struct {
	Event Event
	Self  Self
	// Placement is nil when no Service has the address. PrevOwner is the owner by the previous placement.
	Placement *placement.Placement
	PrevOwner string
	Peers     *peers.View
	Failback  Failback
	Arrival   Arrival
	// Path is the knowledge of other members about the path through this node to the Service.
	Path Path
	// Heard is the last host heard as owner of the address.
	Heard Sighting
	// Kernel is true when the kernel of this node has the address on any interface.
	Kernel bool
	// LastDefense is the time of the last answer of this node to claims of foreign hosts, for any address.
	LastDefense time.Time
}

// Self describes this node and the quality of its inputs.
type Self struct {
	Name string
	// Ready is the time at which this node became ready.
	Ready time.Time
	// Settled is true once gossip has met the other nodes, or has tried for long enough.
	Settled bool
	// Configured is true when this node has a valid configuration.
	Configured bool
	// Informed is true while this node has contact with the API server.
	Informed bool
	// Leaving is true once this speaker was told to stop.
	Leaving bool
}

// Failback is the delay before an address moves from a node that may keep it to the elected one.
type Failback struct {
	Delay time.Duration
	Never bool
}

// Arrival records the arrival of an address at Services.
type Arrival struct {
	// Since is the time from which some node should announce the address; zero for a time before this node was ready.
	Since time.Time
	// Came is the time at which Services got the address while this node was ready; zero for an older address.
	Came time.Time
	// Late is true when every Service with the address was created clearly before Came, by the clock of the API server.
	// This node may have seen the address late, after another node has announced it.
	Late bool
}

// Path is the knowledge of other members about the path through this node to the Service at an address.
type Path uint8

const (
	// PathUnknown means that no other member can probe the path.
	PathUnknown Path = iota
	// PathUnasked means that another member can probe the path, and has not told a result.
	PathUnasked
	// PathThere means that another member has reached the Service through this node: the rules of the service proxy are
	// there.
	PathThere
	// PathMissing means that another member gets no answer from the Service through this node: the rules of the service
	// proxy are not there yet, or a policy drops the packets of the member.
	PathMissing
)

// Sighting records a host heard as owner of the address.
type Sighting struct {
	MAC layer2.MAC
	At  time.Time
	// Unasked is true when the host has announced the address, and not only answered questions.
	Unasked bool
}

// EventKind classifies events.
type EventKind uint8

const (
	// Review means that an input may have changed, or the time of Next has come.
	Review EventKind = iota
	// Probed means that the probe Number has ended with Finding.
	Probed
	// Claimed means that the station MAC has announced the address.
	Claimed
	// Stalled means that this process was stalled, and has answered nothing since.
	Stalled
	// Throttled means that the caller refused a probe of a backup, because the rate limit was reached.
	Throttled
)

// Event describes one event.
type Event struct {
	Kind    EventKind
	Number  uint64
	Finding layer2.Finding
	MAC     layer2.MAC
}

// trigger is an event of the transition table. A trigger distinguishes the host that answered or claimed.
type trigger uint16

const (
	review trigger = 1 << iota
	silent
	contested
	unprobed
	byMute // only the station answered that stays silent when asked alone
	bySuspected
	byMember
	byUnreached
	byForeign
	claimedByNode
	claimedByForeign
	stalled
	throttled

	nothing trigger = 0
)

const (
	byNode   = bySuspected | byMember | byUnreached
	answered = byNode | byForeign
	nobody   = silent | contested
	claimed  = claimedByNode | claimedByForeign
)

// step is one evaluation of the table.
type step struct {
	a   *Address
	in  *Input
	now time.Time
	on  trigger
	// peer and mac describe the host that answered or claimed the address.
	peer    peers.Peer
	mac     layer2.MAC
	actions []Action
	fired   func(line int)
}

// classify turns the event into a trigger. classify returns nothing for an event that does not concern the address any
// longer.
func (c *step) classify() trigger {
	switch e := &c.in.Event; e.Kind {
	case Stalled:
		return stalled
	case Throttled:
		return throttled
	case Claimed:
		c.mac, c.peer = e.MAC, c.in.Peers.Station(e.MAC)
		if c.peer.Standing == peers.Foreign {
			return claimedByForeign
		}
		return claimedByNode
	case Probed:
		if e.Number == c.a.probing.number {
			return c.answer(&e.Finding)
		}
	}
	return nothing
}

// answer classifies the result of a probe by the host closest to this node: a member before an unreached node, and an
// unreached node before a foreign host.
func (c *step) answer(f *layer2.Finding) trigger {
	switch f.Outcome {
	case layer2.Silent:
		return silent
	case layer2.Contested:
		return contested
	case layer2.Unasked:
		return unprobed
	}
	found := false
	for _, x := range f.Heard {
		if x.Form == layer2.Probing || x.MAC == c.a.probing.mute {
			continue
		}
		if p := c.in.Peers.Station(x.MAC); !found || p.Standing > c.peer.Standing {
			c.peer, c.mac, found = p, x.MAC, true
		}
	}
	switch {
	case !found:
		return byMute
	case c.peer.Standing == peers.Foreign:
		return byForeign
	case c.peer.Standing == peers.Unreached:
		return byUnreached
	case c.peer.Suspected:
		return bySuspected
	}
	return byMember
}

// do adds an action.
func (c *step) do(a Action) { c.actions = append(c.actions, a) }

// report adds a change of ownership.
func (c *step) report(kind Kind, cause Cause, peer string) {
	c.do(Action{Kind: Report, Change: Change{At: c.now, Addr: c.a.Addr, Kind: kind, Cause: cause, Peer: peer}})
}

// announced reports whether some node should announce the address.
func (c *step) announced() bool {
	return c.in.Placement != nil && c.in.Placement.Reason == reason.Announced
}
