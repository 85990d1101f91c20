package layer2

import "net/netip"

func (t *table) holds(addr netip.Addr) bool {
	_, ok := t.addrs[addr]
	return ok
}

// claim returns the claim that a station makes by using ip on the named interface, or none: when it is this host, or the
// address is neither known nor being probed. The unspecified address claims nothing.
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

// rival returns what another station's probe means to ours of the same address, or nothing.
func (t *table) rival(name string, ip netip.Addr, mac MAC) Claim {
	if t.asked.of(ip) == nil {
		return Claim{}
	}
	return t.claim(name, ip, mac, Probing)
}

// claimedOr returns the verdict on a frame that makes the claim, or v if it makes none.
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
