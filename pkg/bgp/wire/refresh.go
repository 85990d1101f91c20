package wire

import "encoding/binary"

// AppendRouteRefresh appends a ROUTE-REFRESH message (RFC 2918).
func AppendRouteRefresh(b []byte, f Family) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(appendHeader(b, TypeRouteRefresh), f.afi())
	return finish(append(b, 0, safiUnicast), start)
}

// ParseRouteRefresh reads the body of a ROUTE-REFRESH message. ok is false for a message to be ignored: another family,
// or a subtype of RFC 7313, which this speaker does not offer.
func ParseRouteRefresh(body []byte) (f Family, ok bool) {
	f, ok = familyOf(binary.BigEndian.Uint16(body), body[3])
	return f, ok && body[2] == 0
}
