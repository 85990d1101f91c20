package speaker

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/placement"
)

// decision holds the last snapshot of the cluster, and the placements of all addresses by the snapshot.
type decision struct {
	snapshot   cluster.Snapshot
	ledger     placement.Ledger
	placements []*placement.Placement
	// previous are the placements of the round before.
	previous []*placement.Placement
	// touched lists the addresses whose placement or Services have changed since the end of the last round, sorted.
	touched []netip.Addr
}

// look stores a snapshot for a new round.
func (d *decision) look(snapshot cluster.Snapshot) { d.snapshot, d.previous = snapshot, d.placements }

// place places the addresses. ready lists the members able to answer now.
func (d *decision) place(ready []membership.Member) {
	before := d.touched
	if d.placements, d.touched = d.ledger.Decide(d.snapshot, ready); len(before) > 0 {
		d.touched = slices.Concat(before, d.touched)
		slices.SortFunc(d.touched, netip.Addr.Compare)
		d.touched = slices.Compact(d.touched)
	}
}

// settled ends a round: all parts of the round have seen the touched addresses.
func (d *decision) settled() { d.touched = nil }

// prevOwner returns the owner of an address by the placement of the round before, empty for none.
func (d *decision) prevOwner(addr netip.Addr) string {
	if p := placement.Find(d.previous, addr); p != nil {
		return p.Owner
	}
	return ""
}
