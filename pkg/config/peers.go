package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// checkProfiles keeps the names under bfd-profiles. The numbers in a profile were checked as they were read.
func (b *builder) checkProfiles(profiles value[[]rawProfile]) {
	b.profiles = map[string]place{}
	for _, p := range profiles.v {
		b.checkName(p.name, p.at, "BFD profile", b.profiles)
	}
	if len(profiles.v) > 0 {
		b.setAside(profiles.at)
	}
}

// checkPeers checks the peers; communities and profiles must have been checked before.
func (b *builder) checkPeers(peers value[[]rawPeer]) {
	seen := map[string]place{}
	for _, p := range peers.v {
		content := b.peer(p)
		if first, twice := seen[content]; twice {
			b.fail(p.at, "the peer is the same as the one on line %d; remove one of them", first.line)
			continue
		}
		seen[content] = p.at
	}
	if len(peers.v) > 0 {
		b.setAside(peers.at)
	}
}

// peer checks one peer, and returns a text that is the same for peers that mean the same.
func (b *builder) peer(p rawPeer) string {
	b.requiredASN(p.myASN, p.at, "my-asn")
	b.requiredASN(p.peerASN, p.at, "peer-asn")
	if b.required(p.address, p.at, "peer-address", "peer-address: 192.0.2.1") {
		b.checkAddress(p.address)
	}
	if p.source.ok && p.source.v != "" {
		b.checkAddress(p.source)
	}
	if id, err := netip.ParseAddr(p.routerID.v); p.routerID.ok && p.routerID.v != "" && (err != nil || !id.Is4()) {
		b.fail(p.routerID.at, "%q is no router id; write one in the form of an IPv4 address, like 192.0.2.1", p.routerID.v)
	}
	b.checkTimers(p.holdTime, p.keepaliveTime)
	if _, ok := b.profiles[p.profile.v]; p.profile.ok && p.profile.v != "" && !ok {
		b.fail(p.profile.at, "there is no BFD profile %q; add it under bfd-profiles", p.profile.v)
	}
	if p.ebgpMultihop.v && p.myASN.ok && p.peerASN.ok && p.myASN.v == p.peerASN.v {
		b.fail(p.ebgpMultihop.at, "my-asn and peer-asn are the same, so this is iBGP, which has no ebgp-multihop; remove the key")
	}
	var selectors []string
	for _, s := range p.nodeSelectors.v {
		selectors = append(selectors, b.selector(s).String())
	}
	slices.Sort(selectors)
	return fmt.Sprintf("%d %d %q %q %d %s %s %q %q %q %q %t", p.myASN.v, p.peerASN.v, p.address.v, p.source.v, p.port.v,
		p.holdTime.v, p.keepaliveTime.v, p.routerID.v, selectors, p.password.v, p.profile.v, p.ebgpMultihop.v)
}

func (b *builder) requiredASN(asn value[int64], owner place, key string) {
	if !asn.given || asn.ok && asn.v == 0 {
		b.fail(owner, "%s is missing; write it like %s: 64512", key, key)
	}
}

func (b *builder) checkAddress(text value[string]) {
	if a, err := netip.ParseAddr(text.v); err != nil || a.Zone() != "" {
		b.fail(text.at, "%q is no address; write one like 192.0.2.1 or 2001:db8::1", text.v)
	}
}

// checkTimers checks the times of RFC 4271, section 4.2, which are in whole seconds: a hold time of 0 means that there is none.
func (b *builder) checkTimers(hold, keepalive value[time.Duration]) {
	if t := hold.v.Truncate(time.Second); hold.ok && t != 0 && t < 3*time.Second {
		b.fail(hold.at, "must be 0s, or 3s and more, and is %s", hold.v)
	}
	if keepalive.ok && (hold.ok || !hold.given) && keepalive.v.Truncate(time.Second) > hold.v.Truncate(time.Second) {
		b.fail(keepalive.at, "must be at most hold-time, which is %s, and is %s", hold.v, keepalive.v)
	}
}
