package config

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// addressEntry is one item under addresses.
type addressEntry struct {
	Range
	at    place
	text  string
	owner int // the index of the pool in the document
}

// String returns the text of the entry and its place.
func (e addressEntry) String() string {
	if e.at.pool == "" {
		return fmt.Sprintf("%s on line %d", e.text, e.at.line)
	}
	return fmt.Sprintf("%s of pool %q (line %d)", e.text, e.at.pool, e.at.line)
}

// piece is a part of an entry. entry is the index in builder.entries.
type piece struct {
	Range
	entry int
}

// pool checks a pool and returns the pool. owner is the index of the pool in the document.
func (b *builder) pool(raw rawPool, owner int) Pool {
	pool := Pool{
		Name:          raw.name.v,
		Priority:      int(raw.priority.v),
		AutoAssign:    raw.autoAssign.v,
		AvoidBuggyIPs: raw.avoidBuggyIPs.v,
		Disabled:      raw.disabled.v,
		Namespaces:    b.distinct(raw.namespaces, checkNamespace),
		Quotas:        b.quotas(raw.quota),
		Interfaces:    b.distinct(raw.interfaces, checkInterface),
		Spread:        int(raw.spread.v),

		SeparateNamespaces: !raw.shareAcross.v,
	}
	pool.NamespaceSelectors = b.selectors(raw.namespaceSelectors, "namespaces")
	pool.ServiceSelectors = b.selectors(raw.serviceSelectors, "Services")
	pool.NodeSelectors = b.selectors(raw.nodeSelectors, "nodes")
	pool.PreferredNodes = b.preferences(raw.preferredNodes)
	pool.FromEndpoints = b.oneOfGiven(raw.announceFrom, fromAny, fromEndpoints) == 1
	entries := b.addresses(raw, owner)
	pool.Ranges = b.remaining(raw, entries)
	pool.Reserve = b.reservations(raw.reserve, pool, len(entries) == len(raw.addresses.v))
	if v4, v6 := pool.Size(); pool.AvoidBuggyIPs && len(pool.Ranges) > 0 && v4.Sign() == 0 && v6.Sign() == 0 {
		b.warn(raw.avoidBuggyIPs.at,
			"the pool has no address that does not end in .0 or .255, so none can be taken from it")
	}
	pool.Layer2, pool.BGP = b.protocols(raw)
	b.announcement(raw, &pool, entries)
	return pool
}

// protocols returns the protocols of a pool. Both are false if the protocols are unknown.
func (b *builder) protocols(raw rawPool) (layer2, bgp bool) {
	names := raw.protocols.v
	switch {
	case !raw.protocols.given:
		if b.required(raw.protocol, raw.at, "protocol", "protocol: layer2") {
			names = []value[string]{raw.protocol}
		}
	case raw.protocol.given:
		b.fail(raw.protocols.at, "a pool has protocol or protocols, and not both; remove one of them")
	case raw.protocols.ok && len(names) == 0:
		b.fail(raw.protocols.at, "the list is empty; write layer2, bgp, or both")
	}
	for _, name := range names {
		if !name.ok {
			continue
		}
		protocol := b.oneOf(name, "layer2", "bgp")
		if protocol == 0 && layer2 || protocol == 1 && bgp {
			b.warn(name.at, "%q is in the list twice", name.v)
		}
		layer2, bgp = layer2 || protocol == 0, bgp || protocol == 1
	}
	return layer2, bgp
}

// announcement sets the fields for protocol bgp, and checks that the other keys suit the protocols.
func (b *builder) announcement(raw rawPool, pool *Pool, entries []addressEntry) {
	switch {
	case !pool.BGP && !pool.Layer2: // reported already
	case !pool.BGP:
		const both = "remove the key, or write protocols: [layer2, bgp]"
		if len(raw.advertisements.v) > 0 {
			b.fail(raw.advertisements.at, "the pool has no protocol bgp, and so no BGP advertisements; "+both)
		}
		if raw.spread.given {
			b.fail(raw.spread.at, "the pool has no protocol bgp, and one node alone answers for an address; "+both)
		}
		return
	case !pool.Layer2 && len(pool.Interfaces) > 0:
		b.warn(raw.interfaces.at, "the pool has no protocol layer2, so interfaces make no difference")
	}
	pool.Advertisements = b.advertisements(raw, entries)
	b.checkPreferences(raw, pool)
}

// addresses returns the valid entries under addresses.
func (b *builder) addresses(raw rawPool, owner int) []addressEntry {
	if !raw.addresses.given || raw.addresses.ok && len(raw.addresses.v) == 0 {
		b.fail(raw.at, "addresses is missing or empty; list at least one address, range or CIDR under it")
	}
	var entries []addressEntry
	for _, text := range raw.addresses.v {
		r, ok := b.parsedRange(text)
		if !ok {
			continue
		}
		e := addressEntry{Range: r, at: text.at, text: strings.TrimSpace(text.v), owner: owner}
		if err := checkHosts(e.text, r); err != nil {
			b.fail(text.at, "%s", err)
			continue
		}
		entries = append(entries, e)
	}
	return entries
}

func (b *builder) parsedRange(text value[string]) (Range, bool) {
	if !text.ok {
		return Range{}, false
	}
	r, warning, err := parseRange(text.v)
	if err != nil {
		b.fail(text.at, "%s", err)
		return Range{}, false
	}
	if warning != "" {
		b.warn(text.at, "%s", warning)
	}
	return r, true
}

// remaining returns the addresses of the entries of a pool that exclude does not remove. remaining adds them to
// builder.pieces for checkOverlaps.
func (b *builder) remaining(raw rawPool, entries []addressEntry) []Range {
	first := len(b.entries)
	b.entries = append(b.entries, entries...)
	pieces := make([]piece, len(entries))
	ranges := make([]Range, len(entries))
	for i, e := range entries {
		pieces[i], ranges[i] = piece{e.Range, first + i}, e.Range
	}
	// Report overlaps within the pool here, so that the following steps have disjoint pieces.
	pieces = b.disjoint(pieces)

	holes := b.excluded(raw.exclude, merged(ranges))
	var left []Range
	for _, p := range pieces {
		for _, r := range p.without(holes) {
			b.pieces = append(b.pieces, piece{r, p.entry})
			left = append(left, r)
		}
	}
	if len(entries) == len(raw.addresses.v) && len(pieces) > 0 && len(left) == 0 {
		b.fail(raw.exclude.at, "exclude takes out every address of the pool; leave at least one")
	}
	return merged(left)
}

// excluded returns the ranges under exclude, and warns of each range entirely outside of ranges. ranges is ascending
// and disjoint.
func (b *builder) excluded(exclude value[[]value[string]], ranges []Range) []Range {
	var holes []Range
	for _, text := range exclude.v {
		hole, ok := b.parsedRange(text)
		if !ok {
			continue
		}
		if left := hole.without(ranges); len(left) == 1 && left[0] == hole {
			b.warn(text.at, "%s is not in the pool, so there is nothing to exclude", strings.TrimSpace(text.v))
			continue
		}
		holes = append(holes, hole)
	}
	return merged(holes)
}

// checkOverlaps reports the addresses that are in several pools.
func (b *builder) checkOverlaps() { b.disjoint(b.pieces) }

// disjoint reports the pieces with addresses in common, and returns the pieces without the common addresses, ascending.
// disjoint examines each piece once: some pairs of overlapping pieces are not reported, but every overlapping piece is
// in a report.
func (b *builder) disjoint(pieces []piece) []piece {
	slices.SortFunc(pieces, func(x, y piece) int { return cmp.Or(x.From.Compare(y.From), x.entry-y.entry) })
	type pair struct{ earlier, later int }
	var pairs []pair
	shared := map[pair][]string{}
	var out []piece
	for _, p := range pieces {
		if len(out) == 0 || !p.overlaps(out[len(out)-1].Range) {
			out = append(out, p)
			continue
		}
		last := out[len(out)-1]
		common := Range{p.From, p.To}
		if last.To.Less(p.To) {
			common.To = last.To
			p.From = last.To.Next()
			out = append(out, p)
		}
		both := pair{min(p.entry, last.entry), max(p.entry, last.entry)}
		if shared[both] == nil {
			pairs = append(pairs, both)
		}
		shared[both] = append(shared[both], common.String())
	}
	for _, both := range pairs {
		earlier, later := b.entries[both.earlier], b.entries[both.later]
		if earlier.Range == later.Range {
			b.fail(later.at, "%s is the same as %s; remove one of them", later.text, earlier)
		} else {
			b.fail(later.at, "%s overlaps %s; take %s out of one of them", later.text, earlier, enumerate(shared[both]))
		}
	}
	return out
}

// enumerate returns the first three texts and the number of the others.
func enumerate(texts []string) string {
	if more := len(texts) - 3; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:3], ", "), more)
	}
	return strings.Join(texts, ", ")
}

func checkInterface(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q is not a valid pattern; write one like eth0, eth* or en[op]*", pattern)
	}
	if pattern == "" || strings.ContainsAny(pattern, "/: \t\r\n") {
		return fmt.Errorf("%q cannot be the name of an interface; write one like eth0, or a pattern like eth*", pattern)
	}
	if !strings.ContainsAny(pattern, `*?[\`) && len(pattern) > 15 {
		return fmt.Errorf("%q cannot be the name of an interface: those have at most 15 characters", pattern)
	}
	return nil
}
