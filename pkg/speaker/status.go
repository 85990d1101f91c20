package speaker

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

const (
	// keptChanges is how many of the last changes of ownership the status shows.
	keptChanges = 100
	// mostForeign is how many foreign hosts the status shows.
	mostForeign = 256
)

// Status is what the loop did last. Nobody changes it after it was published.
type Status struct {
	// State is what the others were told of this node, Since is when it changed.
	State membership.State
	Since time.Time
	// Lacks says what keeps a joining node from being ready.
	Lacks []string
	// Ready is when this node, or the process before this one, became ready; zero while it is not.
	Ready time.Time
	// Placements are for all addresses, sorted.
	Placements []placement.Placement
	// Held are the addresses that this node has, sorted.
	Held []netip.Addr
	// Foreign are the addresses that a foreign host has, sorted.
	Foreign []cluster.Stranger
	// Addresses has the facts on each address that is not simply another node's.
	Addresses map[netip.Addr]ownership.Facts
	// Changes are the last changes of ownership, the oldest first.
	Changes []ownership.Change

	routing  routingStatus
	snapshot cluster.Snapshot
	members  []membership.Member // the ready ones
	entries  []peers.Entry
	view     *peers.View
}
