package layer2

import "net/netip"

// pinged is what decides which sockets for echo requests are open.
type pinged struct {
	table *table
	on    bool
}

// syncPing opens the sockets for echo requests that are wanted, and closes the others: a socket costs a little for every IP
// packet that the interface receives, so there is none without an address to answer for.
func (p *port) syncPing() {
	now := pinged{p.current, p.a.ping.Load()}
	if p.pinged == now {
		return
	}
	p.pinged = now
	for _, protocol := range [...]Protocol{ICMP, ICMPv6} {
		want := now.on && p.current.any(func(addr netip.Addr) bool { return addr.Is4() == (protocol == ICMP) })
		switch open := p.sockets[protocol] != nil; {
		case want && !open:
			p.listen(protocol)
		case !want && open:
			p.hangUp(protocol)
		}
	}
}

// any reports whether ok is true of one of the addresses that are answered for.
func (t *table) any(ok func(netip.Addr) bool) bool {
	for addr := range t.addrs {
		if ok(addr) {
			return true
		}
	}
	return false
}
