package lantest

import (
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// receive processes a frame as the kernel of the host does, and returns the answers. The caller holds the mutex of the
// segment.
func (h *Host) receive(frame []byte) [][]byte {
	if to := layer2.MAC(frame[0:6]); to[0]&1 == 0 && to != h.mac {
		return nil
	}
	if p, err := parseARP(frame); err == nil {
		return h.receiveARP(p, layer2.MAC(frame[0:6]) == h.mac)
	}
	if p, err := ParsePing(frame); err == nil {
		h.receivePing(p)
		return nil
	}
	if p, err := parseNDP(frame); err == nil && p.hopLimit == ndp.HopLimit {
		return h.receiveNDP(p)
	}
	return nil
}

func (h *Host) receiveARP(p *arp.Packet, unicast bool) [][]byte {
	sender := layer2.MAC(p.SenderHardwareAddr)
	h.spokenFor(p.SenderIP, sender)
	if p.Operation == arp.OperationRequest && h.owned[p.TargetIP] && p.SenderIP != p.TargetIP {
		if !p.SenderIP.IsUnspecified() {
			h.learn(p.SenderIP, sender) // RFC 826: the host will soon talk to the asking station
		}
		return [][]byte{arpFrame(arp.OperationReply, sender, h.mac, p.TargetIP, sender, p.SenderIP)}
	}
	if n := h.cache[p.SenderIP]; n != nil && h.takes(p, n, unicast) {
		h.learn(p.SenderIP, sender)
		h.answered(p.SenderIP)
	}
	return nil
}

// takes reports whether an ARP packet without a question for the host changes the entry of the packet's sender.
func (h *Host) takes(p *arp.Packet, n *neighbor, unicast bool) bool {
	reply := p.Operation == arp.OperationReply
	gratuitous := p.SenderIP == p.TargetIP
	if h.kind == Junos {
		return gratuitous && !reply || reply && unicast && !gratuitous
	}
	// Linux treats a reply as gratuitous only if both hardware addresses are equal (arp_is_garp).
	if reply && string(p.SenderHardwareAddr) != string(p.TargetHardwareAddr) {
		gratuitous = false
	}
	return gratuitous || !n.known || time.Since(n.updated) > locktime || reply && unicast && n.mac == layer2.MAC(p.SenderHardwareAddr)
}

func (h *Host) receiveNDP(p ndpPacket) [][]byte {
	switch m := p.message.(type) {
	case *ndp.NeighborSolicitation:
		if !h.owned[m.TargetAddress] {
			return nil
		}
		if p.source.IsUnspecified() {
			return [][]byte{NDPFrame(groupMAC(allNodes), h.mac, h.linkLocal, allNodes, h.advertisement(m.TargetAddress, false))}
		}
		return [][]byte{NDPFrame(p.from, h.mac, h.linkLocal, p.source, h.advertisement(m.TargetAddress, true))}
	case *ndp.NeighborAdvertisement:
		h.spokenFor(m.TargetAddress, p.mac)
		n := h.cache[m.TargetAddress]
		switch {
		case n == nil: // RFC 4861, section 7.2.5: no new entry
		case !n.known && p.stated, n.known && m.Override && p.stated:
			h.learn(m.TargetAddress, p.mac)
			h.answered(m.TargetAddress)
		case n.known && m.Solicited && (!p.stated || p.mac == n.mac):
			h.answered(m.TargetAddress)
		}
	}
	return nil
}

func (h *Host) learn(addr netip.Addr, mac layer2.MAC) {
	h.cache[addr] = &neighbor{mac: mac, known: true, updated: time.Now()}
}

// answered ends the wait for an answer.
func (h *Host) answered(addr netip.Addr) {
	if ch := h.answers[addr]; ch != nil {
		close(ch)
		delete(h.answers, addr)
	}
}

// spokenFor ends duplicate address detection, because a station uses the address.
func (h *Host) spokenFor(addr netip.Addr, mac layer2.MAC) {
	if ch := h.probes[addr]; ch != nil {
		ch <- mac
		delete(h.probes, addr)
	}
}
