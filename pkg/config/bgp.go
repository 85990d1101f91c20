package config

import (
	"fmt"
	"strconv"
	"strings"
)

// What a document says about BGP is checked by the rules of MetalLB v0.12, and then set aside.

func (b *builder) setAside(at place) { b.warn(at, "set aside: %s", noBGP) }

// checkCommunities keeps the names under bgp-communities.
func (b *builder) checkCommunities(aliases value[[]entry]) {
	b.communities = map[string]bool{}
	for _, alias := range aliases.v {
		b.communities[alias.name] = true
		if alias.text.ok || !alias.text.given {
			b.checkCommunity(alias.text)
		}
	}
	if len(aliases.v) > 0 {
		b.setAside(aliases.at)
	}
}

// checkCommunity reports a text that is not two 16-bit numbers (RFC 1997).
func (b *builder) checkCommunity(text value[string]) {
	first, second, ok := strings.Cut(text.v, ":")
	if !ok || strings.Contains(second, ":") {
		b.fail(text.at, "%q is no BGP community; write two numbers like 65000:100", text.v)
		return
	}
	for _, part := range []struct{ name, text string }{{"first", first}, {"second", second}} {
		if _, err := strconv.ParseUint(part.text, 10, 16); err != nil {
			b.fail(text.at, "%q is no BGP community: its %s part must be a number from 0 to 65535", text.v, part.name)
		}
	}
}

// checkAdvertisements checks the advertisements of a pool with the given entries.
func (b *builder) checkAdvertisements(advertisements value[[]rawAdvertisement], entries []addressEntry) {
	if len(advertisements.v) == 0 {
		return
	}
	narrowest4, narrowest6 := narrowest(entries, 32), narrowest(entries, 128)
	seen := map[string]place{}
	for _, a := range advertisements.v {
		b.checkAggregation(a.length4, a.at.key("aggregation-length", a.at.line), narrowest4)
		b.checkAggregation(a.length6, a.at.key("aggregation-length-v6", a.at.line), narrowest6)
		b.checkAdvertisedCommunities(a.communities)
		// Being the same is a matter of what is written: a default that is written out makes a difference.
		content := fmt.Sprint(a.length4.given, a.length4.v, a.length6.given, a.length6.v, a.localPref.v, quotedTexts(a.communities))
		if first, twice := seen[content]; twice {
			b.fail(a.at, "the advertisement is the same as the one on line %d; remove one of them", first.line)
			continue
		}
		seen[content] = a.at
	}
}

func quotedTexts(texts value[[]value[string]]) []string {
	var all []string
	for _, text := range texts.v {
		all = append(all, strconv.Quote(text.v))
	}
	return all
}

// narrowest returns the entry of the family with that number of bits whose widest prefix is the longest, or nil.
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

func (b *builder) checkAdvertisedCommunities(communities value[[]value[string]]) {
	seen := map[string]bool{}
	for _, text := range communities.v {
		switch {
		case !text.ok:
		case seen[text.v]:
			b.fail(text.at, "%q is in the list twice; remove one", text.v)
		case b.communities[text.v]:
		case strings.Contains(text.v, ":"):
			b.checkCommunity(text)
		default:
			b.fail(text.at, "%q is neither a BGP community like 65000:100 nor a name under bgp-communities", text.v)
		}
		seen[text.v] = true
	}
}
