package controller

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

// memory holds what the loop knows beyond the snapshot: the addresses that were released a short while ago, and the
// addresses of writes with an unknown result. A restart loses both.
type memory struct {
	// seen holds the Services of the last snapshot. held maps each address in that snapshot to the Services that have
	// the address.
	seen []*cluster.Service
	held map[netip.Addr]holding
	// rests is ordered by since, then by address.
	rests  []rest
	doubts map[cluster.Key]*doubt
}

// holding lists the Services that have an address: by is the first Service by Key, and others holds the Services that
// share the address, sorted.
type holding struct {
	by     cluster.Key
	others []cluster.Key
}

// rest is the cool-down of a released address.
type rest struct {
	addr  netip.Addr
	by    cluster.Key
	since time.Time
}

// doubt holds the addresses that a Service may have from writes in progress, or from writes with a lost answer.
type doubt struct {
	// uid and version identify the Service that the writes were decided for.
	uid, version string
	addrs        []netip.Addr
}

func newMemory() memory {
	return memory{held: map[netip.Addr]holding{}, doubts: map[cluster.Key]*doubt{}}
}

// observe compares a snapshot with the previous snapshot, and begins a cool-down for each address that no Service has
// any longer.
func (m *memory) observe(services []*cluster.Service, now time.Time) {
	changed := cluster.Changes(m.seen, services)
	m.seen = services
	left := make(map[netip.Addr]holding)
	for _, c := range changed {
		for _, addr := range shown(c.Was) {
			if _, known := left[addr]; !known {
				left[addr] = m.held[addr]
			}
			m.drop(addr, c.Was.Key)
		}
	}
	for _, c := range changed {
		for _, addr := range shown(c.Is) {
			m.hold(addr, c.Is.Key)
		}
	}
	m.rests = slices.DeleteFunc(m.rests, func(r rest) bool {
		_, taken := m.held[r.addr]
		return taken
	})
	known := len(m.rests)
	for addr, h := range left {
		if _, taken := m.held[addr]; taken {
			continue
		}
		m.rests = append(m.rests, rest{addr, h.by, now})
		for _, other := range h.others {
			m.rests = append(m.rests, rest{addr, other, now})
		}
	}
	slices.SortFunc(m.rests[known:], func(x, y rest) int { return cmp.Or(x.addr.Compare(y.addr), x.by.Compare(y.by)) })
	for key, d := range m.doubts {
		if !d.lasts(services, key) {
			delete(m.doubts, key)
		}
	}
}

// shown returns the addresses of Lanlord in the status of a Service; none for a nil Service.
func shown(svc *cluster.Service) []netip.Addr {
	if svc == nil || !svc.Managed && svc.AllocatedFrom == "" {
		return nil
	}
	return svc.Ingress
}

// hold records that a Service has addr. hold does not change the slice of the old holding, because a copy of that
// holding may share the slice.
func (m *memory) hold(addr netip.Addr, key cluster.Key) {
	h, ok := m.held[addr]
	switch {
	case !ok:
		h.by = key
	case h.by == key || slices.Contains(h.others, key):
		return
	default:
		all := append(append(make([]cluster.Key, 0, len(h.others)+2), h.by), h.others...)
		all = append(all, key)
		slices.SortFunc(all, cluster.Key.Compare)
		h = holding{all[0], all[1:]}
	}
	m.held[addr] = h
}

// drop records that a Service no longer has addr.
func (m *memory) drop(addr netip.Addr, key cluster.Key) {
	h, ok := m.held[addr]
	switch {
	case !ok:
		return
	case h.by != key:
		h.others = slices.DeleteFunc(slices.Clone(h.others), func(k cluster.Key) bool { return k == key })
	case len(h.others) == 0:
		delete(m.held, addr)
		return
	default:
		h = holding{h.others[0], h.others[1:]}
	}
	m.held[addr] = h
}

// lasts reports whether the snapshot still shows the version of the Service that the writes were decided for. A write
// succeeds only on that version. A snapshot with another version therefore shows the outcome of all these writes.
func (d *doubt) lasts(services []*cluster.Service, key cluster.Key) bool {
	i, found := slices.BinarySearchFunc(services, key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	return found && services[i].UID == d.uid && services[i].Version == d.version
}

// doubt records that u is being written. Until a snapshot shows the result, only Services that may share the addresses
// of u can get these addresses.
func (m *memory) doubt(u cluster.Update) {
	d := m.doubts[u.Key]
	if d == nil || d.uid != u.UID || d.version != u.Version {
		d = &doubt{uid: u.UID, version: u.Version}
		m.doubts[u.Key] = d
	}
	for _, addr := range u.Ingress {
		if !slices.Contains(d.addrs, addr) {
			d.addrs = append(d.addrs, addr)
		}
	}
}

// resting ends each cool-down that has lasted for delay. resting returns the addresses in cool-down, and then the
// addresses of writes with an unknown result.
func (m *memory) resting(now time.Time, delay time.Duration) []allocator.Rest {
	m.rests = slices.DeleteFunc(m.rests, func(r rest) bool { return now.Sub(r.since) >= delay })
	resting := make([]allocator.Rest, 0, len(m.rests)+len(m.doubts))
	for _, r := range m.rests {
		resting = append(resting, allocator.Rest{Addr: r.addr, Holder: r.by})
	}
	sure := len(resting)
	for key, d := range m.doubts {
		for _, addr := range d.addrs {
			resting = append(resting, allocator.Rest{Addr: addr, Holder: key, Firm: true})
		}
	}
	slices.SortFunc(resting[sure:], func(x, y allocator.Rest) int { return cmp.Or(x.Addr.Compare(y.Addr), x.Holder.Compare(y.Holder)) })
	return resting
}

// expiry returns the end of the first cool-down, or the zero Time if there is none.
func (m *memory) expiry(delay time.Duration) time.Time {
	if len(m.rests) == 0 {
		return time.Time{}
	}
	return m.rests[0].since.Add(delay)
}
