package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// addressSet holds the addresses of Services, and former addresses that the loop must still remember.
type addressSet map[netip.Addr]*ownership.Address

// inherit returns the addresses that the previous process announced.
func inherit(addrs []netip.Addr) addressSet {
	as := addressSet{}
	for _, a := range addrs {
		as[a] = ownership.Inherit(a)
	}
	return as
}

// add adds the missing addresses of placements.
func (as addressSet) add(placements []placement.Placement) {
	for i := range placements {
		if addr := placements[i].Addr; as[addr] == nil {
			as[addr] = ownership.New(addr)
		}
	}
}

// forget removes addresses without a Service and without any state to keep.
func (as addressSet) forget(placements []placement.Placement) {
	maps.DeleteFunc(as, func(addr netip.Addr, a *ownership.Address) bool {
		return a.Idle() && placement.Find(placements, addr) == nil
	})
}

// held returns the owned addresses, sorted.
func (as addressSet) held() (addrs []netip.Addr) {
	for addr, a := range as {
		if a.State().Holds() {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// holds reports whether this node owns the address.
func (as addressSet) holds(addr netip.Addr) bool { return as[addr] != nil && as[addr].State().Holds() }

// foreignHost returns the host that answers for the address and should not, zero if there is none.
func (as addressSet) foreignHost(addr netip.Addr) (h ownership.Host) {
	if a := as[addr]; a != nil {
		h = a.Foreign().Host
	}
	return h
}

// owns reports whether this node has the address and means to keep it.
func (as addressSet) owns(addr netip.Addr) bool {
	return as[addr] != nil && as[addr].State() == ownership.Owner
}

// takenSince returns the addresses that this node took after a time and still has.
func (as addressSet) takenSince(t time.Time) (taken []netip.Addr) {
	for addr, a := range as {
		if a.TookSince(t) {
			taken = append(taken, addr)
		}
	}
	return taken
}

// targets returns the complete set of addresses to answer for and to listen to.
func (as addressSet) targets(placements []placement.Placement) []layer2.Target {
	targets := make([]layer2.Target, 0, len(placements))
	for i := range placements {
		p := &placements[i]
		if p.Reason != reason.Announced {
			continue
		}
		t := layer2.Target{Addr: p.Addr, Interfaces: p.Interfaces, Mode: layer2.Watch}
		if a := as[p.Addr]; a.State().Answers() {
			t.Mode, t.Announced = layer2.Answer, a.Inherited()
		}
		targets = append(targets, t)
	}
	return targets
}

// facts returns the facts about each address, except addresses that simply belong to another node.
func (as addressSet) facts() map[netip.Addr]ownership.Facts {
	facts := map[netip.Addr]ownership.Facts{}
	for addr, a := range as {
		if !a.Idle() {
			facts[addr] = a.Facts()
		}
	}
	return facts
}

// foreign returns the foreign hosts that answer for addresses of Services, sorted.
func (as addressSet) foreign() (list []cluster.Stranger) {
	for addr, a := range as {
		if f := a.Foreign(); f.Known() && f.Node == "" {
			list = append(list, cluster.Stranger{Addr: addr, MAC: f.MAC.String(), Quarantine: f.Quarantine})
		}
	}
	slices.SortFunc(list, cluster.Stranger.Compare)
	return list[:min(len(list), mostForeign)]
}

// next returns the time of the next review of an address, but at most last. The review is due even if nothing happens.
func (as addressSet) next(last time.Time) time.Time {
	for _, a := range as {
		if at := a.Next(); !at.IsZero() && at.Before(last) {
			last = at
		}
	}
	return last
}
