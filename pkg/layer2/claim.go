package layer2

import (
	"net/netip"
	"slices"
)

func (t *table) holds(addr netip.Addr) bool {
	return t.addrs.Has(addr)
}

// reaches reports whether a frame to mac reaches this interface alone: mac is the hardware address of the interface or,
// on a bond whose slaves send with their own addresses, the address of a slave.
func (t *table) reaches(mac MAC) bool { return mac == t.MAC || slices.Contains(t.MACs, mac) }

// claim returns the claim that a station makes by using ip on the named interface. claim returns no claim for a frame
// of this host, for the unspecified address, and for an address that is neither known nor being probed.
func (t *table) claim(name string, ip netip.Addr, mac MAC, form Form) Claim {
	if ip.IsUnspecified() {
		return Claim{}
	}
	mode, known := t.known.Get(ip)
	if !known && t.asked.of(ip) == nil {
		return Claim{}
	}
	if _, own := t.macs[mac]; own {
		return Claim{}
	}
	return Claim{Addr: ip, MAC: mac, Interface: name, Form: form, Mode: mode}
}

// rival returns the probe of another station as a claim of form Probing if this host probes the same address; otherwise
// rival returns no claim.
func (t *table) rival(name string, ip netip.Addr, mac MAC) Claim {
	if t.asked.of(ip) == nil {
		return Claim{}
	}
	return t.claim(name, ip, mac, Probing)
}

// isNode reports whether mac belongs to another node of the cluster.
func (t *table) isNode(mac MAC) bool {
	if t.nodes == nil {
		return false
	}
	nodes := t.nodes.Load()
	if nodes == nil {
		return false
	}
	_, is := (*nodes)[mac]
	return is
}

// askedBy returns the verdict on an answered question. asSpeakers is true for a question in the form that only a speaker
// and, for IPv6, a kernel without a global address use.
func (t *table) askedBy(mac MAC, asSpeakers bool) Verdict {
	if asSpeakers && t.isNode(mac) {
		return PeerQuestion
	}
	return Answered
}

// claimedOr returns the verdict on a frame with the claim c, or v if c is no claim.
func (t *table) claimedOr(v Verdict, c Claim) Verdict {
	if !c.Addr.IsValid() {
		return v
	}
	mode, known := t.known.Get(c.Addr)
	switch theirs := (!known || mode == Watch) && t.isNode(c.MAC); {
	case theirs && c.Answer:
		return PeerAnswer
	case theirs:
		return PeerAnnouncement
	case !known:
		return ProbeReply
	case mode == Watch:
		return Watched
	}
	return Claimed
}
