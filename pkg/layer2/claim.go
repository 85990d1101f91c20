package layer2

import (
	"net/netip"
	"slices"
)

func (t *table) holds(addr netip.Addr) bool {
	_, ok := t.addrs[addr]
	return ok
}

// reaches reports whether a frame to mac reaches the interface alone: mac is its hardware address or, on a bond whose slaves send
// with their own addresses, that of a slave.
func (t *table) reaches(mac MAC) bool { return mac == t.MAC || slices.Contains(t.MACs, mac) }

// claim returns the claim that a station makes by using ip on the named interface. There is no claim by this host, to the unspecified
// address, or to an address that is neither known nor being probed.
func (t *table) claim(name string, ip netip.Addr, mac MAC, form Form) Claim {
	if ip.IsUnspecified() {
		return Claim{}
	}
	mode, known := t.known[ip]
	if !known && t.asked.of(ip) == nil {
		return Claim{}
	}
	if _, own := t.macs[mac]; own {
		return Claim{}
	}
	return Claim{Addr: ip, MAC: mac, Interface: name, Form: form, Mode: mode}
}

// rival returns another station's probe as a finding of our probe of the same address, or no claim.
func (t *table) rival(name string, ip netip.Addr, mac MAC) Claim {
	if t.asked.of(ip) == nil {
		return Claim{}
	}
	return t.claim(name, ip, mac, Probing)
}

// claimedOr returns the verdict on a frame that makes the claim, or v if the claim is none.
func (t *table) claimedOr(v Verdict, c Claim) Verdict {
	if !c.Addr.IsValid() {
		return v
	}
	switch mode, known := t.known[c.Addr]; {
	case !known:
		return ProbeReply
	case mode == Watch:
		return Watched
	}
	return Claimed
}
