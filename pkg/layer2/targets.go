package layer2

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

// targetSet holds the targets by address, for readers that never wait, and the addresses that the loop has not applied
// yet.
type targetSet struct {
	now atomic.Pointer[byaddr.Map[Target]]

	mu      sync.Mutex // guards changed, and the changes of now
	changed []netip.Addr
}

func newTargetSet() (s *targetSet) {
	s = &targetSet{}
	s.now.Store(&byaddr.Map[Target]{})
	return s
}

// load returns the targets.
func (s *targetSet) load() byaddr.Map[Target] { return *s.now.Load() }

// take returns the targets, and the addresses that have changed since the last call, some maybe twice.
func (s *targetSet) take() (targets byaddr.Map[Target], changed []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, s.changed = s.changed, nil
	return s.load(), changed
}

// replace makes the normalized list the whole set.
func (s *targetSet) replace(list []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []netip.Addr
	for addr := range s.load().All() {
		if _, stays := find(list, addr); !stays {
			gone = append(gone, addr)
		}
	}
	s.edit(list, gone)
}

// change adds or replaces the targets of the normalized list, and removes the addresses in gone.
func (s *targetSet) change(list []Target, gone []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edit(list, gone)
}

// edit implements replace and change. The caller holds s.mu.
func (s *targetSet) edit(list []Target, gone []netip.Addr) {
	e := s.load().Edit()
	for _, t := range list {
		if was, known := e.Get(t.Addr); !known || !was.equal(t) {
			e.Put(t.Addr, t)
			s.changed = append(s.changed, t.Addr)
		}
	}
	for _, addr := range gone {
		if _, known := e.Get(addr); known {
			e.Delete(addr)
			s.changed = append(s.changed, addr)
		}
	}
	s.now.Store(new(e.Map()))
}

// find returns the target with an address from a normalized list.
func find(list []Target, addr netip.Addr) (t Target, found bool) {
	i, found := slices.BinarySearchFunc(list, addr, func(t Target, addr netip.Addr) int { return t.Addr.Compare(addr) })
	if found {
		t = list[i]
	}
	return t, found
}

// answers reports whether the set has addr in Mode Answer.
func answers(targets byaddr.Map[Target], addr netip.Addr) bool {
	t, found := targets.Get(addr)
	return found && t.Mode == Answer
}

// inherited returns those of the changed addresses that are Announced, and that old did not answer for.
func inherited(old, next byaddr.Map[Target], changed []netip.Addr) map[netip.Addr]struct{} {
	var found map[netip.Addr]struct{}
	for _, addr := range changed {
		if t, _ := next.Get(addr); t.Announced && !answers(old, addr) {
			if found == nil {
				found = make(map[netip.Addr]struct{})
			}
			found[addr] = struct{}{}
		}
	}
	return found
}

// draft is the next table of a port.
type draft struct {
	*table
	// old is the table of the port, nil for a new port. inherited has the addresses that need no first announcement.
	old       *table
	inherited map[netip.Addr]struct{}

	known                    *byaddr.Editor[Mode]
	addrs, announced, kernel *byaddr.Editor[struct{}]
}

// newDraft returns a draft that begins with the table t, which belongs to the draft.
func newDraft(t, old *table, inherited map[netip.Addr]struct{}) *draft {
	return &draft{
		table: t, old: old, inherited: inherited,
		known: t.known.Edit(), addrs: t.addrs.Edit(), announced: t.announced.Edit(), kernel: t.kernel.Edit(),
	}
}

// assign puts an address into the table.
func (d *draft) assign(addr netip.Addr, mode Mode) {
	if was, known := d.known.Get(addr); !known || was != mode {
		d.known.Put(addr, mode)
	}
	answers := mode == Answer
	include(d.addrs, addr, answers)
	// The addresses recorded in the old table need no first announcement either: the port may not have processed the
	// old table yet.
	_, announced := d.inherited[addr]
	include(d.announced, addr, answers && (announced || d.old != nil && d.old.announced.Has(addr)))
	_, local := slices.BinarySearchFunc(d.Local, addr, netip.Addr.Compare)
	include(d.kernel, addr, answers && local)
}

// drop removes an address from the table.
func (d *draft) drop(addr netip.Addr) {
	d.known.Delete(addr)
	d.addrs.Delete(addr)
	d.announced.Delete(addr)
	d.kernel.Delete(addr)
}

// include adds an address to a set, or removes the address.
func include(set *byaddr.Editor[struct{}], addr netip.Addr, is bool) {
	if _, has := set.Get(addr); is && !has {
		set.Put(addr, struct{}{})
	} else if !is && has {
		set.Delete(addr)
	}
}

// finish returns the table.
func (d *draft) finish() *table {
	t := d.table
	t.known, t.addrs, t.announced, t.kernel = d.known.Map(), d.addrs.Map(), d.announced.Map(), d.kernel.Map()
	return t
}
