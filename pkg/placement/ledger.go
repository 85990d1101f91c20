package placement

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/byaddr"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Ledger is an incremental planner: its method Decide returns the same placements as the function Decide, but places
// only the addresses of the Services that have changed. When anything but the Services changes, the Ledger places all
// addresses. The zero Ledger is ready for use, by one goroutine.
type Ledger struct {
	// snap and ready are the inputs of the last decision. nodes is nil before the first decision.
	snap  cluster.Snapshot
	ready []membership.Member
	nodes *Nodes
	// own has the Services of the snapshot, and others those of snap.AnnounceOnly.
	own, others holders
	placements  []*Placement
}

// holders maps each address to the Services with the address, sorted by Key. services are the Services of all
// addresses.
type holders struct {
	services []*cluster.Service
	byAddr   map[netip.Addr][]*cluster.Service
}

// Decide returns a placement for every address of a managed Service, sorted by address; see the function Decide. An
// unchanged placement stays the same pointer. touched lists, sorted, at least the addresses whose placement or Services
// have changed since the last decision. The caller must not change the lists.
func (l *Ledger) Decide(snap cluster.Snapshot, ready []membership.Member) (
	placements []*Placement, touched []netip.Addr) {
	addrs := map[netip.Addr]struct{}{}
	l.own.update(snap.Services, addrs)
	l.others.update(snap.AnnounceOnly(), addrs)
	if l.nodes == nil || !l.sameGround(&snap, ready) {
		l.nodes = NewNodes(snap, ready)
		maps.Copy(addrs, l.own.addrs())
		maps.Copy(addrs, l.others.addrs())
	}
	l.snap, l.ready = snap, ready
	touched = slices.SortedFunc(maps.Keys(addrs), netip.Addr.Compare)
	l.place(touched)
	return l.placements, touched
}

// Services returns all Services that have an address by the last decision, also Services whose addresses no speaker
// announces. The caller must not change the list, and must not keep the list beyond the next decision.
func (l *Ledger) Services(a netip.Addr) []*cluster.Service {
	own, others := l.own.byAddr[a], l.others.byAddr[a]
	if len(others) == 0 {
		return own
	}
	return slices.Concat(own, others)
}

// sameGround reports whether the inputs of the last decision were the same but for the Services.
func (l *Ledger) sameGround(snap *cluster.Snapshot, ready []membership.Member) bool {
	return l.snap.Config == snap.Config && cluster.SameList(l.snap.Nodes, snap.Nodes) &&
		slices.EqualFunc(l.ready, ready, alike)
}

// alike reports whether two ready members are equal in all inputs of NewNodes.
func alike(x, y membership.Member) bool {
	return x.Name == y.Name && x.Configured == y.Configured && x.Since.IsZero() == y.Since.IsZero() &&
		slices.EqualFunc(x.Links, y.Links, func(x, y membership.Link) bool {
			return x.Name == y.Name && slices.Equal(x.Subnets, y.Subnets)
		})
}

// update takes over a new list of Services, and adds the addresses of the changed Services to touched.
func (h *holders) update(services []*cluster.Service, touched map[netip.Addr]struct{}) {
	if h.byAddr == nil {
		h.byAddr = make(map[netip.Addr][]*cluster.Service, len(services))
	}
	changes := cluster.Changes(h.services, services)
	h.services = services
	for _, c := range changes {
		if c.Was == nil {
			continue
		}
		for _, a := range c.Was.Ingress {
			touched[a] = struct{}{}
			h.byAddr[a] = slices.DeleteFunc(h.byAddr[a], func(s *cluster.Service) bool { return s == c.Was })
			if len(h.byAddr[a]) == 0 {
				delete(h.byAddr, a)
			}
		}
	}
	for _, c := range changes {
		if c.Is == nil {
			continue
		}
		for _, a := range c.Is.Ingress {
			touched[a] = struct{}{}
			i, _ := slices.BinarySearchFunc(h.byAddr[a], c.Is.Key,
				func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
			h.byAddr[a] = slices.Insert(h.byAddr[a], i, c.Is)
		}
	}
}

// addrs returns the addresses as a set.
func (h *holders) addrs() map[netip.Addr]struct{} {
	set := make(map[netip.Addr]struct{}, len(h.byAddr))
	for a := range h.byAddr {
		set[a] = struct{}{}
	}
	return set
}

// place places the addresses, which are sorted, anew.
func (l *Ledger) place(addrs []netip.Addr) {
	changes := make([]byaddr.Change[*Placement], 0, len(addrs))
	for _, a := range addrs {
		was, is := Find(l.placements, a), l.placement(a)
		switch {
		case was == nil && is == nil, was != nil && is != nil && was.equal(is):
		default:
			changes = append(changes, byaddr.Change[*Placement]{Addr: a, Item: is, Gone: is == nil})
		}
	}
	l.placements = byaddr.Patch(l.placements, changes, func(p *Placement) netip.Addr { return p.Addr })
}

// placement returns the placement of an address, nil for none.
func (l *Ledger) placement(a netip.Addr) *Placement {
	silent := func(s *cluster.Service) bool { return !isAnnounceable(s) }
	services := slices.DeleteFunc(slices.Clone(l.own.byAddr[a]), silent)
	services = append(services, l.others.byAddr[a]...)
	if len(services) == 0 {
		return nil
	}
	return l.nodes.decide(&l.snap, a, Holders(services))
}

// equal reports whether two placements are equal.
func (p *Placement) equal(o *Placement) bool {
	return p.Addr == o.Addr && slices.Equal(p.Services, o.Services) && p.Reason == o.Reason && p.Owner == o.Owner &&
		p.Preferred == o.Preferred && p.NearEndpoint == o.NearEndpoint && slices.Equal(p.Interfaces, o.Interfaces) &&
		p.Everywhere == o.Everywhere && p.Detail == o.Detail && slices.Equal(p.candidates, o.candidates)
}
