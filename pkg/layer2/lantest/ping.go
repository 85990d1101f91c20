package lantest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"

	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	ip4Header    = 20
	icmp4Start   = ethernetHeader + ip4Header
	protocolICMP = 1

	echoReply4   = 0
	echoRequest4 = 8
	echoRequest6 = 128
	echoReply6   = 129

	// pingTimeout is the time that a host waits for the reply to a ping.
	pingTimeout = time.Second
)

// Ping is an ICMP or ICMPv6 echo message.
type Ping struct {
	Source, Destination netip.Addr
	// TTL is the hop limit for IPv6.
	TTL     uint8
	Reply   bool
	ID, Seq uint16
	Data    []byte
}

// Frame encodes the message in an Ethernet frame.
func (p Ping) Frame(to, from layer2.MAC) []byte {
	message := []byte{p.kind(), 0, 0, 0}
	message = binary.BigEndian.AppendUint16(message, p.ID)
	message = binary.BigEndian.AppendUint16(message, p.Seq)
	message = append(message, p.Data...)
	if p.Source.Is4() {
		binary.BigEndian.PutUint16(message[2:], internetChecksum(message))
		header := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, p.TTL, protocolICMP, 0, 0}
		binary.BigEndian.PutUint16(header[2:], uint16(ip4Header+len(message)))
		header = append(append(header, p.Source.AsSlice()...), p.Destination.AsSlice()...)
		binary.BigEndian.PutUint16(header[10:], internetChecksum(header))
		return ethernetFrame(to, from, ethernet.EtherTypeIPv4, append(header, message...), nil)
	}
	addresses := append(p.Source.AsSlice(), p.Destination.AsSlice()...)
	pseudo := binary.BigEndian.AppendUint32(append([]byte(nil), addresses...), uint32(len(message)))
	pseudo = append(append(pseudo, 0, 0, 0, protocolICMPv6), message...)
	binary.BigEndian.PutUint16(message[2:], internetChecksum(pseudo))
	header := []byte{6 << 4, 0, 0, 0, 0, 0, protocolICMPv6, p.TTL}
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	return ethernetFrame(to, from, ethernet.EtherTypeIPv6, append(append(header, addresses...), message...), nil)
}

func (p Ping) kind() byte {
	switch {
	case p.Source.Is4() && p.Reply:
		return echoReply4
	case p.Source.Is4():
		return echoRequest4
	case p.Reply:
		return echoReply6
	}
	return echoRequest6
}

// ParsePing decodes an echo message with correct checksums, and returns an error for any other frame.
func ParsePing(b []byte) (Ping, error) {
	if len(b) >= icmp4Start && ethernet.EtherType(binary.BigEndian.Uint16(b[12:])) == ethernet.EtherTypeIPv4 {
		return parsePing4(b[ethernetHeader:])
	}
	if len(b) >= icmp6Start && ethernet.EtherType(binary.BigEndian.Uint16(b[12:])) == ethernet.EtherTypeIPv6 {
		return parsePing6(b[ethernetHeader:])
	}
	return Ping{}, fmt.Errorf("no IP packet")
}

func parsePing4(b []byte) (Ping, error) {
	end := int(binary.BigEndian.Uint16(b[2:]))
	if b[0] != 0x45 || b[9] != protocolICMP || end > len(b) || end < ip4Header+8 {
		return Ping{}, fmt.Errorf("no plain ICMP packet")
	}
	if internetChecksum(b[:ip4Header]) != 0 || internetChecksum(b[ip4Header:end]) != 0 {
		return Ping{}, fmt.Errorf("wrong checksum")
	}
	p := Ping{Source: netip.AddrFrom4([4]byte(b[12:])), Destination: netip.AddrFrom4([4]byte(b[16:])), TTL: b[8]}
	return p.withMessage(b[ip4Header:end], echoRequest4, echoReply4)
}

func parsePing6(b []byte) (Ping, error) {
	end := ip6Header + int(binary.BigEndian.Uint16(b[4:]))
	if b[6] != protocolICMPv6 || end > len(b) || end < ip6Header+8 {
		return Ping{}, fmt.Errorf("no plain ICMPv6 packet")
	}
	pseudo := binary.BigEndian.AppendUint32(append([]byte(nil), b[8:40]...), uint32(end-ip6Header))
	if internetChecksum(append(append(pseudo, 0, 0, 0, protocolICMPv6), b[ip6Header:end]...)) != 0 {
		return Ping{}, fmt.Errorf("wrong checksum")
	}
	p := Ping{Source: netip.AddrFrom16([16]byte(b[8:])), Destination: netip.AddrFrom16([16]byte(b[24:])), TTL: b[7]}
	return p.withMessage(b[ip6Header:end], echoRequest6, echoReply6)
}

func (p Ping) withMessage(m []byte, request, reply byte) (Ping, error) {
	if m[0] != request && m[0] != reply || m[1] != 0 {
		return Ping{}, fmt.Errorf("no echo message")
	}
	p.Reply = m[0] == reply
	p.ID, p.Seq, p.Data = binary.BigEndian.Uint16(m[4:]), binary.BigEndian.Uint16(m[6:]), m[8:]
	return p, nil
}

func internetChecksum(b []byte) uint16 {
	var sum uint32
	for i, x := range b {
		sum += uint32(x) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Ping resolves addr, sends one echo request and returns the reply. The second result is false without a reply within a
// second.
func (h *Host) Ping(addr netip.Addr, seq uint16) (Ping, bool) {
	mac, ok := h.Resolve(addr)
	if !ok {
		return Ping{}, false
	}
	source := h.ip4
	if addr.Is6() {
		source = h.linkLocal
	}
	heard := make(chan Ping, 1)
	h.lan.mu.Lock()
	h.pings[addr] = heard
	h.lan.mu.Unlock()
	h.Send(Ping{Source: source, Destination: addr, TTL: 64, ID: 1, Seq: seq, Data: []byte("lantest")}.Frame(mac, h.mac))
	select {
	case p := <-heard:
		return p, true
	case <-time.After(pingTimeout):
		return Ping{}, false
	}
}

// receivePing ends the wait for a reply. The caller holds the mutex.
func (h *Host) receivePing(p Ping) {
	if ch := h.pings[p.Source]; ch != nil && p.Reply && (p.Destination == h.ip4 || p.Destination == h.linkLocal) {
		ch <- p
		delete(h.pings, p.Source)
	}
}
