package layer2

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"

	"github.com/lanlord/lanlord/pkg/checksum"
)

// Offsets in an Ethernet frame with an ICMP message in an IPv4 packet without options (RFC 791, RFC 792).
const (
	ip4Start       = 14
	ip4TOS         = 15
	ip4Length      = 16
	ip4ID          = 18
	ip4Fragment    = 20
	ip4TTL         = 22
	ip4Protocol    = 23
	ip4Checksum    = 24
	ip4Source      = 26
	ip4Destination = 30
	ip4End         = 34
	icmp4Checksum  = ip4End + 2
)

// Values at these offsets.
const (
	ip4Plain      = 0x45   // version 4, a header of five words
	ip4Fragmented = 0x3fff // the flag for more fragments, or an offset
	ip4Whole      = 0x4000 // do not fragment: the identification then means nothing (RFC 6864, section 4.1)

	protocolICMP = 1

	echoReply4   = 0
	echoRequest4 = 8
	echoRequest6 = 128
	echoReply6   = 129

	// echoHeader is the length of type, code, checksum, identifier and sequence number.
	echoHeader = 8
	// answerTTL is the initial TTL or hop limit of answers, as in most kernels.
	answerTTL = 64
	// ecnBits masks the bits that only routers may set (RFC 3168, section 5).
	ecnBits = 3
	// leastFrame is the minimum length of an Ethernet frame, without the check sequence.
	leastFrame = 60
)

// pingRate limits the echo requests answered on one interface and in one family: the number in a second, and the number
// at once.
const pingRate = 1000

// pingHandler answers the echo requests of one socket (RFC 1122, section 3.2.2.6; RFC 4443, section 4.2). The handler
// belongs to the goroutine that reads from the socket.
type pingHandler struct {
	reply   [frameSize]byte // the buffer for the next answer
	answers allowance
}

func newPingHandler() *pingHandler { return &pingHandler{answers: newAllowance(pingRate, time.Now())} }

// handle judges a frame, and returns the answer to send, if any. The answer is valid until the next call. handle
// allocates nothing.
func (h *pingHandler) handle(t *table, b []byte) ([]byte, Verdict, Claim) {
	if len(b) < ip4Start {
		return nil, Malformed, Claim{}
	}
	if MAC(b[ethSource:]) == t.MAC {
		return nil, OwnFrame, Claim{}
	}
	judge, answer := (*table).judgeEcho4, h.answer4
	switch ethernet.EtherType(binary.BigEndian.Uint16(b[ethType:])) {
	case ethernet.EtherTypeIPv4:
	case ethernet.EtherTypeIPv6:
		judge, answer = (*table).judgeEcho6, h.answer6
	default:
		return nil, Malformed, Claim{}
	}
	b, v := judge(t, b)
	switch {
	case v != Answered:
		return nil, v, Claim{}
	// A request to a group must not make all stations of the group answer, and no answer may go to a group.
	case !t.reaches(MAC(b[ethDestination:])):
		return nil, WrongDestination, Claim{}
	case MAC(b[ethSource:]).multicast():
		return nil, Malformed, Claim{}
	case !h.answers.take(time.Now()):
		return nil, Limited, Claim{}
	}
	n := copy(h.reply[:], b)
	copy(h.reply[ethDestination:], b[ethSource:ethType])
	copy(h.reply[ethSource:], t.MAC[:])
	answer()
	if n < leastFrame {
		clear(h.reply[n:leastFrame])
		n = leastFrame
	}
	return h.reply[:n], Answered, Claim{}
}

// judgeEcho4 judges an IPv4 packet, and cuts off the bytes after the packet. The verdict Answered means that the packet
// may be answered.
func (t *table) judgeEcho4(b []byte) ([]byte, Verdict) {
	if len(b) < ip4End || b[ip4Start]>>4 != 4 {
		return nil, Malformed
	}
	header := int(b[ip4Start]&0xf) * 4
	end := ip4Start + int(binary.BigEndian.Uint16(b[ip4Length:]))
	if header < ip4End-ip4Start || end < ip4Start+header || end > len(b) {
		return nil, Malformed
	}
	b = b[:end]
	if ^checksum.Fold(checksum.Sum(0, b[ip4Start:ip4Start+header])) != 0 {
		return nil, WrongChecksum
	}
	source, destination := netip.AddrFrom4([4]byte(b[ip4Source:])), netip.AddrFrom4([4]byte(b[ip4Destination:]))
	switch {
	case b[ip4Protocol] != protocolICMP:
		return nil, NotRequest
	case !t.answersPing(destination):
		return nil, NotOurs
	case b[ip4Start] != ip4Plain || binary.BigEndian.Uint16(b[ip4Fragment:])&ip4Fragmented != 0 || !t.answerable(source):
		return nil, Unanswerable
	case len(b) < ip4End+echoHeader:
		return nil, Malformed
	case b[ip4End] != echoRequest4 || b[ip4End+1] != 0:
		return nil, NotRequest
	case ^checksum.Fold(checksum.Sum(0, b[ip4End:])) != 0:
		return nil, WrongChecksum
	}
	return b, Answered
}

// judgeEcho6 judges an IPv6 packet, and cuts off the bytes after the packet. The verdict Answered means that the packet
// may be answered.
func (t *table) judgeEcho6(b []byte) ([]byte, Verdict) {
	if len(b) < icmp6Start || b[ip6Start]>>4 != 6 {
		return nil, Malformed
	}
	end := icmp6Start + int(binary.BigEndian.Uint16(b[ip6PayloadLength:]))
	if end > len(b) {
		return nil, Malformed
	}
	b = b[:end]
	source, destination := netip.AddrFrom16([16]byte(b[ip6Source:])), netip.AddrFrom16([16]byte(b[ip6Destination:]))
	switch {
	case b[ip6NextHeader] != protocolICMPv6: // or an extension header comes first, as in each fragment
		return nil, NotRequest
	case !t.answersPing(destination):
		return nil, NotOurs
	case !t.answerable(source):
		return nil, Unanswerable
	case len(b) < icmp6Start+echoHeader:
		return nil, Malformed
	case b[icmp6Start] != echoRequest6 || b[icmp6Code] != 0:
		return nil, NotRequest
	case checksumICMPv6(b) != 0:
		return nil, WrongChecksum
	}
	return b, Answered
}

// answersPing reports whether this process answers echo requests to addr. If the kernel has the address too, as with
// kube-proxy in IPVS mode, the kernel answers.
func (t *table) answersPing(addr netip.Addr) bool {
	return !t.kernel.Has(addr) && t.holds(addr)
}

// answerable reports whether a packet from source may be answered: source belongs to a single station, and this node
// does not answer for source. Otherwise two nodes could answer each other without end.
func (t *table) answerable(source netip.Addr) bool {
	const reserved = 240 // the first address of class E; the limited broadcast address lies above
	if source.IsUnspecified() || source.IsMulticast() || source.IsLoopback() || source.Is4In6() || t.holds(source) {
		return false
	}
	if !source.Is4() {
		return true
	}
	a := source.As4()
	if a[0] == 0 || a[0] >= reserved {
		return false
	}
	for _, p := range t.Prefixes {
		if host := p.Addr().BitLen() - p.Bits(); host > 1 && p.Contains(source) {
			low := ^uint32(0) >> (32 - host)
			if binary.BigEndian.Uint32(a[:])&low == low {
				return false // the subnet's broadcast address
			}
		}
	}
	return true
}

// answer4 turns the request in h.reply into its reply, sent from the destination address of the request. The rest of
// the message stays unchanged.
func (h *pingHandler) answer4() {
	r := h.reply[:]
	r[ip4TOS] &^= ecnBits
	binary.BigEndian.PutUint16(r[ip4ID:], 0)
	binary.BigEndian.PutUint16(r[ip4Fragment:], ip4Whole)
	r[ip4TTL] = answerTTL
	source := [4]byte(r[ip4Source:])
	copy(r[ip4Source:], r[ip4Destination:ip4End])
	copy(r[ip4Destination:], source[:])
	binary.BigEndian.PutUint16(r[ip4Checksum:], 0)
	binary.BigEndian.PutUint16(r[ip4Checksum:], ^checksum.Fold(checksum.Sum(0, r[ip4Start:ip4End])))
	retype(r[ip4End:], echoReply4)
}

// answer6 turns an ICMPv6 request in h.reply into its reply. The exchange of the two addresses does not change the
// checksum.
func (h *pingHandler) answer6() {
	r := h.reply[:]
	// The version and the traffic class stay, the latter without the bits of routers. The flow label belongs to the
	// sender of the request and is cleared.
	r[ip6Start+1] &= 0xf0 &^ (ecnBits << 4)
	r[ip6Start+2], r[ip6Start+3] = 0, 0
	r[ip6HopLimit] = answerTTL
	source := [16]byte(r[ip6Source:])
	copy(r[ip6Source:], r[ip6Destination:icmp6Start])
	copy(r[ip6Destination:], source[:])
	retype(r[icmp6Start:], echoReply6)
}

// retype changes the type of an ICMP message, and updates the checksum (RFC 1624, section 3, equation 3).
func retype(message []byte, kind byte) {
	const code, check = 1, 2
	before := binary.BigEndian.Uint16(message)
	message[0], message[code] = kind, 0
	after := uint32(binary.BigEndian.Uint16(message))
	old := binary.BigEndian.Uint16(message[check:])
	binary.BigEndian.PutUint16(message[check:], ^checksum.Fold(uint32(^old)+uint32(^before)+after))
}
