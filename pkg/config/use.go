package config

import "slices"

// checkUse warns of accepted settings that have no effect, or an effect that the user may not want.
func (b *builder) checkUse(raw rawConfig, c *Config) {
	for _, p := range raw.profiles.v {
		if p.name.ok && !b.usedProfiles[p.name.v] {
			b.warn(p.at, "no peer has the bfd-profile %q", p.name.v)
		}
	}
	for i, p := range raw.pools.v {
		if pool := &c.Pools[i]; pool.BGP && !slices.ContainsFunc(c.Peers, pool.told) {
			b.warn(p.at, "no peer is for this pool, so its addresses are announced to no router; add one under peers")
		}
	}
	b.checkSessions(raw.peers, c.Peers)
	b.checkPasswords(raw.peers)
}

// told reports whether the pool has an advertisement to the peer.
func (p *Pool) told(peer Peer) bool { return len(p.AdvertisementsTo(&peer)) > 0 }

// AdvertisementsTo returns the advertisements of the pool to the peer, in the order of the document. AdvertisementsTo
// returns none when the pool has no protocol bgp, or when the address-pools of the peer do not name the pool.
func (p *Pool) AdvertisementsTo(peer *Peer) []*Advertisement {
	if !p.BGP || !peer.takes(p.Name) {
		return nil
	}
	var all []*Advertisement
	for i := range p.Advertisements {
		if a := &p.Advertisements[i]; len(a.Peers) == 0 || slices.Contains(a.Peers, peer.Name) {
			all = append(all, a)
		}
	}
	return all
}

// checkSessions warns of two peers with the same router for the same node, because a router keeps only one session with
// an address.
func (b *builder) checkSessions(raw value[[]rawPeer], peers []Peer) {
	if len(peers) != len(raw.v) {
		return // some peers were left out, and the indices differ
	}
	for i := range peers {
		for j := range i {
			x, y := &peers[i], &peers[j]
			if x.Router() == y.Router() && x.SourceAddress == y.SourceAddress && x.SourceInterface == y.SourceInterface &&
				overlapping(x.NodeSelectors, y.NodeSelectors) {
				b.warn(raw.v[i].at, "the peer %q is the same router; a router keeps one session with each address of "+
					"a node, so give one of "+
					"the peers a source-address, or other node-selectors", y.Name)
				break
			}
		}
	}
}

// checkPasswords warns, once, of passwords in the document, because everyone with access to the ConfigMap can read
// them.
func (b *builder) checkPasswords(peers value[[]rawPeer]) {
	for _, p := range peers.v {
		if p.password.v != "" {
			b.warn(p.password.at, "everyone who can read the ConfigMap can read the password; put it in a Secret, and "+
				"write password-secret: name/key")
			return
		}
	}
}
