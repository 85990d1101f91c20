package layer2

import (
	"net/netip"
	"time"
)

// lackGrace is the time without a link-local address after which an interface is worth a warning: an interface gets the
// address some seconds after coming up (RFC 4862, section 5.4).
const lackGrace = 5 * time.Second

// noteLack starts the time to the warning when the new table has IPv6 addresses to answer for and the interface has no
// link-local address, and cancels the warning otherwise.
func (p *port) noteLack(now time.Time, old *table) {
	was, is := old.lacksIPv6(), p.current.lacksIPv6()
	switch {
	case is && !was:
		p.lacking = now.Add(lackGrace)
	case !is:
		p.lacking = time.Time{}
	}
}

func (t *table) lacksIPv6() bool { return !t.LinkLocal.IsValid() && t.any(netip.Addr.Is6) }

// warnOfLack logs the warning once, when the time has come.
func (p *port) warnOfLack(now time.Time) {
	if p.lacking.IsZero() || now.Before(p.lacking) {
		return
	}
	p.lacking = time.Time{}
	p.log.Warn("IPv6 addresses are not answered for: the interface has no link-local address, so IPv6 is off there or another station has the address")
}
