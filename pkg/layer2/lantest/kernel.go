package lantest

import (
	"net/netip"
	"slices"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// kernelAnswers returns the answers of the node's kernel to a received frame. The caller holds the mutex.
func (c *NIC) kernelAnswers(frame []byte) [][]byte {
	has := func(addr netip.Addr) bool {
		return slices.Contains(c.node.addrs, addr) || c.node.lax && addr.Is4() && slices.Contains(c.state.Local, addr)
	}
	if p, err := parseARP(frame); err == nil {
		if p.Operation != arp.OperationRequest || !has(p.TargetIP) || p.SenderIP == p.TargetIP {
			return nil
		}
		sender := layer2.MAC(p.SenderHardwareAddr)
		return [][]byte{c.outgoing(arpFrame(arp.OperationReply, sender, c.state.MAC, p.TargetIP, sender, p.SenderIP))}
	}
	p, err := parseNDP(frame)
	if err != nil || p.hopLimit != ndp.HopLimit {
		return nil
	}
	m, ok := p.message.(*ndp.NeighborSolicitation)
	if !ok || !has(m.TargetAddress) {
		return nil
	}
	to, destination, solicited := p.from, p.source, true
	if p.source.IsUnspecified() {
		to, destination, solicited = groupMAC(allNodes), allNodes, false
	}
	return [][]byte{NDPFrame(to, c.state.MAC, m.TargetAddress, destination, &ndp.NeighborAdvertisement{
		Solicited: solicited, Override: true, TargetAddress: m.TargetAddress,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: c.state.MAC[:]}}})}
}

// outgoing returns the frame that leaves the interface: a bond in mode balance-alb replaces its own hardware address in
// ARP replies with the address of a slave. The caller holds the mutex.
func (c *NIC) outgoing(frame []byte) []byte {
	if len(c.state.MACs) == 0 {
		return frame
	}
	slave := c.state.MACs[len(c.state.MACs)-1]
	p, err := parseARP(frame)
	if err != nil || p.Operation != arp.OperationReply || layer2.MAC(p.SenderHardwareAddr) != c.state.MAC {
		return frame
	}
	return arpFrame(p.Operation, layer2.MAC(frame[0:6]), slave, p.SenderIP, layer2.MAC(p.TargetHardwareAddr), p.TargetIP)
}
