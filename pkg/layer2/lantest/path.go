package lantest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/mdlayher/ethernet"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/pathprobe"
)

const (
	protocolTCP = 6
	tcpHeader   = 20
	tcpSYN      = 2
	tcpACK      = 16
)

// pathSocket is the protocol of the sockets of ListenPath.
const pathSocket layer2.Protocol = 100

// ListenPath opens a socket for the TCP segments and the echo replies to the interface.
func (n *Node) ListenPath(i layer2.Interface, _ pathprobe.Flow, _ int) (layer2.Conn, error) {
	return n.listen(i, pathSocket)
}

// SetProxy gives the node a service proxy with a Pod behind each Service: the node answers a SYN for a Service for
// which rules returns true. Without rules (nil) the node answers none. rules must not call the LAN.
func (n *Node) SetProxy(rules func(service netip.AddrPort) bool) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	n.proxy = rules
}

// segmentStart returns the offset of the TCP segment in a frame, 0 for another frame.
func segmentStart(frame []byte) int {
	start := 0
	switch ethernet.EtherType(binary.BigEndian.Uint16(frame[12:])) {
	case ethernet.EtherTypeIPv4:
		if len(frame) > icmp4Start && frame[23] == protocolTCP {
			start = icmp4Start
		}
	case ethernet.EtherTypeIPv6:
		if len(frame) > icmp6Start && frame[20] == protocolTCP {
			start = icmp6Start
		}
	}
	if start == 0 || len(frame) < start+tcpHeader {
		return 0
	}
	return start
}

func isEchoReply(frame []byte) bool {
	p, err := ParsePing(frame)
	return err == nil && p.Reply
}

// proxyAnswers returns the SYN-ACK for a SYN to a Service with rules. The checksum stays open, as where the kernel
// leaves it to the network card. The caller holds the mutex.
func (c *NIC) proxyAnswers(frame []byte) [][]byte {
	at := segmentStart(frame)
	b := slices.Clone(frame)
	segment := b[at:]
	if c.node.proxy == nil || c.thaw != nil || segment[13] != tcpSYN {
		return nil
	}
	size := 4
	if at == icmp6Start {
		size = 16
	}
	source, destination := b[at-2*size:at-size], b[at-size:at]
	addr, _ := netip.AddrFromSlice(destination)
	if !c.node.proxy(netip.AddrPortFrom(addr, binary.BigEndian.Uint16(segment[2:]))) {
		return nil
	}
	swap(source, destination)
	swap(segment[0:2], segment[2:4])
	swap(b[0:6], b[6:12])
	binary.BigEndian.PutUint32(segment[8:], binary.BigEndian.Uint32(segment[4:])+1)
	segment[13] = tcpSYN | tcpACK
	return [][]byte{b}
}

func swap(a, b []byte) {
	was := bytes.Clone(a)
	copy(a, b)
	copy(b, was)
}
