package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/routes"
)

// proxyDelay delays the announcement to routers of a new address, and of an address with a new local endpoint.
const proxyDelay = ownership.RulesDelay

// delays holds new addresses back until the service proxy of this node has their rules.
type delays struct {
	// since maps each address that this node could announce to the time when that began; zero for an address that needs no
	// delay. next is the map of the decision under way.
	since, next map[netip.Addr]time.Time
	// dated is true once the addresses present at the start are recorded.
	dated bool

	now         time.Time
	old, frozen bool
	announced   []routes.Address
	due         time.Time
}

// begin starts a decision. ready means that this node is ready: what it could announce before needs no delay. Without a
// configuration nothing new is announced, and nothing recorded. announced are the addresses of the last decision.
func (d *delays) begin(now time.Time, ready, configured bool, announced []routes.Address) {
	d.now, d.old, d.frozen, d.announced, d.due = now, !ready || !d.dated, !configured, announced, time.Time{}
	if configured {
		d.dated = ready
	}
	d.next = make(map[netip.Addr]time.Time, len(d.since))
}

// pending reports whether an address that this node could announce has to wait. An address that is announced never
// does.
func (d *delays) pending(a netip.Addr) bool {
	since, known := d.since[a]
	if !known && !d.old && !d.told(a) {
		since = d.now
	}
	d.next[a] = since
	end := since.Add(proxyDelay)
	if since.IsZero() || !d.now.Before(end) {
		return false
	}
	if d.due.IsZero() || end.Before(d.due) {
		d.due = end
	}
	return true
}

// told reports whether the last decision announced a.
func (d *delays) told(a netip.Addr) bool {
	i, found := slices.BinarySearchFunc(d.announced, a, func(x routes.Address,
		a netip.Addr) int {
		return x.Addr.Compare(a)
	})
	return found && len(d.announced[i].Peers) > 0
}

// end ends a decision, and returns the earlier of again and the end of the next delay; zero for never.
func (d *delays) end(again time.Time) time.Time {
	if !d.frozen {
		d.since = d.next
	}
	d.next, d.announced = nil, nil
	if again.IsZero() || !d.due.IsZero() && d.due.Before(again) {
		return d.due
	}
	return again
}
