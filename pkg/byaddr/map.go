package byaddr

import (
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
)

// partCount is the number of parts of a Map. A change copies one part, so the cost of a change in a Map with 10,000
// addresses is that of a copy of about 40 entries.
const partCount = 256

// Map maps addresses to values. A Map never changes: an Editor makes the next Map, and both share the parts without a
// change. The zero Map is empty.
type Map[V any] struct {
	parts *[partCount]*part[V] // nil for an empty Map
	count int
}

// part holds the entries of a Map whose addresses have the same hash.
type part[V any] struct{ entries map[netip.Addr]V }

// hash returns the index of the part with the address.
func hash(a netip.Addr) int {
	b := a.As16()
	x := binary.BigEndian.Uint64(b[:8]) ^ binary.BigEndian.Uint64(b[8:])
	return int(x * 0x9e3779b97f4a7c15 >> 56)
}

// Of returns a Map with the entries.
func Of[V any](entries map[netip.Addr]V) Map[V] {
	e := Map[V]{}.Edit()
	for a, v := range entries {
		e.Put(a, v)
	}
	return e.Map()
}

// Get returns the value of an address. ok is false if m lacks the address.
func (m Map[V]) Get(a netip.Addr) (v V, ok bool) {
	if m.parts == nil {
		return v, false
	}
	p := m.parts[hash(a)]
	if p == nil {
		return v, false
	}
	v, ok = p.entries[a]
	return v, ok
}

// Has reports whether m has the address.
func (m Map[V]) Has(a netip.Addr) bool {
	_, ok := m.Get(a)
	return ok
}

// Len returns the number of addresses.
func (m Map[V]) Len() int { return m.count }

// All yields the entries in no order.
func (m Map[V]) All() iter.Seq2[netip.Addr, V] {
	return func(yield func(netip.Addr, V) bool) {
		if m.parts == nil {
			return
		}
		for _, p := range m.parts {
			if p == nil {
				continue
			}
			for a, v := range p.entries {
				if !yield(a, v) {
					return
				}
			}
		}
	}
}

// Values yields the values in no order.
func (m Map[V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range m.All() {
			if !yield(v) {
				return
			}
		}
	}
}

// Lacking returns the addresses of m that o lacks, in no order. The cost is in proportion to the parts that m and o do
// not share.
func (m Map[V]) Lacking(o Map[V]) (addrs []netip.Addr) {
	if m.parts == nil || m.parts == o.parts {
		return nil
	}
	for i, p := range m.parts {
		if p == nil || o.parts != nil && p == o.parts[i] {
			continue
		}
		for a := range p.entries {
			if !o.Has(a) {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}

// Equal reports whether x and y have the same entries. The cost is in proportion to the parts that x and y do not
// share.
func Equal[V comparable](x, y Map[V]) bool {
	if x.parts == y.parts {
		return true
	}
	if x.count != y.count {
		return false
	}
	if x.count == 0 {
		return true
	}
	for i, p := range x.parts {
		if q := y.parts[i]; p != q && !maps.Equal(p.all(), q.all()) {
			return false
		}
	}
	return true
}

func (p *part[V]) all() map[netip.Addr]V {
	if p == nil {
		return nil
	}
	return p.entries
}

// Edit returns an Editor that begins with the entries of m.
func (m Map[V]) Edit() *Editor[V] { return &Editor[V]{m: m} }

// Editor changes the entries of a Map one by one, and returns the result as another Map. One goroutine uses an Editor.
type Editor[V any] struct {
	m Map[V]
	// own marks the parts that belong to the Editor alone; nil before the first change.
	own *[partCount]bool
}

// Get returns the present value of an address. ok is false if there is none.
func (e *Editor[V]) Get(a netip.Addr) (v V, ok bool) { return e.m.Get(a) }

// Put adds or replaces the value of an address.
func (e *Editor[V]) Put(a netip.Addr, v V) {
	entries := e.part(a)
	before := len(entries)
	entries[a] = v
	e.m.count += len(entries) - before
}

// Delete removes an address. Delete does nothing if there is no such address.
func (e *Editor[V]) Delete(a netip.Addr) {
	if e.m.Has(a) {
		delete(e.part(a), a)
		e.m.count--
	}
}

// part returns the entries of the part with the address, as a copy that belongs to the Editor.
func (e *Editor[V]) part(a netip.Addr) map[netip.Addr]V {
	if e.own == nil {
		parts := new([partCount]*part[V])
		if e.m.parts != nil {
			*parts = *e.m.parts
		}
		e.m.parts, e.own = parts, new([partCount]bool)
	}
	i := hash(a)
	if !e.own[i] {
		entries := maps.Clone(e.m.parts[i].all())
		if entries == nil {
			entries = make(map[netip.Addr]V, 1)
		}
		e.m.parts[i], e.own[i] = &part[V]{entries}, true
	}
	return e.m.parts[i].entries
}

// Map returns the entries. Later changes of the Editor do not change the Map.
func (e *Editor[V]) Map() Map[V] {
	e.own = nil
	return e.m
}
