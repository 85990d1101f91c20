package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/byaddr"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// addressSet holds the addresses of Services, and former addresses that the loop must still remember.
//
// A round reviews only the open addresses. An address at rest (see ownership.Address.AtRest) is closed after a review
// with unchanged inputs, because another review would do nothing.
type addressSet struct {
	byAddr map[netip.Addr]*ownership.Address
	open   map[netip.Addr]*ownership.Address
	// stepped has the addresses that were stepped since the last call of settle.
	stepped map[netip.Addr]struct{}
	// held lists the owned addresses, sorted. facts has the facts on each address, except addresses that simply belong
	// to another node. Both are as of the last call of settle, and statuses share both.
	held  []netip.Addr
	facts byaddr.Map[ownership.Facts]
	// lastDefense is the time of the last answer to claims of foreign hosts.
	lastDefense time.Time
}

// inherit returns the addresses that the previous process announced.
func inherit(addrs []netip.Addr) *addressSet {
	as := &addressSet{
		byAddr: map[netip.Addr]*ownership.Address{}, open: map[netip.Addr]*ownership.Address{},
		stepped: map[netip.Addr]struct{}{},
	}
	for _, addr := range addrs {
		as.byAddr[addr] = ownership.Inherit(addr)
		as.note(as.byAddr[addr])
	}
	as.settle(nil)
	return as
}

// note opens an address that is stepped.
func (as *addressSet) note(a *ownership.Address) { as.open[a.Addr], as.stepped[a.Addr] = a, struct{}{} }

// defended records an answer to claims of foreign hosts.
func (as *addressSet) defended(now time.Time) { as.lastDefense = now }

// reopen opens the addresses, and adds missing addresses with a placement.
func (as *addressSet) reopen(addrs []netip.Addr, placements []*placement.Placement) {
	for _, addr := range addrs {
		a := as.byAddr[addr]
		if a == nil && placement.Find(placements, addr) == nil {
			continue
		}
		if a == nil {
			a = ownership.New(addr)
			as.byAddr[addr] = a
		}
		as.open[addr] = a
	}
}

// reopenAll opens all addresses.
func (as *addressSet) reopenAll() { maps.Copy(as.open, as.byAddr) }

// forget removes open addresses without a Service and without any state to keep.
func (as *addressSet) forget(placements []*placement.Placement) {
	for addr, a := range as.open {
		if a.Idle() && placement.Find(placements, addr) == nil {
			delete(as.byAddr, addr)
			delete(as.open, addr)
			as.stepped[addr] = struct{}{}
		}
	}
}

// close closes the addresses at rest. The touched addresses stay open, because the previous owner is an input too, and
// may be another node in the next round.
func (as *addressSet) close(touched []netip.Addr) {
	for addr, a := range as.open {
		if _, is := slices.BinarySearchFunc(touched, addr, netip.Addr.Compare); !is && a.AtRest() {
			delete(as.open, addr)
		}
	}
}

// settle updates held and facts. Of the stepped addresses, settle returns the targets to answer for or to listen to,
// and the addresses that are no targets.
func (as *addressSet) settle(placements []*placement.Placement) (put []layer2.Target, gone []netip.Addr) {
	var changes []byaddr.Change[netip.Addr]
	facts := as.facts.Edit()
	for _, addr := range slices.SortedFunc(maps.Keys(as.stepped), netip.Addr.Compare) {
		a := as.byAddr[addr]
		if _, was := slices.BinarySearchFunc(as.held, addr, netip.Addr.Compare); was != as.holds(addr) {
			changes = append(changes, byaddr.Change[netip.Addr]{Addr: addr, Item: addr, Gone: was})
		}
		if a == nil || a.Idle() {
			facts.Delete(addr)
		} else if was, known := facts.Get(addr); !known || was != a.Facts() {
			facts.Put(addr, a.Facts())
		}
		if p := placement.Find(placements, addr); p != nil && p.Reason == reason.Announced {
			put = append(put, target(p, a))
		} else {
			gone = append(gone, addr)
		}
	}
	as.held = byaddr.Patch(as.held, changes, func(a netip.Addr) netip.Addr { return a })
	as.facts = facts.Map()
	clear(as.stepped)
	return put, gone
}

// target returns the target for an address that some node should announce.
func target(p *placement.Placement, a *ownership.Address) layer2.Target {
	t := layer2.Target{Addr: p.Addr, Interfaces: p.Interfaces, Mode: layer2.Watch}
	if a.State().Answers() {
		t.Mode, t.Announced = layer2.Answer, a.Inherited()
	}
	return t
}

// holds reports whether this node owns the address.
func (as *addressSet) holds(addr netip.Addr) bool {
	return as.byAddr[addr] != nil && as.byAddr[addr].State().Holds()
}

// foreignHost returns the host that answers for the address and should not, zero if there is none.
func (as *addressSet) foreignHost(addr netip.Addr) (h ownership.Host) {
	if a := as.byAddr[addr]; a != nil {
		h = a.Foreign().Host
	}
	return h
}

// owns reports whether this node has the address and means to keep it.
func (as *addressSet) owns(addr netip.Addr) bool {
	return as.byAddr[addr] != nil && as.byAddr[addr].State() == ownership.Owner
}

// takenSince returns the addresses that this node took after a time and still has.
func (as *addressSet) takenSince(t time.Time) (taken []netip.Addr) {
	for addr, a := range as.byAddr {
		if a.TookSince(t) {
			taken = append(taken, addr)
		}
	}
	return taken
}

// foreign returns the foreign hosts that answer for addresses of Services, sorted. An address with such a host is open.
func (as *addressSet) foreign() (list []cluster.Stranger) {
	for addr, a := range as.open {
		if f := a.Foreign(); f.Known() && f.Node == "" {
			list = append(list, cluster.Stranger{Addr: addr, MAC: f.MAC.String(), Quarantine: f.Quarantine})
		}
	}
	slices.SortFunc(list, cluster.Stranger.Compare)
	return list[:min(len(list), mostForeign)]
}

// next returns the time of the next review of an open address, but at most last. The review is due even if nothing
// happens.
func (as *addressSet) next(last time.Time) time.Time {
	for _, a := range as.open {
		if at := a.Next(); !at.IsZero() && at.Before(last) {
			last = at
		}
	}
	return last
}
