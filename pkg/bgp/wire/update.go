package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// Encoding holds the parameters of a session that determine the bytes of its routes.
type Encoding struct {
	LocalASN uint32
	// External is true for eBGP.
	External bool
	// FourByteASN is true when both sides have the capability of RFC 6793.
	FourByteASN bool
	// NextHop are the next hops of the families, not valid for a family that is not sent. An IPv4 route with an IPv6
	// next hop goes into MP_REACH_NLRI (RFC 8950).
	NextHop [FamilyCount]netip.Addr
}

// MaxAttributes is the largest size of the path attributes, in bytes. One IPv6 prefix and all other fields still fit.
const MaxAttributes = MaxLen - HeaderLen - 64

// multiprotocol tells whether the routes of a family go into MP_REACH_NLRI.
func (e *Encoding) multiprotocol(f Family) bool { return f == IPv6 || e.NextHop[f].Is6() }

// Attributes returns the encoded path attributes of a route of a family, without MP_REACH_NLRI. It fails when they do
// not fit into a message.
func (e *Encoding) Attributes(r *Route, f Family) ([]byte, error) {
	list := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP), e.path(r)}
	if !e.multiprotocol(f) {
		hop, err := bgp.NewPathAttributeNextHop(e.NextHop[f])
		if err != nil {
			return nil, fmt.Errorf("next hop %v: %w", e.NextHop[f], err)
		}
		list = append(list, hop)
	}
	if r.HasMED {
		list = append(list, bgp.NewPathAttributeMultiExitDisc(r.MED))
	}
	if !e.External {
		list = append(list, bgp.NewPathAttributeLocalPref(r.LocalPref))
	}
	if len(r.Communities) > 0 {
		list = append(list, bgp.NewPathAttributeCommunities(r.Communities))
	}
	if as4 := e.path4(r); as4 != nil {
		list = append(list, as4)
	}
	if len(r.LargeCommunities) > 0 {
		large := make([]*bgp.LargeCommunity, len(r.LargeCommunities))
		for i, c := range r.LargeCommunities {
			large[i] = bgp.NewLargeCommunity(c[0], c[1], c[2])
		}
		list = append(list, bgp.NewPathAttributeLargeCommunities(large))
	}
	var b []byte
	for _, attribute := range list {
		data, err := attribute.Serialize()
		if err != nil {
			return nil, fmt.Errorf("serialise %v: %w", attribute.GetType(), err)
		}
		if b = append(b, data...); len(b) > MaxAttributes {
			return nil, fmt.Errorf("the attributes of %v do not fit into a message of %d bytes", r.Prefix, MaxLen)
		}
	}
	return b, nil
}

// asns returns the AS_PATH of a route: the local AS and its repetitions, empty for iBGP.
func (e *Encoding) asns(r *Route) []uint32 {
	if !e.External {
		return nil
	}
	list := make([]uint32, 1+min(max(r.Prepend, 0), 254))
	for i := range list {
		list[i] = e.LocalASN
	}
	return list
}

// path returns the AS_PATH, with AS_TRANS where the router knows two bytes only (RFC 6793, section 4.2.2).
func (e *Encoding) path(r *Route) bgp.PathAttributeInterface {
	asns := e.asns(r)
	var segments []bgp.AsPathParamInterface
	switch {
	case len(asns) == 0:
	case e.FourByteASN:
		segments = append(segments, bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, asns))
	default:
		short := make([]uint16, len(asns))
		for i, asn := range asns {
			if short[i] = ASTrans; asn <= 0xffff {
				short[i] = uint16(asn)
			}
		}
		segments = append(segments, bgp.NewAsPathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, short))
	}
	return bgp.NewPathAttributeAsPath(segments)
}

// path4 returns the AS4_PATH, nil where the AS_PATH says everything.
func (e *Encoding) path4(r *Route) bgp.PathAttributeInterface {
	if e.FourByteASN || e.LocalASN <= 0xffff || !e.External {
		return nil
	}
	return bgp.NewPathAttributeAs4Path([]*bgp.As4PathParam{bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, e.asns(r))})
}

const (
	attributeReach   = 14
	attributeUnreach = 15
	// flagsExtended are the flags optional and extended length (RFC 4271, section 4.3).
	flagsExtended = 0x90
)

// Update writes one UPDATE message, prefix by prefix, until it is full. The library takes five allocations for a prefix
// and cannot tell when a message is full, so the lists of prefixes are written here.
type Update struct {
	buf        []byte
	start      int
	lists      int // where the list of prefixes begins
	attributes []byte
	mp         bool
	withdraw   bool
	count      int
}

// Announce begins an UPDATE with routes of a family, appended to b. attributes come from Attributes.
func (e *Encoding) Announce(b []byte, f Family, attributes []byte) Update {
	u := Update{start: len(b), attributes: attributes, mp: e.multiprotocol(f)}
	b = append(appendHeader(b, TypeUpdate), 0, 0, 0, 0)
	if u.mp {
		hop := e.NextHop[f].WithZone("").As16()
		b = append(b, flagsExtended, attributeReach, 0, 0)
		b = append(binary.BigEndian.AppendUint16(b, f.afi()), safiUnicast, byte(len(hop)))
		b = append(append(b, hop[:]...), 0)
	} else {
		b = append(b, attributes...)
	}
	u.buf, u.lists = b, len(b)
	return u
}

// Withdraw begins an UPDATE that withdraws routes of a family, appended to b.
func (e *Encoding) Withdraw(b []byte, f Family) Update {
	u := Update{start: len(b), mp: e.multiprotocol(f), withdraw: true}
	b = append(appendHeader(b, TypeUpdate), 0, 0)
	if u.mp {
		b = append(b, 0, 0, flagsExtended, attributeUnreach, 0, 0)
		b = append(binary.BigEndian.AppendUint16(b, f.afi()), safiUnicast)
	}
	u.buf, u.lists = b, len(b)
	return u
}

// Add adds a prefix, and returns false when the message has no room for it.
func (u *Update) Add(p netip.Prefix) bool {
	size := (p.Bits() + 7) / 8
	room := MaxLen - (len(u.buf) - u.start)
	if u.mp {
		room -= len(u.attributes)
	} else if u.withdraw {
		room -= 2
	}
	if 1+size > room {
		return false
	}
	u.buf = AppendPrefix(u.buf, p)
	u.count++
	return true
}

// Count returns the number of prefixes.
func (u *Update) Count() int { return u.count }

// End returns the bytes with the finished message.
func (u *Update) End() []byte {
	b, first := u.buf, u.start+HeaderLen
	switch {
	case u.mp:
		// Withdrawn routes: none. MP_REACH_NLRI or MP_UNREACH_NLRI is the first attribute (RFC 7606, section 5.1).
		binary.BigEndian.PutUint16(b[first+6:], uint16(len(b)-first-8))
		b = append(b, u.attributes...)
		binary.BigEndian.PutUint16(b[first+2:], uint16(len(b)-first-4))
	case u.withdraw:
		binary.BigEndian.PutUint16(b[first:], uint16(len(b)-u.lists))
		b = append(b, 0, 0)
	default:
		binary.BigEndian.PutUint16(b[first+2:], uint16(len(u.attributes)))
	}
	return finish(b, u.start)
}

// AppendPrefix appends a masked prefix as in NLRI (RFC 4271, section 4.3).
func AppendPrefix(b []byte, p netip.Prefix) []byte {
	b = append(b, byte(p.Bits()))
	size := (p.Bits() + 7) / 8
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return append(b, a[:size]...)
	}
	a := p.Addr().As16()
	return append(b, a[:size]...)
}

// AppendEndOfRIB appends the End-of-RIB of a family (RFC 4724, section 2).
func AppendEndOfRIB(b []byte, f Family) []byte {
	start := len(b)
	b = append(appendHeader(b, TypeUpdate), 0, 0, 0, 0)
	if f == IPv6 {
		b[len(b)-1] = 6
		b = append(binary.BigEndian.AppendUint16(append(b, 0x80, attributeUnreach, 3), f.afi()), safiUnicast)
	}
	return finish(b, start)
}
