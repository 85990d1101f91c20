package layer2

import (
	"net/netip"
	"time"
)

// lackGrace is how long an interface may be without a link-local address before that is worth a line: it gets one some
// seconds after it comes up (RFC 4862, section 5.4).
const lackGrace = 5 * time.Second

// noteLack looks, after the table has changed, whether there are IPv6 addresses to answer for and no IPv6.
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

// warnOfLack says so, once.
func (p *port) warnOfLack(now time.Time) {
	if p.lacking.IsZero() || now.Before(p.lacking) {
		return
	}
	p.lacking = time.Time{}
	p.log.Warn("IPv6 addresses are not answered for: the interface has no link-local address, so IPv6 is off there or another station has the address")
}
