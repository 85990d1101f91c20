package speaker

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/byaddr"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

const (
	// keptChanges limits the number of changes of ownership in the status: the most recent ones.
	keptChanges = 100
	// mostForeign limits the number of foreign hosts in the status.
	mostForeign = 256
)

// Status describes the last round of the loop. A published Status does not change.
type Status struct {
	// State is the state that this node announced to the others, Since the time of its last change.
	State membership.State
	Since time.Time
	// Lacks lists the reasons why a joining node is not ready.
	Lacks []string
	// Ready is the time at which this process or the previous one became ready; zero while the node is not ready.
	Ready time.Time
	// Placements are for all addresses, sorted.
	Placements []*placement.Placement
	// Held are the addresses that this node has, sorted.
	Held []netip.Addr
	// Foreign are the addresses that a foreign host has, sorted.
	Foreign []cluster.Stranger
	// Addresses has the facts on each address that is not simply another node's.
	Addresses byaddr.Map[ownership.Facts]
	// Changes are the last changes of ownership, the oldest first.
	Changes []ownership.Change

	routing  routingStatus
	snapshot cluster.Snapshot
	members  []membership.Member // the ready ones
	entries  []peers.Entry
	view     *peers.View
}

// facts returns the facts on an address.
func (st *Status) facts(addr netip.Addr) ownership.Facts {
	f, _ := st.Addresses.Get(addr)
	return f
}
