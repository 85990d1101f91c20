package pathprobe

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/checksum"
)

// Outcome is the result of a probe.
type Outcome uint8

// The outcomes.
const (
	// Silent means that nothing came back: a filter dropped the SYN or the answer, or the node does not forward.
	Silent Outcome = iota
	// Open means that a program listens on the port: a SYN-ACK came back. For a ping: the reply came back.
	Open
	// Refused means that the SYN reached a host without a listener on the port: a RST came back.
	Refused
	// Unreachable means that a host on the path could not pass the SYN on: an ICMP error came back.
	Unreachable

	outcomes
)

// Outcomes is the number of outcomes.
const Outcomes = int(outcomes)

// String returns the outcome as one word, for metrics, logs and the status.
func (o Outcome) String() string { return [...]string{"silent", "open", "refused", "unreachable"}[o] }

// Answer is the result of a probe.
type Answer struct {
	Outcome Outcome
	// Type and Code identify the ICMP error: of ICMP for IPv4 (RFC 792), of ICMPv6 for IPv6 (RFC 4443). Only an
	// Unreachable answer has a type and a code.
	Type, Code uint8
	// By is the hardware address that the answer came from, and From the address of the host that sent the answer: the
	// address of the Service for a segment, another address for an ICMP message. Both are zero for a Silent answer
	// without Redirected.
	By   MAC
	From netip.Addr
	// After is the time from the question to the answer.
	After time.Duration
	// Redirected is true when a station told the prober to send the packet elsewhere (RFC 792, page 12; RFC 4861,
	// section 8): the station has forwarded the SYN to the segment that the SYN came from, so the station has no rule
	// for the Service.
	Redirected bool
}

// Final types of ICMP errors: the probe ends. The value is the same for all codes.
const (
	unreachable4, redirect4, exceeded4, parameter4 = 3, 5, 11, 12
	unreachable6, exceeded6, parameter6, redirect6 = 1, 3, 4, 137
)

// Unreachable codes that a service proxy and firewalls send.
const (
	codeHost4, codePort4, codeNetAdmin4, codeHostAdmin4, codeAdmin4 = 1, 3, 9, 10, 13
	codeAdmin6, codeAddress6, codePort6                             = 1, 3, 4
)

// PortUnreachable reports whether the answer is the ICMP error for a port without a receiver. Service proxies send it
// for a Service without endpoints (RFC 1122, section 3.2.2.1; RFC 4443, section 3.1).
func (a Answer) PortUnreachable() bool { return a.is(codePort4, codePort6) }

// HostUnreachable reports whether the answer is the ICMP error for a host that did not answer ARP or NDP. A node
// without rules for the Service sends it about the Service's address, a node with rules about a Pod that is gone.
func (a Answer) HostUnreachable() bool { return a.is(codeHost4, codeAddress6) }

// Prohibited reports whether the answer is the ICMP error of a firewall.
func (a Answer) Prohibited() bool {
	return a.is(codeAdmin4, codeAdmin6) || a.is(codeHostAdmin4, codeAdmin6) || a.is(codeNetAdmin4, codeAdmin6)
}

func (a Answer) is(code4, code6 uint8) bool {
	switch {
	case a.Outcome != Unreachable:
		return false
	case a.From.Is4():
		return a.Type == unreachable4 && a.Code == code4
	}
	return a.Type == unreachable6 && a.Code == code6
}

// String returns the answer in a few words, such as "open after 0.7 ms".
func (a Answer) String() string {
	after := fmt.Sprintf(" after %.1f ms", float64(a.After.Microseconds())/1000)
	switch a.Outcome {
	case Silent:
		return "silent"
	case Unreachable:
		return fmt.Sprintf("unreachable (ICMP type %d code %d from %v)%s", a.Type, a.Code, a.From, after)
	}
	return a.Outcome.String() + after
}

// reply is a parsed frame that concerns a flow.
type reply struct {
	answer Answer
	// question is the number of the question that the frame answers.
	question int
}

// parse judges a received frame for a flow with the given number of questions, all from sequence number seq. ok is
// false for a frame that answers none of the questions. parse does not check the checksum of a segment: the kernel
// leaves that checksum open where a Pod and the prober are on one machine, and a match of four bytes of acknowledgment
// is proof enough.
func (f Flow) parse(b []byte, questions int, seq uint32) (r reply, ok bool) {
	if len(b) < ethHeader || MAC(b[:6]) != f.From {
		return reply{}, false
	}
	r.answer.By = MAC(b[6:12])
	kind := binary.BigEndian.Uint16(b[12:])
	packet, isPacket := splitIP(b[ethHeader:])
	if !isPacket || packet.v6 != (kind == etherIPv6) || !packet.v6 && kind != etherIPv4 {
		return reply{}, false
	}
	if packet.destination != f.Source.Addr() {
		return reply{}, false
	}
	r.answer.From = packet.source
	switch packet.protocol {
	case protocolTCP:
		r.question, ok = f.judgeSegment(packet, &r.answer, questions, seq)
	case protocolICMP, protocolICMPv6:
		r.question, ok = f.judgeError(packet, &r.answer, questions, seq)
	}
	return r, ok
}

// judgeSegment judges a segment: only one that acknowledges the SYN answers the question (RFC 9293, section 3.10.7.3).
func (f Flow) judgeSegment(p packet, a *Answer, questions int, seq uint32) (question int, ok bool) {
	b := p.payload
	if f.echo() || len(b) < tcpHeader || p.source != f.Service.Addr() ||
		binary.BigEndian.Uint16(b) != f.Service.Port() {
		return 0, false
	}
	question = int(binary.BigEndian.Uint16(b[2:])) - int(f.Source.Port())
	acknowledges := b[13]&flagACK != 0 && binary.BigEndian.Uint32(b[8:]) == seq+1
	if question < 0 || question >= questions || !acknowledges {
		return 0, false
	}
	switch {
	case b[13]&flagRST != 0:
		a.Outcome = Refused
	case b[13]&flagSYN != 0:
		a.Outcome = Open
	default:
		return 0, false
	}
	return question, true
}

// judgeError judges an ICMP message: an error about the SYN quotes the addresses, the ports and the sequence number
// (RFC 792; RFC 1122, section 3.2.2; RFC 4443, section 3).
func (f Flow) judgeError(p packet, a *Answer, questions int, seq uint32) (question int, ok bool) {
	const header, redirectHeader6 = 8, 40
	b := p.payload
	if len(b) < header || p.v6 != (p.protocol == protocolICMPv6) {
		return 0, false
	}
	check := ^checksum.Fold(checksum.Sum(0, b))
	if p.v6 {
		check = checksumOf(p.source, p.destination, protocolICMPv6, b)
	}
	if check != 0 {
		return 0, false
	}
	if f.echo() {
		reply := byte(echoReply4)
		if p.v6 {
			reply = echoReply6
		}
		question = int(binary.BigEndian.Uint16(b[4:])) - int(f.Source.Port())
		a.Outcome = Open
		return question, b[0] == reply && p.source == f.Service.Addr() && len(b) >= echoLength &&
			binary.BigEndian.Uint32(b[8:]) == seq && question >= 0 && question < questions
	}
	a.Type, a.Code = b[0], b[1]
	quoted := b[header:]
	final := false
	switch {
	case !p.v6 && (a.Type == unreachable4 || a.Type == exceeded4 || a.Type == parameter4),
		p.v6 && (a.Type == unreachable6 || a.Type == exceeded6 || a.Type == parameter6):
		final = true
	case !p.v6 && a.Type == redirect4:
	case p.v6 && a.Type == redirect6:
		if len(b) < redirectHeader6 {
			return 0, false
		}
		quoted = redirected(b[redirectHeader6:])
	default:
		return 0, false
	}
	if question, ok = f.quotes(quoted, questions, seq); !ok {
		return 0, false
	}
	if a.Outcome = Unreachable; !final {
		*a = Answer{By: a.By, From: a.From, Redirected: true}
	}
	return question, true
}

// redirected returns the packet in the option Redirected Header of an ICMPv6 redirect (RFC 4861, section 4.6.3), nil
// without the option.
func redirected(options []byte) []byte {
	const kind, header, unit = 4, 8, 8
	for len(options) >= header {
		n := int(options[1]) * unit
		if n == 0 || n > len(options) {
			return nil
		}
		if options[0] == kind {
			return options[header:n]
		}
		options = options[n:]
	}
	return nil
}

// quotes reports which question an ICMP error quotes.
func (f Flow) quotes(b []byte, questions int, seq uint32) (question int, ok bool) {
	p, is := splitQuote(b)
	if !is || p.source != f.Source.Addr() || p.destination != f.Service.Addr() || p.protocol != protocolTCP ||
		len(p.payload) < 8 || binary.BigEndian.Uint16(p.payload[2:]) != f.Service.Port() ||
		binary.BigEndian.Uint32(p.payload[4:]) != seq {
		return 0, false
	}
	question = int(binary.BigEndian.Uint16(p.payload)) - int(f.Source.Port())
	return question, question >= 0 && question < questions
}

// packet is an IP packet.
type packet struct {
	v6                  bool
	source, destination netip.Addr
	protocol            byte
	payload             []byte
}

// splitIP splits a whole packet. ok is false for a packet that is cut short, a fragment, and one with a wrong header.
func splitIP(b []byte) (p packet, ok bool) {
	if p, ok = splitQuote(b); !ok {
		return packet{}, false
	}
	header := len(b) - len(p.payload)
	total := ip6Header
	if p.v6 {
		total += int(binary.BigEndian.Uint16(b[4:]))
	} else {
		total = int(binary.BigEndian.Uint16(b[2:]))
		if ^checksum.Fold(checksum.Sum(0, b[:header])) != 0 {
			return packet{}, false
		}
	}
	if total < header || total > len(b) {
		return packet{}, false
	}
	p.payload = b[header:total]
	return p, true
}

// splitQuote splits the start of a packet. ok is false for a fragment, an IPv6 extension header and a cut header.
func splitQuote(b []byte) (p packet, ok bool) {
	const moreOrOffset = 0x3fff
	switch {
	case len(b) >= ip4Header && b[0]>>4 == 4:
		header := int(b[0]&0xf) * 4
		if header < ip4Header || header > len(b) || binary.BigEndian.Uint16(b[6:])&moreOrOffset != 0 {
			return packet{}, false
		}
		return packet{source: netip.AddrFrom4([4]byte(b[12:])), destination: netip.AddrFrom4([4]byte(b[16:])),
			protocol: b[9], payload: b[header:]}, true
	case len(b) >= ip6Header && b[0]>>4 == 6:
		return packet{v6: true, source: netip.AddrFrom16([16]byte(b[8:])),
			destination: netip.AddrFrom16([16]byte(b[24:])), protocol: b[6], payload: b[ip6Header:]}, true
	}
	return packet{}, false
}
