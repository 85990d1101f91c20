package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// announcement returns what a station says to all that has an address: a gratuitous reply, or an unsolicited advertisement that overrides.
func announcement(addr netip.Addr, mac MAC) []byte {
	if addr.Is4() {
		frame := question(addr, addr, mac)
		frame[arpStart+7] = 2
		copy(frame[arpStart+18:], mac[:])
		return frame
	}
	const override, targetOption = 0x20, 2
	target := addr.As16()
	message := append([]byte{neighborAdvertisement, 0, 0, 0, override, 0, 0, 0}, target[:]...)
	message = append(append(message, targetOption, 1), mac[:]...)
	return packet6(MAC{0x33, 0x33, 0, 0, 0, 1}, mac, target, netip.IPv6LinkLocalAllNodes().As16(), message)
}

// echo returns a ping of the address, to the station that has it.
func echo(addr, sender netip.Addr, owner, mac MAC, size int) []byte {
	message := append(ping(0, addr.Is4()), make([]byte, size&^1)...)
	if addr.Is6() {
		return packet6(owner, mac, sender.As16(), addr.As16(), message)
	}
	header := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocolICMP, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(message)))
	header = append(append(header, sender.AsSlice()...), addr.AsSlice()...)
	return resummed(slices.Concat(owner[:], mac[:], []byte{etherIPv4 >> 8, etherIPv4 & 0xff}, header, message))
}

// resummed puts the checksum of the IPv4 header right, where it is one.
func resummed(frame []byte) []byte {
	if binary.BigEndian.Uint16(frame[12:]) == etherIPv4 {
		header := frame[etherHeader : etherHeader+20]
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], internetChecksum(header))
		return frame
	}
	return summed(frame)
}

// packet6 returns an ICMPv6 message in a frame, with the hop limit of RFC 4861 and its checksum.
func packet6(to, from MAC, source, destination [16]byte, message []byte) []byte {
	header := []byte{0x60, 0, 0, 0, 0, 0, protocolICMP6, 255}
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	return summed(slices.Concat(to[:], from[:], []byte{etherIPv6 >> 8, etherIPv6 & 0xff}, header, source[:], destination[:], message))
}

// summed puts the checksum of an ICMPv6 message right.
func summed(frame []byte) []byte {
	message := frame[icmp6:]
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], checksum([16]byte(frame[ipv6Source:]), [16]byte(frame[ipv6Target:]), message))
	return frame
}

// addressed sends the frame to another station.
func addressed(frame []byte, to MAC) []byte {
	copy(frame, to[:])
	return frame
}

// tagged returns the frame with the tag of a VLAN (IEEE 802.1Q).
func tagged(frame []byte, vlan int) []byte {
	return slices.Concat(frame[:12], []byte{etherVLAN >> 8, etherVLAN & 0xff, byte(vlan >> 8 & 0xf), byte(vlan)}, frame[12:])
}

// solicitedGroup returns the solicited-node group of an address (RFC 4291, section 2.7.1), and groupMAC where its frames go.
func solicitedGroup(addr netip.Addr) [16]byte {
	a := addr.As16()
	return [16]byte{0xff, 2, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
}

func groupMAC(addr netip.Addr) MAC {
	a := addr.As16()
	return MAC{0x33, 0x33, 0xff, a[13], a[14], a[15]}
}
