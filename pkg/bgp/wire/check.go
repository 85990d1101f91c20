package wire

import (
	"encoding/binary"
	"net/netip"
)

// CheckUpdate checks the body of a received UPDATE for a speaker that uses no routes. CheckUpdate returns an *Error for
// an error that must end the session (RFC 7606, sections 3 and 5.3). The other errors concern routes, which such a
// speaker ignores. A valid message costs no allocation.
func CheckUpdate(body []byte) error {
	withdrawn, rest, ok := cut(body)
	if !ok {
		return invalid(CodeUpdate, 1, nil, "the length of the withdrawn routes exceeds the UPDATE")
	}
	attributes, nlri, ok := cut(rest)
	if !ok {
		return invalid(CodeUpdate, 1, nil, "the length of the path attributes exceeds the UPDATE")
	}
	if !prefixesFit(withdrawn, 32) || !prefixesFit(nlri, 32) {
		return invalid(CodeUpdate, 10, nil, "the list of prefixes of an UPDATE is malformed")
	}
	return checkAttributes(attributes)
}

// cut splits b after the bytes that a length of two bytes counts.
func cut(b []byte) (framed, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	size := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+size {
		return nil, nil, false
	}
	return b[2 : 2+size], b[2+size:], true
}

// prefixesFit tells whether a list of prefixes is well formed.
func prefixesFit(b []byte, most int) bool {
	for len(b) > 0 {
		bits := int(b[0])
		size := 1 + (bits+7)/8
		if bits > most || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// checkAttributes checks MP_REACH_NLRI and MP_UNREACH_NLRI. An attribute that exceeds the list ends the list, and the
// routes count as withdrawn (RFC 7606, section 4).
func checkAttributes(list []byte) error {
	var seen [2]bool
	for len(list) >= 3 {
		head, size := 3, int(list[2])
		if list[0]&0x10 != 0 {
			if len(list) < 4 {
				return nil
			}
			head, size = 4, int(binary.BigEndian.Uint16(list[2:]))
		}
		if head+size > len(list) {
			return nil
		}
		attribute, value := list[:head+size], list[head:head+size]
		list = list[head+size:]
		kind := attribute[1]
		if kind != attributeReach && kind != attributeUnreach {
			continue
		}
		if seen[kind-attributeReach] {
			return invalid(CodeUpdate, 1, nil, "an UPDATE has the attribute %d twice", kind)
		}
		seen[kind-attributeReach] = true
		if !multiprotocolFits(value, kind == attributeReach) {
			return invalid(CodeUpdate, 9, attribute, "the attribute %d of an UPDATE is malformed", kind)
		}
	}
	return nil
}

// multiprotocolFits tells whether the value of MP_REACH_NLRI or MP_UNREACH_NLRI is well formed, as far as the family is
// known (RFC 4760, section 7).
func multiprotocolFits(v []byte, reach bool) bool {
	if len(v) < 3 {
		return false
	}
	f, known := familyOf(binary.BigEndian.Uint16(v), v[2])
	v = v[3:]
	if reach {
		if len(v) < 1 || len(v) < 2+int(v[0]) {
			return false
		}
		v = v[2+int(v[0]):]
	}
	return !known || prefixesFit(v, [FamilyCount]int{32, 128}[f])
}

// Prefixes reads a list of prefixes of a family, as AppendPrefix writes it. ok is false for a malformed list.
func Prefixes(b []byte, f Family) (list []netip.Prefix, ok bool) {
	most := [FamilyCount]int{32, 128}[f]
	if !prefixesFit(b, most) {
		return nil, false
	}
	for len(b) > 0 {
		bits := int(b[0])
		size := (bits + 7) / 8
		var raw [16]byte
		copy(raw[:], b[1:1+size])
		addr := netip.AddrFrom16(raw)
		if f == IPv4 {
			addr = netip.AddrFrom4([4]byte(raw[:4]))
		}
		list = append(list, netip.PrefixFrom(addr, bits).Masked())
		b = b[1+size:]
	}
	return list, true
}
