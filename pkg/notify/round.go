package notify

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
)

// Round holds the results of one round of decisions.
type Round struct {
	Snapshot   cluster.Snapshot
	Placements []placement.Placement
	// PrevOwners maps each address to its owner in the previous round.
	PrevOwners map[netip.Addr]string
	// First is true on the node that reports unannounced addresses: the first of the ready nodes.
	First bool
	// Owned reports whether this node answers for an address now.
	Owned func(netip.Addr) bool
	// Foreign returns the host that wrongly answers for an address now, zero for no host.
	Foreign func(netip.Addr) ownership.Host
}
