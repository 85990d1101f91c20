package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// community is a standard or a large BGP community.
type community struct {
	standard uint32
	large    LargeCommunity
	isLarge  bool
}

// setCommunities sets the names under bgp-communities. The map also gets the name of an invalid community. Then only
// the community is reported, and not each use of the name.
func (b *builder) setCommunities(aliases value[[]entry]) {
	b.communities = map[string]community{}
	for _, alias := range aliases.v {
		var c community
		if alias.text.ok || !alias.text.given {
			c = b.community(alias.text)
		}
		b.communities[alias.name] = c
	}
}

// community parses a community: two 16-bit numbers (RFC 1997), or three 32-bit numbers (RFC 8092).
func (b *builder) community(text value[string]) community {
	parts := strings.Split(text.v, ":")
	if len(parts) < 2 || len(parts) > 3 {
		b.fail(text.at,
			"%q is no BGP community; write two numbers like 65000:100, or three for a large community", text.v)
		return community{}
	}
	bits := map[int]int{2: 16, 3: 32}[len(parts)]
	var numbers LargeCommunity
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, bits)
		if err != nil {
			b.fail(text.at, "%q is no BGP community: its %s part must be a number from 0 to %d", text.v,
				[...]string{"first", "second", "third"}[i], uint64(1)<<bits-1)
		}
		numbers[i] = uint32(n)
	}
	if len(parts) == 3 {
		return community{large: numbers, isLarge: true}
	}
	return community{standard: numbers[0]<<16 | numbers[1]}
}

// setProfiles sets the entries of bfd-profiles. The reader has already checked the numbers in a profile.
func (b *builder) setProfiles(profiles value[[]rawProfile]) {
	b.profiles = map[string]*BFDProfile{}
	names := map[string]place{}
	for _, p := range profiles.v {
		b.checkName(p.name, p.at, "BFD profile", names)
		if p.echoMode.v {
			b.warn(p.echoMode.at, "echo packets are not supported; the session uses control packets alone")
		}
		b.profiles[p.name.v] = &BFDProfile{
			Name:             p.name.v,
			ReceiveInterval:  milliseconds(p.receive.v),
			TransmitInterval: milliseconds(p.transmit.v),
			DetectMultiplier: int(p.multiplier.v),
			Passive:          p.passive.v,
			MinimumTTL:       int(p.minimumTTL.v),
		}
	}
}

// advertisements returns the advertisements of a pool with protocol bgp and the given entries, at least one
// advertisement.
func (b *builder) advertisements(raw rawPool, entries []addressEntry) []Advertisement {
	narrowest4, narrowest6 := narrowest(entries, 32), narrowest(entries, 128)
	var all []Advertisement
	seen := map[string]place{}
	for _, a := range raw.advertisements.v {
		b.checkAggregation(a.length4, a.at.key("aggregation-length", a.at.line), narrowest4)
		b.checkAggregation(a.length6, a.at.key("aggregation-length-v6", a.at.line), narrowest6)
		ad := b.advertisement(a, raw.name.v)
		// Two advertisements are the same only if their written keys are the same: an omitted key differs from a key
		// with the default value.
		content := fmt.Sprint(a.length4.given, a.length6.given, quotedTexts(a.communities), ad.key())
		if first, twice := seen[content]; twice {
			b.fail(a.at, "the advertisement is the same as the one on line %d; remove one of them", first.line)
			continue
		}
		seen[content] = a.at
		all = append(all, ad)
	}
	if len(all) == 0 {
		return []Advertisement{{AggregationLength: 32, AggregationLengthV6: 128}}
	}
	return all
}

func (b *builder) advertisement(a rawAdvertisement, pool string) Advertisement {
	ad := Advertisement{
		AggregationLength:   int(a.length4.v),
		AggregationLengthV6: int(a.length6.v),
		LocalPref:           uint32(a.localPref.v),
		NodeSelectors:       b.selectors(a.nodeSelectors, "nodes"),
		ServiceSelectors:    b.selectors(a.serviceSelectors, "Services"),
		MED:                 uint32(a.med.v),
		HasMED:              a.med.given,
		Prepend:             int(a.prepend.v),
	}
	ad.Communities, ad.LargeCommunities = b.advertisedCommunities(a.communities)
	ad.Peers = b.distinct(a.peers, b.checkPeerName)
	for _, name := range ad.Peers {
		if p, ok := b.peers[name]; ok && !p.takes(pool) {
			b.warn(a.peers.at,
				"the address-pools of the peer %q do not name this pool, so nothing is announced to the peer", name)
		}
	}
	return ad
}

func (b *builder) checkPeerName(name string) error {
	if _, ok := b.peers[name]; ok {
		return nil
	}
	return fmt.Errorf("there is no peer %q; %s", name, mend(name, b.peers, "peers"))
}

// mend returns the fix for an unknown name: the nearest known name, or the key to add the name to.
func mend[T any](name string, names map[string]T, where string) string {
	if near := Nearest(name, slices.Sorted(maps.Keys(names))); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "add it under " + where
}

func quotedTexts(texts value[[]value[string]]) []string {
	var all []string
	for _, text := range texts.v {
		all = append(all, strconv.Quote(text.v))
	}
	return all
}

// narrowest compares the widest prefixes inside the entries of one family. narrowest returns the entry with the longest
// of these prefixes, and the length of the prefix; nil for no entry. bits is the address length of the family, 32 or
// 128.
func narrowest(entries []addressEntry, bits int) *narrowEntry {
	var found *narrowEntry
	for _, e := range entries {
		if e.From.BitLen() != bits {
			continue
		}
		if prefix := e.widestPrefix(); found == nil || prefix > found.prefix {
			found = &narrowEntry{e, prefix}
		}
	}
	return found
}

type narrowEntry struct {
	addressEntry
	prefix int
}

func (b *builder) checkAggregation(length value[int64], at place, narrowest *narrowEntry) {
	if length.given && !length.ok || narrowest == nil || int(length.v) >= narrowest.prefix {
		return
	}
	if length.given {
		at = length.at
	}
	b.fail(at, "%d is wider than %s, which has no prefix wider than /%d; write %d to %d",
		length.v, narrowest.addressEntry, narrowest.prefix, narrowest.prefix, narrowest.From.BitLen())
}

// advertisedCommunities returns the standard and the large communities of an advertisement, sorted.
func (b *builder) advertisedCommunities(texts value[[]value[string]]) (standard []uint32, large []LargeCommunity) {
	seen := map[string]bool{}
	for _, text := range texts.v {
		c, named := b.communities[text.v]
		switch {
		case !text.ok:
			continue
		case seen[text.v]:
			b.fail(text.at, "%q is in the list twice; remove one", text.v)
		case named:
		case strings.Contains(text.v, ":"):
			c = b.community(text)
		default:
			b.fail(text.at, "%q is neither a BGP community like 65000:100 nor a name under bgp-communities", text.v)
		}
		seen[text.v] = true
		if c.isLarge {
			large = append(large, c.large)
		} else {
			standard = append(standard, c.standard)
		}
	}
	slices.Sort(standard)
	slices.SortFunc(large, LargeCommunity.Compare)
	return slices.Compact(standard), slices.Compact(large)
}

// Compare orders large communities by their first different number.
func (c LargeCommunity) Compare(other LargeCommunity) int { return slices.Compare(c[:], other[:]) }

// String returns the three numbers with colons between them, the form of RFC 8092.
func (c LargeCommunity) String() string { return fmt.Sprintf("%d:%d:%d", c[0], c[1], c[2]) }

// key returns a text that is equal for advertisements of equal content.
func (a *Advertisement) key() string {
	return fmt.Sprint(a.AggregationLength, a.AggregationLengthV6, a.LocalPref, a.Communities, a.LargeCommunities,
		quotedAll(a.Peers), selectorKey(a.NodeSelectors), selectorKey(a.ServiceSelectors), a.MED, a.HasMED, a.Prepend)
}

func quotedAll(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = strconv.Quote(text)
	}
	return all
}

// checkPreferences warns if two advertisements announce one prefix to one router with different preferences.
func (b *builder) checkPreferences(raw rawPool, pool *Pool) {
	v4, v6 := pool.Size()
	for i := range raw.advertisements.v {
		for j := range i {
			if len(pool.Advertisements) != len(raw.advertisements.v) {
				return // some advertisements were left out, and the indices differ
			}
			x, y := &pool.Advertisements[i], &pool.Advertisements[j]
			samePrefix := v4.Sign() > 0 && x.AggregationLength == y.AggregationLength ||
				v6.Sign() > 0 && x.AggregationLengthV6 == y.AggregationLengthV6
			if samePrefix && x.LocalPref != y.LocalPref && x.meets(y) {
				at := raw.advertisements.v[i]
				b.warn(cmp.Or(at.localPref.at, at.at), "another advertisement (line %d) announces the same prefixes "+
					"with localpref %d; the routes have localpref %d",
					raw.advertisements.v[j].at.line, y.LocalPref, max(x.LocalPref, y.LocalPref))
			}
		}
	}
}

// meets reports whether both advertisements can apply to the same peer, node and Service. meets assumes that different
// selectors choose different nodes or Services.
func (a *Advertisement) meets(other *Advertisement) bool {
	peers := len(a.Peers) == 0 || len(other.Peers) == 0 ||
		slices.ContainsFunc(a.Peers, func(name string) bool { return slices.Contains(other.Peers, name) })
	return peers && overlapping(a.NodeSelectors, other.NodeSelectors) &&
		overlapping(a.ServiceSelectors, other.ServiceSelectors)
}

// overlapping reports whether a and b have a selector in common. An empty list and an empty selector choose everything.
func overlapping(a, b []labels.Selector) bool {
	all := func(list []labels.Selector) bool {
		return len(list) == 0 || slices.ContainsFunc(list, labels.Selector.Empty)
	}
	return all(a) || all(b) || slices.ContainsFunc(a, func(x labels.Selector) bool {
		return slices.ContainsFunc(b, func(y labels.Selector) bool { return x.String() == y.String() })
	})
}
