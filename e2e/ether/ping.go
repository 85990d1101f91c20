package ether

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// pingID is the identifier of all pings.
const pingID = 7

// Ping returns an echo request (RFC 792; RFC 4443, section 4.1) with its number as data. The checksum of ICMPv6 is left
// to the kernel.
func Ping(number uint32, four bool) []byte {
	b := binary.BigEndian.AppendUint32([]byte{128, 0, 0, 0, pingID >> 8, pingID & 0xff, byte(number >> 8), byte(number)}, number)
	if !four {
		return b
	}
	b[0] = 8
	binary.BigEndian.PutUint16(b[2:], internetChecksum(b))
	return b
}

// ParseReply returns the number of the ping that a message answers, and false if the message answers none. In IPv4 the
// header comes before the message.
func ParseReply(b []byte, four bool) (uint32, bool) {
	kind := byte(129)
	if four {
		if len(b) < ipv4HeaderSize {
			return 0, false
		}
		kind, b = 0, b[min(len(b), int(b[0]&0xf)*4):]
	}
	if len(b) < 12 || b[0] != kind || binary.BigEndian.Uint16(b[4:]) != pingID {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[8:]), true
}

// Echo returns a frame with a ping of an address, to its owner, with an even number of additional bytes.
func Echo(addr, sender netip.Addr, owner, mac MAC, size int) []byte {
	message := append(Ping(0, addr.Is4()), make([]byte, size&^1)...)
	if addr.Is6() {
		return packet6(owner, mac, sender.As16(), addr.As16(), message)
	}
	header := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocolICMP, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(ipv4HeaderSize+len(message)))
	header = append(append(header, sender.AsSlice()...), addr.AsSlice()...)
	return Resummed(slices.Concat(owner[:], mac[:], []byte{TypeIPv4 >> 8, TypeIPv4 & 0xff}, header, message))
}
