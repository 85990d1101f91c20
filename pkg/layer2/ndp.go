package layer2

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/checksum"
)

// Offsets in an Ethernet frame with a neighbour solicitation or advertisement (RFC 4861, sections 4.3 and 4.4).
const (
	ip6Start         = 14
	ip6PayloadLength = 18
	ip6NextHeader    = 20
	ip6HopLimit      = 21
	ip6Source        = 22
	ip6Destination   = 38
	icmp6Start       = 54
	icmp6Code        = 55
	icmp6Checksum    = 56
	ndpFlags         = 58
	ndpTarget        = 62
	ndpOptions       = 78
)

// Values at these offsets.
const (
	protocolICMPv6 = 58

	typeSolicitation  = 135
	typeAdvertisement = 136

	flagSolicited = 0x40

	optionSourceMAC = 1
	optionTargetMAC = 2
)

// allNodes is ff02::1, and allNodesMAC the hardware address of the group (RFC 2464, section 7).
var (
	allNodes    = netip.IPv6LinkLocalAllNodes()
	allNodesMAC = MAC{0x33, 0x33, 0, 0, 0, 1}
)

// ndpHandler answers the NDP frames of one socket. The handler belongs to the goroutine that reads from the socket.
type ndpHandler struct {
	name  string
	reply []byte // the buffer for the next answer
}

func newNDPHandler(i Interface) (*ndpHandler, error) {
	reply, err := ndpAdvertisement(i.MAC, allNodesMAC, allNodes, netip.IPv6Unspecified(), true)
	if err != nil {
		return nil, err
	}
	return &ndpHandler{name: i.Name, reply: reply}, nil
}

// handle judges a frame. handle returns the answer to send, if any, and the claim that the frame makes, if any. The
// answer is valid until the next call. handle allocates nothing.
func (h *ndpHandler) handle(t *table, b []byte) ([]byte, Verdict, Claim) {
	b, v := validateNDP(b)
	if v != Answered {
		return nil, v, Claim{}
	}
	if MAC(b[ethSource:]) == t.MAC {
		return nil, OwnFrame, Claim{}
	}
	if b[icmp6Start] == typeAdvertisement {
		claim := h.advertised(t, b)
		return nil, t.claimedOr(NotRequest, claim), claim
	}
	asker, stated, _ := linkLayerOption(b, optionSourceMAC)
	if !stated {
		asker = MAC(b[ethSource:])
	}
	if asker.multicast() {
		return nil, Malformed, Claim{}
	}
	claim := t.claim(h.name, netip.AddrFrom16([16]byte(b[ip6Source:])), asker, Solicitation)
	if !t.holds(netip.AddrFrom16([16]byte(b[ndpTarget:]))) {
		return nil, t.claimedOr(NotOurs, claim), claim
	}
	if !solicitsHere(t, b) {
		return nil, t.claimedOr(WrongDestination, claim), claim
	}
	toUs := !MAC(b[ethDestination:]).multicast()
	fromLink := netip.AddrFrom16([16]byte(b[ip6Source:])).IsLinkLocalUnicast()
	return h.answer(b, asker), t.askedBy(asker, toUs && fromLink), claim
}

// validateNDP makes the checks of RFC 4861 for every solicitation (section 7.1.1) and advertisement (7.1.2), and cuts
// off the bytes after the message. The verdict Answered means that the message is valid.
func validateNDP(b []byte) ([]byte, Verdict) {
	if len(b) < ndpOptions || binary.BigEndian.Uint16(b[ethType:]) != uint16(ethernet.EtherTypeIPv6) || b[ip6Start]>>4 != 6 ||
		b[ip6NextHeader] != protocolICMPv6 || b[icmp6Start] != typeSolicitation && b[icmp6Start] != typeAdvertisement {
		return nil, Malformed
	}
	if b[ip6HopLimit] != ndp.HopLimit {
		return nil, WrongHopLimit
	}
	end := icmp6Start + int(binary.BigEndian.Uint16(b[ip6PayloadLength:]))
	if end < ndpOptions || end > len(b) || b[icmp6Code] != 0 {
		return nil, Malformed
	}
	b = b[:end]
	// One's complement: a message with a correct checksum adds up to zero.
	if checksumICMPv6(b) != 0 {
		return nil, WrongChecksum
	}
	const multicastPrefix = 0xff
	sourceMAC, stated, ok := linkLayerOption(b, optionSourceMAC)
	if !ok || stated && sourceMAC == (MAC{}) || b[ndpTarget] == multicastPrefix || b[ip6Source] == multicastPrefix {
		return nil, Malformed
	}
	toGroup := b[ip6Destination] == multicastPrefix
	if b[icmp6Start] == typeAdvertisement {
		if toGroup && b[ndpFlags]&flagSolicited != 0 {
			return nil, Malformed
		}
		return b, Answered
	}
	if source := netip.AddrFrom16([16]byte(b[ip6Source:])); source.IsUnspecified() && (!toGroup || stated) {
		return nil, Malformed
	}
	return b, Answered
}

// solicitsHere reports whether a solicitation was sent to this station: to the solicited-node group of its target or,
// by a neighbour that confirms its entry, to the target itself or to the link-local address of this station.
func solicitsHere(t *table, b []byte) bool {
	if mac := MAC(b[ethDestination:]); !t.reaches(mac) && (mac[0] != 0x33 || mac[1] != 0x33) {
		return false
	}
	destination := netip.AddrFrom16([16]byte(b[ip6Destination:]))
	target := netip.AddrFrom16([16]byte(b[ndpTarget:]))
	return destination == solicitedNode(target) || destination == target || destination == t.LinkLocal
}

// linkLayerOption looks for the option of type kind with a hardware address. ok is false when the options are
// malformed: an option of length zero would never end (RFC 4861, section 4.6).
func linkLayerOption(b []byte, kind byte) (mac MAC, found, ok bool) {
	for o := b[ndpOptions:]; len(o) > 0; {
		if len(o) < 2 || o[1] == 0 || len(o) < int(o[1])*8 {
			return MAC{}, false, false
		}
		if o[0] == kind && o[1] == 1 && !found {
			mac, found = MAC(o[2:]), true
		}
		o = o[int(o[1])*8:]
	}
	return mac, found, true
}

// advertised returns the claim that an advertisement makes, or no claim.
func (h *ndpHandler) advertised(t *table, b []byte) Claim {
	mac, stated, _ := linkLayerOption(b, optionTargetMAC)
	if !stated {
		mac = MAC(b[ethSource:])
	}
	if mac.multicast() {
		return Claim{}
	}
	claim := t.claim(h.name, netip.AddrFrom16([16]byte(b[ndpTarget:])), mac, Advertisement)
	claim.Answer = claim.Addr.IsValid() && b[ndpFlags]&flagSolicited != 0
	return claim
}

// answer writes the advertisement of RFC 4861 (section 7.2.4) into the frame from newNDPHandler. Duplicate address
// detection comes from the unspecified address; its answer goes to all nodes with S=0.
func (h *ndpHandler) answer(solicitation []byte, asker MAC) []byte {
	r := h.reply
	r[ndpFlags] |= flagSolicited
	destination := netip.AddrFrom16([16]byte(solicitation[ip6Source:]))
	if destination.IsUnspecified() {
		r[ndpFlags] &^= flagSolicited
		destination, asker = allNodes, allNodesMAC
	}
	to := destination.As16()
	copy(r[ethDestination:], asker[:])
	copy(r[ip6Source:], solicitation[ndpTarget:ndpOptions])
	copy(r[ip6Destination:], to[:])
	copy(r[ndpTarget:], solicitation[ndpTarget:ndpOptions])
	r[icmp6Checksum], r[icmp6Checksum+1] = 0, 0
	binary.BigEndian.PutUint16(r[icmp6Checksum:], checksumICMPv6(r))
	return r
}

// checksumICMPv6 computes the Internet checksum of an ICMPv6 message with its pseudo header (RFC 8200, section 8.1). The
// message must end at the end of the frame.
func checksumICMPv6(frame []byte) uint16 {
	// The two IPv6 addresses directly precede the message, so one pass covers both.
	return ^checksum.Fold(checksum.Sum(uint32(len(frame)-icmp6Start)+protocolICMPv6, frame[ip6Source:]))
}

// solicitedNode returns the multicast group for solicitations of addr, ff02::1:ffXX:XXXX (RFC 4291, section 2.7.1).
func solicitedNode(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

// ndpAnnouncement returns the unsolicited advertisement to all nodes (RFC 4861, section 7.2.6), with O=1: the address
// may have moved here from another station.
func ndpAnnouncement(mac MAC, addr netip.Addr) ([]byte, error) {
	return ndpAdvertisement(mac, allNodesMAC, allNodes, addr, false)
}

// ndpAdvertisement encodes a neighbour advertisement with O=1 and the target link-layer option. The source is the
// target itself, as in the advertisements of kernels: some programs accept no advertisement of a global address from a
// link-local address.
func ndpAdvertisement(mac, to MAC, destination, target netip.Addr, solicited bool) ([]byte, error) {
	return ndpFrame(to, mac, target, destination, &ndp.NeighborAdvertisement{
		Solicited:     solicited,
		Override:      true,
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac[:]}},
	})
}

// ndpFrame encodes a message in an IPv6 packet with hop limit 255 in an Ethernet frame.
func ndpFrame(to, from MAC, origin, destination netip.Addr, m ndp.Message) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(m, origin, destination)
	if err != nil {
		return nil, fmt.Errorf("encode NDP message from %s: %w", origin, err)
	}
	source, final := origin.As16(), destination.As16()
	payload := make([]byte, icmp6Start-ip6Start, icmp6Start-ip6Start+len(message))
	payload[0] = 6 << 4
	binary.BigEndian.PutUint16(payload[ip6PayloadLength-ip6Start:], uint16(len(message)))
	payload[ip6NextHeader-ip6Start] = protocolICMPv6
	payload[ip6HopLimit-ip6Start] = ndp.HopLimit
	copy(payload[ip6Source-ip6Start:], source[:])
	copy(payload[ip6Destination-ip6Start:], final[:])
	payload = append(payload, message...)
	f := ethernet.Frame{Destination: to[:], Source: from[:], EtherType: ethernet.EtherTypeIPv6, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode Ethernet frame from %s: %w", origin, err)
	}
	return b, nil
}
