package wire

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// ASTrans is the AS number that stands for a larger one in two bytes (RFC 6793).
const ASTrans = 23456

// Open is an OPEN message (RFC 4271, section 4.2).
type Open struct {
	// ASN is the number of the capability four-octet AS number, where there is one.
	ASN uint32
	// HoldTime is in whole seconds, at most 65535 s.
	HoldTime time.Duration
	RouterID netip.Addr
	// Capabilities is nil for an OPEN without optional parameters.
	Capabilities *Capabilities
}

// Capabilities are the capabilities that matter to a speaker that only announces (RFC 5492).
type Capabilities struct {
	// Multiprotocol is true when Families are said (RFC 4760). Without, the session has IPv4 only.
	Multiprotocol bool
	Families      [FamilyCount]bool
	// RouteRefresh is the capability of RFC 2918, FourByteASN the capability of RFC 6793.
	RouteRefresh, FourByteASN bool
	// ExtendedNextHop allows IPv6 next hops of IPv4 routes (RFC 8950).
	ExtendedNextHop bool
	// GracefulRestart is nil without the capability.
	GracefulRestart *GracefulRestart
}

// GracefulRestart is the capability of RFC 4724.
type GracefulRestart struct {
	// Restarting is the R bit. Notification is the N bit (RFC 8538).
	Restarting, Notification bool
	// Time is the restart time in whole seconds, at most 4095 s.
	Time time.Duration
	// Families have graceful restart. Forwarding holds the F bit of each family.
	Families, Forwarding [FamilyCount]bool
}

// afi is the address family identifier of RFC 4760.
func (f Family) afi() uint16 { return [FamilyCount]uint16{1, 2}[f] }

// library returns the family as the library names it.
func (f Family) library() bgp.Family { return bgp.NewFamily(f.afi(), safiUnicast) }

// safiUnicast is the subsequent address family identifier of unicast routes (RFC 4760).
const safiUnicast = 1

// familyOf returns the family of a pair of identifiers. ok is false for a family that this package does not know.
func familyOf(afi uint16, safi uint8) (f Family, ok bool) {
	if safi != safiUnicast || afi != 1 && afi != 2 {
		return 0, false
	}
	return Family(afi - 1), true
}

// Append appends the message.
func (o Open) Append(b []byte) []byte {
	asn := uint16(ASTrans)
	if o.ASN <= 0xffff {
		asn = uint16(o.ASN)
	}
	m := &bgp.BGPOpen{Version: 4, MyAS: asn, HoldTime: uint16(o.HoldTime / time.Second), ID: o.RouterID}
	if c := o.Capabilities; c != nil {
		for _, capability := range c.library(o.ASN) {
			// One parameter for each capability is understood by the oldest routers too (RFC 5492, section 4).
			m.OptParams = append(m.OptParams, bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{capability}))
		}
	}
	return appendBody(b, TypeOpen, m)
}

// library returns the capabilities as the library has them.
func (c *Capabilities) library(asn uint32) (list []bgp.ParameterCapabilityInterface) {
	for f := range Family(FamilyCount) {
		if c.Multiprotocol && c.Families[f] {
			list = append(list, bgp.NewCapMultiProtocol(f.library()))
		}
	}
	if c.RouteRefresh {
		list = append(list, bgp.NewCapRouteRefresh())
	}
	if c.ExtendedNextHop {
		list = append(list, bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{
			bgp.NewCapExtendedNexthopTuple(IPv4.library(), IPv6.afi()),
		}))
	}
	if g := c.GracefulRestart; g != nil {
		var tuples []*bgp.CapGracefulRestartTuple
		for f := range Family(FamilyCount) {
			if g.Families[f] {
				tuples = append(tuples, bgp.NewCapGracefulRestartTuple(f.library(), g.Forwarding[f]))
			}
		}
		list = append(list, bgp.NewCapGracefulRestart(g.Restarting, g.Notification, uint16(g.Time/time.Second), tuples))
	}
	if c.FourByteASN {
		list = append(list, bgp.NewCapFourOctetASNumber(asn))
	}
	return list
}

// ParseOpen reads the body of an OPEN message. The error is an *Error (RFC 4271, section 6.2).
func ParseOpen(body []byte) (Open, error) {
	if body[0] != 4 {
		return Open{}, invalid(CodeOpen, OpenVersion, []byte{0, 4}, "the router speaks version %d of BGP", body[0])
	}
	o := Open{
		ASN:      uint32(binary.BigEndian.Uint16(body[1:])),
		HoldTime: time.Duration(binary.BigEndian.Uint16(body[3:])) * time.Second,
		RouterID: netip.AddrFrom4([4]byte(body[5:9])),
	}
	if err := o.parameters(body[9:]); err != nil {
		return o, err
	}
	if o.ASN == 0 || o.ASN == ASTrans { // RFC 7607; RFC 6793, section 9
		return o, invalid(CodeOpen, OpenBadASN, nil, "the router says the AS number %d, which no router may have", o.ASN)
	}
	if o.HoldTime == time.Second || o.HoldTime == 2*time.Second {
		return o, invalid(CodeOpen, OpenHoldTime, nil, "the router asks for a hold time of %v", o.HoldTime)
	}
	if o.RouterID.IsUnspecified() { // RFC 6286
		return o, invalid(CodeOpen, OpenBadID, nil, "the router says the BGP identifier %v", o.RouterID)
	}
	return o, nil
}

const parameterCapabilities = 2

// parameters reads the optional parameters, in the form of RFC 4271 or in the extended one of RFC 9072.
func (o *Open) parameters(b []byte) error {
	malformed := invalid(CodeOpen, OpenUnspecific, nil, "the optional parameters of the router's OPEN are malformed")
	size, rest, head := int(b[0]), b[1:], 2
	if size != 0 && len(rest) >= 3 && rest[0] == 255 {
		size, rest, head = int(binary.BigEndian.Uint16(rest[1:])), rest[3:], 3
	}
	if size != len(rest) {
		return malformed
	}
	for len(rest) > 0 {
		if len(rest) < head {
			return malformed
		}
		length := int(rest[1])
		if head == 3 {
			length = int(binary.BigEndian.Uint16(rest[1:]))
		}
		if len(rest) < head+length {
			return malformed
		}
		if rest[0] != parameterCapabilities {
			return invalid(CodeOpen, OpenUnsupportedParameter, nil, "the router's OPEN has the unknown parameter %d", rest[0])
		}
		if o.Capabilities == nil {
			o.Capabilities = &Capabilities{}
		}
		for list := rest[head : head+length]; len(list) > 0; list = list[2+int(list[1]):] {
			if len(list) < 2 || len(list) < 2+int(list[1]) || !o.capability(list[:2+int(list[1])]) {
				return malformed
			}
		}
		rest = rest[head+length:]
	}
	return nil
}

// capability adds one capability, and returns false for a malformed one. Unused capabilities are not parsed, so their
// errors do no harm.
func (o *Open) capability(b []byte) bool {
	switch bgp.BGPCapabilityCode(b[0]) {
	case bgp.BGP_CAP_MULTIPROTOCOL, bgp.BGP_CAP_ROUTE_REFRESH, bgp.BGP_CAP_EXTENDED_NEXTHOP, bgp.BGP_CAP_GRACEFUL_RESTART,
		bgp.BGP_CAP_FOUR_OCTET_AS_NUMBER:
	default:
		return true
	}
	decoded, err := bgp.DecodeCapability(b)
	if err != nil {
		return false
	}
	c := o.Capabilities
	switch decoded := decoded.(type) {
	case *bgp.CapMultiProtocol:
		c.Multiprotocol = true
		if f, ok := familyOf(decoded.CapValue.Afi(), decoded.CapValue.Safi()); ok {
			c.Families[f] = true
		}
	case *bgp.CapRouteRefresh:
		c.RouteRefresh = true
	case *bgp.CapExtendedNexthop:
		for _, t := range decoded.Tuples {
			if t.NLRIAFI == IPv4.afi() && t.NLRISAFI == safiUnicast && t.NexthopAFI == IPv6.afi() {
				c.ExtendedNextHop = true
			}
		}
	case *bgp.CapGracefulRestart:
		if (len(b)-4)%4 != 0 {
			return false
		}
		c.GracefulRestart = gracefulRestart(decoded) // the last one counts (RFC 4724, section 3)
	case *bgp.CapFourOctetASNumber:
		c.FourByteASN, o.ASN = true, decoded.CapValue
	}
	return true
}

func gracefulRestart(c *bgp.CapGracefulRestart) *GracefulRestart {
	g := &GracefulRestart{
		Restarting: c.Flags&8 != 0, Notification: c.Flags&4 != 0, Time: time.Duration(c.Time) * time.Second,
	}
	for _, t := range c.Tuples {
		if f, ok := familyOf(t.AFI, t.SAFI); ok {
			g.Families[f], g.Forwarding[f] = true, t.Flags&0x80 != 0
		}
	}
	return g
}
