package ether

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the usual form, as 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Claim is a frame by which a host says that the host has an address.
type Claim struct {
	// At is the time of arrival, and ToOther is true for an answer to another host than the one that listens. The
	// listener sets both.
	At      time.Time
	ToOther bool

	Addr netip.Addr
	MAC  MAC
	// Announced is true if nobody asked: gratuitous ARP, or an unsolicited neighbour advertisement. Request is true for an
	// ARP request, which claims the address of its sender.
	Announced, Request bool
	// To is the target of an ARP packet, or the receiver of an advertisement: in an answer, the address of the asker.
	To netip.Addr
	// Option is the target link-layer address of an advertisement (RFC 4861, section 4.6.1), zero if there is none.
	Option MAC
	// VLANs are the tags of the frame, the outer one first.
	VLANs []uint16
}

// String returns the claim for the message of a failed test.
func (c Claim) String() string {
	kind := "answer to " + c.To.String()
	if c.Announced {
		kind = "announcement"
	}
	return fmt.Sprintf("%s of %s by %s, VLANs %v", kind, c.Addr, c.MAC, c.VLANs)
}

// ParseClaim reads an Ethernet frame with any number of VLAN tags, and returns false if the frame claims no address.
func ParseClaim(frame []byte) (c Claim, ok bool) {
	vlans, frame := Untagged(frame)
	if len(frame) < HeaderSize {
		return Claim{}, false
	}
	switch body := frame[HeaderSize:]; binary.BigEndian.Uint16(frame[12:]) {
	case TypeARP:
		c, ok = parseARP(body)
	case TypeIPv6:
		c, ok = parseAdvertisement(body, MAC(frame[6:12]))
	}
	c.VLANs = vlans
	return c, ok
}

// parseARP reads a packet of RFC 826. The sender of any packet has the sender's address, unless the address is
// unspecified (RFC 5227, section 1.1). The packet is an announcement if its target is the same address.
func parseARP(b []byte) (Claim, bool) {
	if len(b) < arpSize || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return Claim{}, false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	return Claim{
		Addr: sender, MAC: MAC(b[8:14]), Announced: sender == target, Request: b[7] == 1, To: target,
	}, !sender.IsUnspecified()
}

// parseAdvertisement reads an IPv6 packet of a host.
func parseAdvertisement(b []byte, from MAC) (Claim, bool) {
	if len(b) < IPv6HeaderSize+24 || b[6] != ProtocolICMPv6 || b[IPv6HeaderSize] != NeighborAdvertisement {
		return Claim{}, false
	}
	to := netip.AddrFrom16([16]byte(b[24:]))
	b = b[IPv6HeaderSize:]
	return Claim{
		Addr: netip.AddrFrom16([16]byte(b[8:24])), MAC: from, Announced: b[4]&SolicitedFlag == 0, To: to, Option: targetOption(b[24:]),
	}, true
}

// targetOption returns the target link-layer address in the options of an advertisement.
func targetOption(options []byte) MAC {
	const target, unit = 2, 8 // the length of an option is in units of 8 bytes
	for len(options) >= unit {
		if options[0] == target && options[1] == 1 {
			return MAC(options[2:])
		}
		size := int(options[1]) * unit
		if size == 0 || size > len(options) {
			break
		}
		options = options[size:]
	}
	return MAC{}
}
