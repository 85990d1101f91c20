package lantest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	ethernetHeader = 14
	ip6Header      = 40
	icmp6Start     = ethernetHeader + ip6Header
	protocolICMPv6 = 58
)

var (
	broadcast   = layer2.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes    = netip.IPv6LinkLocalAllNodes()
	unspecified = netip.IPv6Unspecified()
)

// Frame is one frame of the trace.
type Frame struct {
	// At is the time of sending, counted from the beginning of the segment.
	At time.Duration
	// From is the sending interface ("node/eth0") or host.
	From string
	// To lists the receivers so far, once for each copy.
	To []string
	// Data is the frame, without the check sequence.
	Data []byte
}

// String describes the frame in one line.
func (f Frame) String() string {
	return fmt.Sprintf("%10s %-14s %s -> [%s]", f.At, f.From, Describe(f.Data), strings.Join(f.To, " "))
}

// Describe describes an ARP or NDP frame, or a ping, in one line.
func Describe(b []byte) string {
	if p, err := parseARP(b); err == nil {
		to := layer2.MAC(b[0:6])
		if p.Operation == arp.OperationRequest {
			return fmt.Sprintf("ARP to %s: who has %s? tell %s at %s", to, p.TargetIP, p.SenderIP, p.SenderHardwareAddr)
		}
		return fmt.Sprintf("ARP to %s: %s is at %s, for %s at %s", to, p.SenderIP, p.SenderHardwareAddr, p.TargetIP, p.TargetHardwareAddr)
	}
	if p, err := ParsePing(b); err == nil {
		return fmt.Sprintf("ping %s > %s: reply=%t id=%d seq=%d", p.Source, p.Destination, p.Reply, p.ID, p.Seq)
	}
	m, err := parseNDP(b)
	if err != nil {
		return fmt.Sprintf("frame of %d bytes: %v", len(b), err)
	}
	option := "no option"
	if m.stated {
		option = "option " + m.mac.String()
	}
	switch msg := m.message.(type) {
	case *ndp.NeighborSolicitation:
		return fmt.Sprintf("NS %s > %s: who has %s? %s", m.source, m.destination, msg.TargetAddress, option)
	case *ndp.NeighborAdvertisement:
		return fmt.Sprintf("NA %s > %s: %s S=%t O=%t %s", m.source, m.destination, msg.TargetAddress, msg.Solicited, msg.Override, option)
	}
	return fmt.Sprintf("ICMPv6 %s > %s: %T", m.source, m.destination, m.message)
}

// Announces reports whether the frame announces addr without a question: either form of gratuitous ARP, or an
// unsolicited neighbour advertisement.
func (f Frame) Announces(addr netip.Addr) bool {
	if p, err := parseARP(f.Data); err == nil {
		return p.SenderIP == addr && p.TargetIP == addr
	}
	m, err := parseNDP(f.Data)
	if err != nil {
		return false
	}
	na, ok := m.message.(*ndp.NeighborAdvertisement)
	return ok && na.TargetAddress == addr && !na.Solicited && m.destination == allNodes
}

// Answers reports whether the frame answers a question for addr: an ARP reply, or a solicited neighbour advertisement.
func (f Frame) Answers(addr netip.Addr) bool {
	if p, err := parseARP(f.Data); err == nil {
		return p.Operation == arp.OperationReply && p.SenderIP == addr && p.TargetIP != addr
	}
	m, err := parseNDP(f.Data)
	if err != nil {
		return false
	}
	na, ok := m.message.(*ndp.NeighborAdvertisement)
	return ok && na.TargetAddress == addr && na.Solicited
}

// arpFrame encodes an ARP packet in an Ethernet frame.
func arpFrame(op arp.Operation, to, sender layer2.MAC, senderIP netip.Addr, target layer2.MAC, targetIP netip.Addr) []byte {
	p, err := arp.NewPacket(op, sender[:], senderIP, target[:], targetIP)
	if err != nil {
		panic(fmt.Sprintf("lantest: %v", err)) // only for an address other than IPv4: an error in the test itself
	}
	payload, err := p.MarshalBinary()
	return ethernetFrame(to, sender, ethernet.EtherTypeARP, payload, err)
}

func ethernetFrame(to, from layer2.MAC, kind ethernet.EtherType, payload []byte, err error) []byte {
	if err != nil {
		panic(fmt.Sprintf("lantest: %v", err))
	}
	f := ethernet.Frame{Destination: to[:], Source: from[:], EtherType: kind, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		panic(fmt.Sprintf("lantest: %v", err))
	}
	return b
}

func parseARP(b []byte) (*arp.Packet, error) {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	if f.EtherType != ethernet.EtherTypeARP {
		return nil, fmt.Errorf("EtherType %#04x", uint16(f.EtherType))
	}
	p := new(arp.Packet)
	return p, p.UnmarshalBinary(f.Payload)
}

// ndpPacket is an NDP message with the fields of its headers.
type ndpPacket struct {
	from, to            layer2.MAC
	source, destination netip.Addr
	hopLimit            uint8
	message             ndp.Message
	mac                 layer2.MAC // the address in the link-layer option
	stated              bool       // true if the message has the option
}

// NDPFrame encodes an NDP message in an IPv6 packet with hop limit 255 in an Ethernet frame.
func NDPFrame(to, from layer2.MAC, source, destination netip.Addr, m ndp.Message) []byte {
	body, err := ndp.MarshalMessageChecksum(m, source, destination)
	header := make([]byte, ip6Header)
	header[0] = 6 << 4
	binary.BigEndian.PutUint16(header[4:], uint16(len(body)))
	header[6], header[7] = protocolICMPv6, ndp.HopLimit
	s, d := source.As16(), destination.As16()
	copy(header[8:], s[:])
	copy(header[24:], d[:])
	return ethernetFrame(to, from, ethernet.EtherTypeIPv6, append(header, body...), err)
}

func parseNDP(b []byte) (ndpPacket, error) {
	if len(b) < icmp6Start || binary.BigEndian.Uint16(b[12:]) != uint16(ethernet.EtherTypeIPv6) || b[20] != protocolICMPv6 {
		return ndpPacket{}, fmt.Errorf("neither ARP nor NDP")
	}
	end := icmp6Start + int(binary.BigEndian.Uint16(b[18:]))
	if end > len(b) {
		return ndpPacket{}, fmt.Errorf("truncated IPv6 packet")
	}
	m, err := ndp.ParseMessage(b[icmp6Start:end])
	if err != nil {
		return ndpPacket{}, err
	}
	p := ndpPacket{
		to: layer2.MAC(b[0:6]), from: layer2.MAC(b[6:12]), hopLimit: b[21], message: m,
		source: netip.AddrFrom16([16]byte(b[22:38])), destination: netip.AddrFrom16([16]byte(b[38:54])),
	}
	var options []ndp.Option
	switch m := m.(type) {
	case *ndp.NeighborSolicitation:
		options = m.Options
	case *ndp.NeighborAdvertisement:
		options = m.Options
	}
	for _, o := range options {
		if ll, ok := o.(*ndp.LinkLayerAddress); ok && len(ll.Addr) == len(p.mac) {
			p.mac, p.stated = layer2.MAC(ll.Addr), true
		}
	}
	return p, nil
}

// groupMAC returns the hardware address of an IPv6 group (RFC 2464, section 7).
func groupMAC(group netip.Addr) layer2.MAC {
	a := group.As16()
	return layer2.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// linkLocal returns the link-local address that an interface derives from its hardware address (RFC 4291, appendix A).
func linkLocal(m layer2.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}
