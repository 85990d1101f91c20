package session

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// attributes are encoded path attributes of a family, which many routes share. Those of one session with the same bytes
// are the same pointer.
type attributes struct {
	family wire.Family
	bytes  []byte
	// order is the order in which they are sent.
	order int
	// used is the round in which a route last had them.
	used int
}

// entry is a prefix of an established session.
type entry struct {
	prefix netip.Prefix
	// want holds the attributes to announce, and sent the attributes of the last announcement; nil for no route.
	want, sent *attributes
	// kept is true for a route of the previous process that was not in SetRoutes yet.
	kept bool
}

// table holds the routes to announce and, for an established session, the routes that the router has.
type table struct {
	// routes are sorted by prefix. ready is the value in SetRoutes.
	routes []Route
	ready  bool
	// entries are sorted by prefix; nil while no session is established.
	entries []entry
	// known finds attributes by the fields of a route. restored holds the attributes of the previous process, which
	// known may lack.
	known    map[string]*attributes
	restored []*attributes
	// queue are the indexes of the entries to send, in the order of sending; those before head are sent.
	queue []int32
	head  int
	// next is the order of the next new attributes, round the number of the current merge.
	next, round int
	scratch     []byte

	announced, wanted [wire.FamilyCount]int
	tooLarge          int
}

// set replaces the routes, and returns false when nothing is different at first sight.
func (t *table) set(routes []Route, ready bool) bool {
	if ready == t.ready && len(routes) == len(t.routes) && (len(routes) == 0 || &routes[0] == &t.routes[0]) {
		return false
	}
	byPrefix := func(a, b Route) int { return a.Prefix.Compare(b.Prefix) }
	for i := 1; i < len(routes); i++ {
		if byPrefix(routes[i-1], routes[i]) >= 0 {
			routes = slices.Clone(routes)
			slices.SortStableFunc(routes, byPrefix)
			routes = slices.CompactFunc(routes, func(a, b Route) bool { return a.Prefix == b.Prefix })
			break
		}
	}
	t.routes, t.ready = routes, ready
	t.wanted = [wire.FamilyCount]int{}
	for i := range routes {
		t.wanted[wire.FamilyOf(routes[i].Prefix.Addr())]++
	}
	return true
}

// forget drops what the router was told.
func (t *table) forget() {
	t.entries, t.known, t.restored, t.queue, t.head, t.tooLarge = nil, nil, nil, nil, 0, 0
	t.announced = [wire.FamilyCount]int{}
}

// merge brings the entries up to date with the routes, and queues the difference.
func (t *table) merge(e *wire.Encoding) {
	t.round++
	t.tooLarge = 0
	if t.known == nil {
		t.known = map[string]*attributes{}
	}
	same := len(t.entries) == len(t.routes)
	for i := 0; same && i < len(t.routes); i++ {
		same = t.entries[i].prefix == t.routes[i].Prefix
	}
	if same {
		for i := range t.entries {
			t.entries[i].want, t.entries[i].kept = t.lookup(&t.routes[i], e), false
		}
	} else {
		t.rebuild(e)
	}
	t.enqueue()
	t.prune()
}

// rebuild merges two sorted lists: the entries and the routes.
func (t *table) rebuild(e *wire.Encoding) {
	merged := make([]entry, 0, max(len(t.routes), len(t.entries)))
	old := t.entries
	leave := func(x entry) {
		if !x.kept || t.ready {
			x.want = nil
		}
		if x.sent != nil {
			merged = append(merged, x)
		}
	}
	for i := range t.routes {
		r := &t.routes[i]
		for len(old) > 0 && old[0].prefix.Compare(r.Prefix) < 0 {
			leave(old[0])
			old = old[1:]
		}
		next := entry{prefix: r.Prefix, want: t.lookup(r, e)}
		if len(old) > 0 && old[0].prefix == r.Prefix {
			next.sent = old[0].sent
			old = old[1:]
		}
		merged = append(merged, next)
	}
	for _, x := range old {
		leave(x)
	}
	t.entries = merged
}

// lookup returns the attributes of a route; nil when the session cannot carry the route.
func (t *table) lookup(r *Route, e *wire.Encoding) *attributes {
	f := wire.FamilyOf(r.Prefix.Addr())
	if !e.NextHop[f].IsValid() {
		return nil
	}
	t.scratch = appendKey(t.scratch[:0], r, f, e.External)
	a := t.known[string(t.scratch)]
	if a == nil {
		bytes, err := e.Attributes(r, f)
		if err != nil {
			t.tooLarge++
			return nil
		}
		if a = t.find(f, bytes); a == nil {
			a = &attributes{family: f, bytes: bytes, order: t.next}
			t.next++
		}
		t.known[string(t.scratch)] = a
	}
	a.used = t.round
	return a
}

// find looks for attributes of the previous process.
func (t *table) find(f wire.Family, bytes []byte) *attributes {
	for _, a := range t.restored {
		if a.family == f && slices.Equal(a.bytes, bytes) {
			return a
		}
	}
	return nil
}

// appendKey appends all fields of a route that its attributes depend on.
func appendKey(b []byte, r *Route, f wire.Family, external bool) []byte {
	b = append(b, byte(f), 0)
	if r.HasMED {
		b[1] = 1
		b = binary.BigEndian.AppendUint32(b, r.MED)
	}
	if external {
		b = binary.BigEndian.AppendUint32(b, uint32(r.Prepend))
	} else {
		b = binary.BigEndian.AppendUint32(b, r.LocalPref)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Communities)))
	for _, c := range r.Communities {
		b = binary.BigEndian.AppendUint32(b, c)
	}
	for _, c := range r.LargeCommunities {
		for _, part := range c {
			b = binary.BigEndian.AppendUint32(b, part)
		}
	}
	return b
}

// enqueue queues all entries that the router has differently. Announcements come before withdrawals, so that the router
// has a prefix before the prefix that it replaces goes. Routes with the same attributes come together.
func (t *table) enqueue() {
	t.queue, t.head = t.queue[:0], 0
	for i := range t.entries {
		x := &t.entries[i]
		if x.want != x.sent {
			t.queue = append(t.queue, int32(i))
		}
		if x.sent != nil {
			x.sent.used = t.round
		}
	}
	key := func(x *entry) int {
		if x.want == nil {
			return t.next + int(wire.FamilyOf(x.prefix.Addr()))
		}
		return x.want.order
	}
	slices.SortFunc(t.queue, func(a, b int32) int {
		return cmp.Or(cmp.Compare(key(&t.entries[a]), key(&t.entries[b])), cmp.Compare(a, b))
	})
	if len(t.queue) == 0 {
		t.queue = nil
	}
}

// prune forgets attributes that no entry has, once they are many.
func (t *table) prune() {
	unused := 0
	for _, a := range t.known {
		if a.used != t.round {
			unused++
		}
	}
	if unused <= 16+len(t.known)/2 {
		return
	}
	for key, a := range t.known {
		if a.used != t.round {
			delete(t.known, key)
		}
	}
}

// refresh queues all routes of a family again (RFC 2918).
func (t *table) refresh(f wire.Family) {
	again := &attributes{family: f} // unlike all others, so that the routes are sent
	for i := range t.entries {
		if x := &t.entries[i]; x.sent != nil && wire.FamilyOf(x.prefix.Addr()) == f {
			x.sent = again
		}
	}
	t.enqueue()
}

// complete tells whether the router was told all routes of a set that is Ready.
func (t *table) complete() bool { return t.ready && t.head == len(t.queue) }

// fill appends UPDATE messages while they fit into SendSize, and returns their number.
func (t *table) fill(b []byte, e *wire.Encoding) ([]byte, int) {
	updates := 0
	if b == nil && t.head < len(t.queue) {
		b = make([]byte, 0, min(SendSize, 512+20*(len(t.queue)-t.head)))
	}
	for t.head < len(t.queue) && len(b)+wire.MaxLen <= SendSize-64 {
		b = t.update(b, e)
		updates++
	}
	if t.head == len(t.queue) {
		t.queue, t.head = nil, 0
	}
	return b, updates
}

// update appends one message with as many of the queue's next entries as have the same attributes and fit.
func (t *table) update(b []byte, e *wire.Encoding) []byte {
	first := &t.entries[t.queue[t.head]]
	want, f := first.want, wire.FamilyOf(first.prefix.Addr())
	var u wire.Update
	if want == nil {
		u = e.Withdraw(b, f)
	} else {
		u = e.Announce(b, f, want.bytes)
	}
	for ; t.head < len(t.queue); t.head++ {
		x := &t.entries[t.queue[t.head]]
		if x.want != want || wire.FamilyOf(x.prefix.Addr()) != f || !u.Add(x.prefix) {
			break
		}
		switch {
		case want == nil:
			t.announced[f]--
		case x.sent == nil:
			t.announced[f]++
		}
		x.sent = want
	}
	return u.End()
}
