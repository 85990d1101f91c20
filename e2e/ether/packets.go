package ether

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
)

// The types of a frame (EtherType) and the protocols of an IP packet.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd

	protocolICMP   = 1
	ProtocolICMPv6 = 58
)

// The types of RFC 4861, sections 4.3 and 4.4, and the flag S of an advertisement.
const (
	NeighborSolicitation  = 135
	NeighborAdvertisement = 136
	SolicitedFlag         = 0x40
)

// Places in a frame without VLAN tags.
const (
	HeaderSize     = 14
	IPv6HeaderSize = 40
	ipv4HeaderSize = 20
	arpSize        = 28

	ARPStart    = HeaderSize
	ARPSender   = HeaderSize + 8
	ARPFrom     = HeaderSize + 14
	IPv6Length  = HeaderSize + 4
	IPv6Hops    = HeaderSize + 7
	IPv6Source  = HeaderSize + 8
	IPv6Target  = HeaderSize + 24
	ICMPv6Start = HeaderSize + IPv6HeaderSize
)

// broadcast is the MAC address of all hosts.
var broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Question returns the frame with which a host asks all others who has an address: an ARP request (RFC 826), or a
// neighbour solicitation (RFC 4861, section 4.3). sender is the asker's address of the same family.
func Question(addr, sender netip.Addr, mac MAC) []byte {
	if addr.Is4() {
		frame := slices.Concat(broadcast[:], mac[:], []byte{TypeARP >> 8, TypeARP & 0xff, 0, 1, 8, 0, 6, 4, 0, 1}, mac[:])
		return slices.Concat(frame, sender.AsSlice(), make([]byte, 6), addr.AsSlice())
	}
	message := append(solicitation(addr), append([]byte{1, 1}, mac[:]...)...)
	return packet6(groupMAC(addr), mac, sender.As16(), solicitedGroup(addr), message)
}

// Detection returns the question of a host that is about to take an address: an ARP probe (RFC 5227, section 2.1.1), or
// duplicate address detection (RFC 4862, section 5.4.2).
func Detection(addr netip.Addr, mac MAC) []byte {
	if addr.Is4() {
		return Question(addr, netip.IPv4Unspecified(), mac)
	}
	return packet6(groupMAC(addr), mac, [16]byte{}, solicitedGroup(addr), solicitation(addr))
}

// solicitation returns a neighbour solicitation without options.
func solicitation(addr netip.Addr) []byte {
	return append([]byte{NeighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, addr.AsSlice()...)
}

// Announcement returns the frame by which a host tells all others that the host has an address: a gratuitous reply, or an
// unsolicited advertisement that overrides.
func Announcement(addr netip.Addr, mac MAC) []byte {
	if addr.Is4() {
		frame := Question(addr, addr, mac)
		frame[ARPStart+7] = 2
		copy(frame[ARPStart+18:], mac[:])
		return frame
	}
	const override, targetOption = 0x20, 2
	target := addr.As16()
	message := append([]byte{NeighborAdvertisement, 0, 0, 0, override, 0, 0, 0}, target[:]...)
	message = append(append(message, targetOption, 1), mac[:]...)
	return packet6(MAC{0x33, 0x33, 0, 0, 0, 1}, mac, target, netip.IPv6LinkLocalAllNodes().As16(), message)
}

// Answer returns the answer of a host with every address to a question in a frame, and the address in question. It
// returns false if the frame is no question, or is the host's own.
func Answer(frame []byte, mac MAC) (answer []byte, addr netip.Addr, ok bool) {
	if len(frame) < HeaderSize+arpSize || MAC(frame[6:]) == mac {
		return nil, addr, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case TypeARP:
		if frame[ARPStart+7] == 1 {
			addr = netip.AddrFrom4([4]byte(frame[ARPStart+24:]))
		}
	case TypeIPv6:
		if len(frame) >= ICMPv6Start+24 && frame[HeaderSize+6] == ProtocolICMPv6 && frame[ICMPv6Start] == NeighborSolicitation {
			addr = netip.AddrFrom16([16]byte(frame[ICMPv6Start+8:]))
		}
	}
	if !addr.IsValid() {
		return nil, addr, false
	}
	answer = SentTo(Announcement(addr, mac), MAC(frame[6:]))
	if addr.Is4() {
		copy(answer[ARPStart+18:], frame[ARPSender:ARPSender+10])
		return answer, addr, true
	}
	if asker := [16]byte(frame[IPv6Source:]); asker != ([16]byte{}) {
		copy(answer[IPv6Target:], asker[:])
		answer[ICMPv6Start+4] |= SolicitedFlag
	}
	return Summed(answer), addr, true
}

// SentTo sends the frame to another host, and returns the same frame.
func SentTo(frame []byte, to MAC) []byte {
	copy(frame, to[:])
	return frame
}

// packet6 returns an ICMPv6 message in a frame, with the hop limit of RFC 4861 and the checksum.
func packet6(to, from MAC, source, destination [16]byte, message []byte) []byte {
	header := []byte{0x60, 0, 0, 0, 0, 0, ProtocolICMPv6, 255}
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	return Summed(slices.Concat(to[:], from[:], []byte{TypeIPv6 >> 8, TypeIPv6 & 0xff}, header, source[:], destination[:], message))
}

// Resummed corrects the checksum of the IPv4 header, or of the ICMPv6 message, and returns the same frame.
func Resummed(frame []byte) []byte {
	if binary.BigEndian.Uint16(frame[12:]) == TypeIPv4 {
		header := frame[HeaderSize : HeaderSize+ipv4HeaderSize]
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], internetChecksum(header))
		return frame
	}
	return Summed(frame)
}

// Summed corrects the checksum of an ICMPv6 message (RFC 4443, section 2.3), and returns the same frame.
func Summed(frame []byte) []byte {
	message := frame[ICMPv6Start:]
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], checksum(frame[IPv6Source:IPv6Target], frame[IPv6Target:ICMPv6Start], message))
	return frame
}

// checksum returns the checksum of an ICMPv6 message and its pseudo header.
func checksum(source, destination, message []byte) uint16 {
	pseudo := binary.BigEndian.AppendUint32(slices.Concat(source, destination), uint32(len(message)))
	return internetChecksum(append(append(pseudo, 0, 0, 0, ProtocolICMPv6), message...))
}

// internetChecksum returns the checksum of RFC 1071.
func internetChecksum(b []byte) uint16 {
	if len(b)%2 != 0 {
		b = append(bytes.Clone(b), 0)
	}
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// solicitedGroup returns the solicited-node group of an address (RFC 4291, section 2.7.1).
func solicitedGroup(addr netip.Addr) [16]byte {
	a := addr.As16()
	return [16]byte{0xff, 2, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
}

// groupMAC returns the MAC address of the solicited-node group of an address (RFC 2464, section 7).
func groupMAC(addr netip.Addr) MAC {
	a := addr.As16()
	return MAC{0x33, 0x33, 0xff, a[13], a[14], a[15]}
}
