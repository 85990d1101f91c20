package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the usual form, as 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Claim is a frame by which a station says that it has an address.
type Claim struct {
	At   time.Time
	Addr netip.Addr
	MAC  MAC
	// Announced is true where nobody had asked: gratuitous ARP, or an unsolicited neighbour advertisement.
	Announced bool
	// ToOther is true for an answer to another station than the one that listens.
	ToOther bool
}

const (
	etherHeader = 14
	etherARP    = 0x0806
	etherIPv6   = 0x86dd

	ipv6Header    = 40
	protocolICMP6 = 58

	// The types of RFC 4861, sections 4.3 and 4.4, and the advertisement's flag S.
	neighborSolicitation  = 135
	neighborAdvertisement = 136
	solicitedFlag         = 0x40
)

// parseClaim reads an Ethernet frame, and returns false if it claims no address.
func parseClaim(frame []byte) (Claim, bool) {
	if len(frame) < etherHeader {
		return Claim{}, false
	}
	switch body := frame[etherHeader:]; binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return parseARP(body)
	case etherIPv6:
		return parseAdvertisement(body, MAC(frame[6:12]))
	}
	return Claim{}, false
}

// parseARP reads a packet of RFC 826. Whoever sends one has its sender's address, unless that is unspecified (RFC 5227,
// section 1.1). It is an announcement if it asks for or tells the same address as target.
func parseARP(b []byte) (Claim, bool) {
	if len(b) < 28 || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return Claim{}, false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	return Claim{Addr: sender, MAC: MAC(b[8:14]), Announced: sender == target}, !sender.IsUnspecified()
}

// parseAdvertisement reads the IPv6 packet that a station sends.
func parseAdvertisement(b []byte, from MAC) (Claim, bool) {
	if len(b) < ipv6Header+24 || b[6] != protocolICMP6 || b[ipv6Header] != neighborAdvertisement {
		return Claim{}, false
	}
	b = b[ipv6Header:]
	return Claim{Addr: netip.AddrFrom16([16]byte(b[8:24])), MAC: from, Announced: b[4]&solicitedFlag == 0}, true
}

// question returns the frame with which a station asks all others who has an address: an ARP request (RFC 826), or a
// neighbour solicitation (RFC 4861, section 4.3). sender is the asker's address of the same family.
func question(addr, sender netip.Addr, mac MAC) []byte {
	if addr.Is4() {
		frame := append(bytes.Repeat([]byte{0xff}, 6), mac[:]...)
		frame = append(frame, etherARP>>8, etherARP&0xff, 0, 1, 8, 0, 6, 4, 0, 1)
		frame = append(frame, mac[:]...)
		frame = append(frame, sender.AsSlice()...)
		return append(append(frame, make([]byte, 6)...), addr.AsSlice()...)
	}
	target, source := addr.As16(), sender.As16()
	group := [16]byte{0xff, 2, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}
	message := append([]byte{neighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	message = append(append(message, 1, 1), mac[:]...)
	sum := checksum(source, group, message)
	binary.BigEndian.PutUint16(message[2:], sum)

	frame := append([]byte{0x33, 0x33}, group[12:]...)
	frame = append(append(frame, mac[:]...), etherIPv6>>8, etherIPv6&0xff)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(message)), protocolICMP6, 255) // the hop limit of RFC 4861
	frame = append(append(frame, source[:]...), group[:]...)
	return append(frame, message...)
}

// checksum is that of ICMPv6 (RFC 4443, section 2.3). The message's length is even.
func checksum(source, destination [16]byte, message []byte) uint16 {
	pseudo := binary.BigEndian.AppendUint32(slices.Concat(source[:], destination[:]), uint32(len(message)))
	return internetChecksum(append(append(pseudo, 0, 0, 0, protocolICMP6), message...))
}

// internetChecksum is that of RFC 1071, of an even number of bytes.
func internetChecksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
