package controller

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

// memory is what the loop knows beyond the snapshot: which addresses were released a short while ago, and which ones
// a write may have given whose result is not known. A restart forgets both.
type memory struct {
	// seen are the Services of the last snapshot, held is who has which address in it.
	seen []*cluster.Service
	held map[netip.Addr]holding
	// rests are ordered by since, then by address.
	rests  []rest
	doubts map[cluster.Key]*doubt
}

// holding is who has an address: the first by Key, and others who share it, sorted.
type holding struct {
	by     cluster.Key
	others []cluster.Key
}

// rest is an address that was given back.
type rest struct {
	addr  netip.Addr
	by    cluster.Key
	since time.Time
}

// doubt is what writes may have given to a Service: those under way, and those whose answer was lost.
type doubt struct {
	// uid and version are of the Service that they were decided on.
	uid, version string
	addrs        []netip.Addr
}

func newMemory() memory {
	return memory{held: map[netip.Addr]holding{}, doubts: map[cluster.Key]*doubt{}}
}

// observe compares a snapshot with the one before: what a Service held and holds no more begins to rest.
func (m *memory) observe(services []*cluster.Service, now time.Time) {
	changed := changes(m.seen, services)
	m.seen = services
	left := make(map[netip.Addr]holding)
	for _, c := range changed {
		for _, addr := range shown(c.was) {
			if _, known := left[addr]; !known {
				left[addr] = m.held[addr]
			}
			m.drop(addr, c.was.Key)
		}
	}
	for _, c := range changed {
		for _, addr := range shown(c.is) {
			m.hold(addr, c.is.Key)
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

// shown returns what a Service has of ours, nothing for nil.
func shown(svc *cluster.Service) []netip.Addr {
	if svc == nil || !svc.Managed && svc.AllocatedFrom == "" {
		return nil
	}
	return svc.Ingress
}

// hold notes that a Service has addr. What there was of it stays as it is: it may be remembered elsewhere.
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

// drop notes that a Service has addr no more.
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

// lasts is true while the Service is still the one that was decided on. A write succeeds on that one only: when the
// snapshot shows another one, it shows with it what became of every such write.
func (d *doubt) lasts(services []*cluster.Service, key cluster.Key) bool {
	i, found := slices.BinarySearchFunc(services, key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	return found && services[i].UID == d.uid && services[i].Version == d.version
}

// doubt notes that u is being written. Until a snapshot shows the result nobody else gets its addresses.
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

// resting forgets what has rested for delay, and returns what others are not to have yet.
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

// expiry returns when the first rest ends, the zero Time if there is none.
func (m *memory) expiry(delay time.Duration) time.Time {
	if len(m.rests) == 0 {
		return time.Time{}
	}
	return m.rests[0].since.Add(delay)
}
