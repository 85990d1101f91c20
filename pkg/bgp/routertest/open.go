package routertest

import (
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// openMessage checks the OPEN, and answers with the OPEN of the router and a KEEPALIVE.
func (r *Router) openMessage(answer, b []byte, m *bgp.BGPOpen) []byte {
	if r.peer.open != nil {
		r.violate("a second OPEN")
		return answer
	}
	expected := r.options.PeerASN
	if expected > 0xffff && len(m.OptParams) == 0 {
		expected = wire.ASTrans // RFC 6793, section 9
	}
	asn, err := bgp.ValidateOpenMsg(m, expected, r.options.ASN, r.options.ID)
	if err != nil {
		r.violate("the OPEN is not valid: %v", err)
		return r.end(answer, wire.Notification{Code: 2})
	}
	if m.HoldTime != 0 && m.HoldTime < 3 {
		r.violate("the OPEN has a hold time of %d s", m.HoldTime)
	}
	o, err := wire.ParseOpen(b[wire.HeaderLen:])
	if o.ASN != asn || err != nil && asn != wire.ASTrans {
		r.violate("the OPEN % x is read as AS %d: %v", b, o.ASN, err)
	}
	if c := o.Capabilities; c != nil && c.GracefulRestart != nil && c.GracefulRestart.Families != c.Families {
		r.violate("graceful restart for families without routes")
	}
	r.peer.open = &o
	r.opened = append(r.opened, o)
	if n := r.options.Refuse; n != nil {
		return r.end(answer, *n)
	}
	if n := r.options.RefuseCapabilities; n != nil && o.Capabilities != nil {
		return r.end(answer, *n)
	}
	return wire.AppendKeepalive(r.said().Append(answer))
}

// said returns the OPEN of the router.
func (r *Router) said() wire.Open {
	o := wire.Open{ASN: r.options.ASN, HoldTime: max(r.options.HoldTime, 0).Truncate(time.Second), RouterID: r.options.ID}
	if r.options.SaysASN != 0 {
		o.ASN = r.options.SaysASN
	}
	if r.options.NoCapabilities {
		return o
	}
	o.Capabilities = &wire.Capabilities{
		Multiprotocol: !r.options.NoMultiprotocol, Families: r.families(), RouteRefresh: !r.options.NoRefresh,
		FourByteASN: !r.options.NoFourByteASN, ExtendedNextHop: r.options.ExtendedNextHop,
		GracefulRestart: r.options.GracefulRestart,
	}
	return o
}

// families returns the families that the router offers.
func (r *Router) families() [wire.FamilyCount]bool {
	switch {
	case r.options.NoCapabilities || r.options.NoMultiprotocol:
		return [wire.FamilyCount]bool{wire.IPv4: true}
	case r.options.Only == nil:
		return [wire.FamilyCount]bool{true, true}
	}
	var list [wire.FamilyCount]bool
	for _, f := range r.options.Only {
		list[f] = true
	}
	return list
}

// accepts tells whether both sides have a family.
func (r *Router) accepts(f wire.Family) bool {
	c := r.peer.open.Capabilities
	if c == nil || !c.Multiprotocol {
		return f == wire.IPv4
	}
	return r.families()[f] && c.Families[f]
}

// fourByte tells whether both sides have four-byte AS numbers.
func (r *Router) fourByte() bool {
	c := r.peer.open.Capabilities
	return !r.options.NoCapabilities && !r.options.NoFourByteASN && c != nil && c.FourByteASN
}

// extended tells whether both sides have RFC 8950.
func (r *Router) extended() bool {
	c := r.peer.open.Capabilities
	return !r.options.NoCapabilities && r.options.ExtendedNextHop && c != nil && c.ExtendedNextHop
}

func (r *Router) marshalling() []*bgp.MarshallingOption {
	if r.peer.open == nil {
		return nil
	}
	return []*bgp.MarshallingOption{{Use2ByteAS: !r.fourByte()}}
}
