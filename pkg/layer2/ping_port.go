package layer2

import "net/netip"

// pinged holds the inputs that decide which sockets for echo requests are open.
type pinged struct {
	table *table
	on    bool
}

// syncPing opens the required sockets for echo requests, and closes the others. A socket costs a little for every IP
// packet that the interface receives, so a port without an address to answer for has no such socket.
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

// any reports whether ok is true for at least one of the addresses to answer for.
func (t *table) any(ok func(netip.Addr) bool) bool {
	for addr := range t.addrs.All() {
		if ok(addr) {
			return true
		}
	}
	return false
}
