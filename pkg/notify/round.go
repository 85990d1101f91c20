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
	Placements []*placement.Placement
	// Touched lists the addresses whose placement may have changed since the previous round, sorted; also addresses
	// without a placement now.
	Touched []netip.Addr
	// PrevOwner returns the owner of an address in the previous round, empty for none.
	PrevOwner func(netip.Addr) string
	// First is true on the node that reports unannounced addresses: the first of the ready nodes.
	First bool
	// Owned reports whether this node answers for an address now.
	Owned func(netip.Addr) bool
	// Foreign returns the host that wrongly answers for an address now, zero for no host.
	Foreign func(netip.Addr) ownership.Host
}
