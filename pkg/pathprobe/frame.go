package pathprobe

import (
	"encoding/binary"
	"net/netip"

	"github.com/lanlord/lanlord/pkg/checksum"
)

// MAC is an IEEE 802 hardware address of 48 bits.
type MAC [6]byte

// Flow names the two ends of a probe. Both addresses have the same family.
type Flow struct {
	// From is the hardware address of the prober's interface, To the hardware address of the probed station.
	From, To MAC
	// Source is the address of the prober with the port of the first question; each further question uses the next
	// port. Service is the address and the port of the Service. With port 0, the questions are echo requests (pings)
	// instead of SYNs, and the source port is the identifier: the speaker that has the address answers them, so they
	// pass by the service proxy and the forwarding of the node.
	Source, Service netip.AddrPort
}

// echo reports whether the questions are echo requests.
func (f Flow) echo() bool { return f.Service.Port() == 0 }

// Lengths of headers in bytes: Ethernet, IPv4 without options, IPv6, TCP without options.
const (
	ethHeader = 14
	ip4Header = 20
	ip6Header = 40
	tcpHeader = 20
)

// Protocol numbers.
const (
	protocolICMP   = 1
	protocolTCP    = 6
	protocolICMPv6 = 58
	etherIPv4      = 0x0800
	etherIPv6      = 0x86dd
)

// Flags of a TCP segment (RFC 9293, section 3.1).
const (
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// Types of ICMP messages without an error, and the length of an echo request: the header (RFC 792, page 14; RFC 4443,
// section 4.1) and the sequence number of the probe as data.
const (
	echoReply4, echoRequest4 = 0, 8
	echoRequest6, echoReply6 = 128, 129
	echoLength               = 12
)

const (
	// hopLimit is the initial TTL or hop limit, as in most kernels.
	hopLimit = 64
	// doNotFragment is the flag in an IPv4 header without an identification (RFC 6864, section 4.1).
	doNotFragment = 0x4000
	// window is the offered window. No data follows, so the value has no effect.
	window = 64240
	// mss4 and mss6 are the greatest segments on Ethernet (RFC 9293, section 3.7.1).
	mss4, mss6 = 1460, 1440
	// leastFrame is the minimum length of an Ethernet frame, without the check sequence.
	leastFrame = 60
)

// question returns the frame of question number n.
func (f Flow) question(n int, seq uint32) []byte {
	if !f.echo() {
		return f.syn(n, seq)
	}
	b := make([]byte, echoLength)
	kind, protocol := byte(echoRequest4), byte(protocolICMP)
	if f.Service.Addr().Is6() {
		kind, protocol = echoRequest6, protocolICMPv6
	}
	b[0] = kind
	binary.BigEndian.PutUint16(b[4:], f.Source.Port()+uint16(n))
	binary.BigEndian.PutUint32(b[8:], seq)
	check := ^checksum.Fold(checksum.Sum(0, b))
	if protocol == protocolICMPv6 {
		check = checksumOf(f.Source.Addr(), f.Service.Addr(), protocol, b)
	}
	binary.BigEndian.PutUint16(b[2:], check)
	return f.frame(protocol, b)
}

// syn returns the frame of question number n, from sequence number seq (RFC 9293, section 3.5).
func (f Flow) syn(n int, seq uint32) []byte {
	mss := uint16(mss4)
	if f.Service.Addr().Is6() {
		mss = mss6
	}
	options := binary.BigEndian.AppendUint16([]byte{2, 4}, mss)
	return f.frame(protocolTCP, f.segment(n, seq, flagSYN, options))
}

// rst returns the frame that ends question number n. seq is the sequence number after the SYN: the far end accepts only
// a RST with the number that it expects next (RFC 9293, section 3.5.3). Connection tracking forgets the question.
func (f Flow) rst(n int, seq uint32) []byte {
	return f.frame(protocolTCP, f.segment(n, seq, flagRST, nil))
}

// segment returns a TCP segment with its checksum.
func (f Flow) segment(n int, seq uint32, flags byte, options []byte) []byte {
	b := make([]byte, tcpHeader, tcpHeader+len(options))
	binary.BigEndian.PutUint16(b[0:], f.Source.Port()+uint16(n))
	binary.BigEndian.PutUint16(b[2:], f.Service.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12] = byte((tcpHeader + len(options)) / 4 << 4)
	b[13] = flags
	if flags&flagRST == 0 {
		binary.BigEndian.PutUint16(b[14:], window)
	}
	b = append(b, options...)
	binary.BigEndian.PutUint16(b[16:], checksumOf(f.Source.Addr(), f.Service.Addr(), protocolTCP, b))
	return b
}

// frame wraps a message into an IP packet and an Ethernet frame.
func (f Flow) frame(protocol byte, message []byte) []byte {
	b := append(append(make([]byte, 0, leastFrame), f.To[:]...), f.From[:]...)
	source, destination := f.Source.Addr(), f.Service.Addr()
	if destination.Is4() {
		b = binary.BigEndian.AppendUint16(b, etherIPv4)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(ip4Header+len(message)))
		b = binary.BigEndian.AppendUint16(b, 0)
		b = binary.BigEndian.AppendUint16(b, doNotFragment)
		b = append(b, hopLimit, protocol, 0, 0)
		b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
		binary.BigEndian.PutUint16(b[ethHeader+10:], ^checksum.Fold(checksum.Sum(0, b[ethHeader:])))
	} else {
		b = binary.BigEndian.AppendUint16(b, etherIPv6)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(message)))
		b = append(b, protocol, hopLimit)
		b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
	}
	b = append(b, message...)
	for len(b) < leastFrame {
		b = append(b, 0)
	}
	return b
}

// checksumOf returns the checksum of a message of TCP or ICMPv6 with the pseudo header (RFC 9293, section 3.1; RFC 8200,
// section 8.1). The checksum of a message with its checksum is zero.
func checksumOf(source, destination netip.Addr, protocol byte, message []byte) uint16 {
	s := checksum.Sum(uint32(len(message))+uint32(protocol), source.AsSlice())
	return ^checksum.Fold(checksum.Sum(checksum.Sum(s, destination.AsSlice()), message))
}
