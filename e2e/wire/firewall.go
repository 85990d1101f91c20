package wire

import (
	"encoding/binary"

	"github.com/lanlord/lanlord/e2e/ether"
)

// Firewall drops the TCP segments and UDP datagrams that are sent to a port, over IPv4 and IPv6, as a packet filter without
// connection tracking does on the node. No program for the kernel's own filter is needed, and other traffic of the cable passes.
type Firewall struct {
	Port uint16
	// In drops what is sent to the node, Out what the node sends.
	In, Out bool
}

const (
	protocolTCP = 6
	protocolUDP = 17
)

// drops tells whether a frame is dropped. A frame that cannot be read passes; a nil Firewall drops nothing.
func (f *Firewall) drops(frame []byte, fromNode bool) bool {
	if f == nil || fromNode && !f.Out || !fromNode && !f.In || len(frame) < ether.HeaderSize {
		return false
	}
	body := frame[ether.HeaderSize:]
	var protocol byte
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == ether.TypeIPv4 && len(body) >= 20:
		protocol, body = body[9], body[min(len(body), int(body[0]&0xf)*4):]
	case kind == ether.TypeIPv6 && len(body) >= ether.IPv6HeaderSize:
		protocol, body = body[6], body[ether.IPv6HeaderSize:] // the speakers send no extension headers
	default:
		return false
	}
	return (protocol == protocolTCP || protocol == protocolUDP) && len(body) >= 4 && binary.BigEndian.Uint16(body[2:]) == f.Port
}
