package lantest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// Kind selects the operating system whose rules a host's neighbour cache obeys.
type Kind uint8

const (
	// Linux accepts both forms of gratuitous ARP. Linux accepts another reply only if the entry is older than a second.
	Linux Kind = iota
	// Junos accepts gratuitous requests and ignores gratuitous replies.
	Junos
)

// String returns the name of the kind.
func (k Kind) String() string {
	if k == Junos {
		return "Junos"
	}
	return "Linux"
}

// The times of RFC 4861 (section 10) and of Linux's ARP.
const (
	retransmit = time.Second
	attempts   = 3
	locktime   = time.Second
)

// neighbor is an entry of a neighbour cache.
type neighbor struct {
	mac     layer2.MAC
	known   bool // false during the resolution
	updated time.Time
}

// Host is a machine that is not a node: a client, a router or a foreign host that uses an address.
type Host struct {
	lan       *LAN
	link      *link
	kind      Kind
	mac       layer2.MAC
	ip4       netip.Addr
	linkLocal netip.Addr
	owned     map[netip.Addr]bool
	cache     map[netip.Addr]*neighbor
	// Each channel in answers is closed at the next answer for the address. probes receive the hardware address of the
	// next station that uses the address, and pings the reply from the address.
	answers map[netip.Addr]chan struct{}
	probes  map[netip.Addr]chan layer2.MAC
	pings   map[netip.Addr]chan Ping
}

// Host adds a host with an IPv4 address and a link-local IPv6 address.
func (l *LAN) Host(name string, kind Kind, ip4 netip.Addr) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	mac := l.newMAC()
	h := &Host{lan: l, kind: kind, mac: mac, ip4: ip4, linkLocal: linkLocal(mac), owned: map[netip.Addr]bool{},
		cache: map[netip.Addr]*neighbor{}, answers: map[netip.Addr]chan struct{}{}, probes: map[netip.Addr]chan layer2.MAC{},
		pings: map[netip.Addr]chan Ping{}}
	h.owned[ip4], h.owned[h.linkLocal] = true, true
	h.link = &link{name: name, wants: func(layer2.MAC) bool { return true }, receive: h.receive, state: h.describe}
	l.connect(h.link)
	return h
}

// describe returns the lines about the host for LAN.String. The caller holds the mutex.
func (h *Host) describe() []string {
	lines := []string{fmt.Sprintf("host %s %s %s", h.kind, h.mac, h.ip4)}
	for _, addr := range slices.SortedFunc(maps.Keys(h.cache), netip.Addr.Compare) {
		if n := h.cache[addr]; n.known {
			lines = append(lines, fmt.Sprintf("neighbor %s at %s", addr, n.mac))
		} else {
			lines = append(lines, fmt.Sprintf("neighbor %s incomplete", addr))
		}
	}
	return lines
}

// MAC returns the hardware address.
func (h *Host) MAC() layer2.MAC { return h.mac }

// IP4 returns the IPv4 address.
func (h *Host) IP4() netip.Addr { return h.ip4 }

// LinkLocal returns the link-local IPv6 address.
func (h *Host) LinkLocal() netip.Addr { return h.linkLocal }

// Own makes the host own addr like a foreign host, or makes the host give up addr. Own sends nothing.
func (h *Host) Own(addr netip.Addr, own bool) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.owned[addr] = own
}

// Neighbor returns the hardware address in the cache entry for addr. The second result is false without a complete
// entry.
func (h *Host) Neighbor(addr netip.Addr) (layer2.MAC, bool) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	n := h.cache[addr]
	if n == nil || !n.known {
		return layer2.MAC{}, false
	}
	return n.mac, true
}

// Forget removes addr from the cache.
func (h *Host) Forget(addr netip.Addr) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	delete(h.cache, addr)
}

// Send sends a frame built by the test.
func (h *Host) Send(frame []byte) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.send(h.link, frame)
}

// Announce claims addr like a station that has just taken the address: with a gratuitous ARP request or an unsolicited
// neighbour advertisement.
func (h *Host) Announce(addr netip.Addr) {
	if addr.Is4() {
		h.Send(arpFrame(arp.OperationRequest, broadcast, h.mac, addr, layer2.MAC{}, addr))
		return
	}
	h.Send(NDPFrame(groupMAC(allNodes), h.mac, h.linkLocal, allNodes, h.advertisement(addr, false)))
}

func (h *Host) advertisement(addr netip.Addr, solicited bool) ndp.Message {
	return &ndp.NeighborAdvertisement{Solicited: solicited, Override: true, TargetAddress: addr,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: h.mac[:]}}}
}

// Resolve returns the hardware address for addr, from the cache or from the first answer. Resolve asks up to three
// times, once a second.
func (h *Host) Resolve(addr netip.Addr) (layer2.MAC, bool) {
	if mac, ok := h.Neighbor(addr); ok {
		return mac, true
	}
	h.lan.mu.Lock()
	h.cache[addr] = &neighbor{}
	h.lan.mu.Unlock()
	if !h.ask(addr, h.question(addr, broadcast, true)) {
		h.Forget(addr)
		return layer2.MAC{}, false
	}
	return h.Neighbor(addr)
}

// Ask sends one question for addr to all stations, as Resolve does, and does not wait: the trace shows the answers.
func (h *Host) Ask(addr netip.Addr) { h.Send(h.question(addr, broadcast, true)) }

// Confirm asks the station in the cache whether the station still has addr, as neighbour unreachability detection does,
// without the option that RFC 4861 (section 7.2.2) omits there. Confirm removes an unconfirmed entry.
func (h *Host) Confirm(addr netip.Addr) bool {
	mac, ok := h.Neighbor(addr)
	if !ok {
		return false
	}
	if !h.ask(addr, h.question(addr, mac, false)) {
		h.Forget(addr)
		return false
	}
	return true
}

// question returns a request for addr to one station, or to all stations if to is broadcast.
func (h *Host) question(addr netip.Addr, to layer2.MAC, option bool) []byte {
	if addr.Is4() {
		return arpFrame(arp.OperationRequest, to, h.mac, h.ip4, layer2.MAC{}, addr)
	}
	m := &ndp.NeighborSolicitation{TargetAddress: addr}
	if option {
		m.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: h.mac[:]}}
	}
	destination := addr
	if to == broadcast {
		destination = solicitedNode(addr)
		to = groupMAC(destination)
	}
	return NDPFrame(to, h.mac, h.linkLocal, destination, m)
}

func (h *Host) ask(addr netip.Addr, question []byte) bool {
	answered := make(chan struct{})
	h.lan.mu.Lock()
	h.answers[addr] = answered
	h.lan.mu.Unlock()
	for range attempts {
		h.Send(question)
		select {
		case <-answered:
			return true
		case <-time.After(retransmit):
		}
	}
	return false
}

// Probe does duplicate address detection: Probe asks for addr without claiming an address (RFC 5227, section 2.1.1; RFC
// 4862, section 5.4.2), and returns the station that has the address.
func (h *Host) Probe(addr netip.Addr) (layer2.MAC, bool) {
	heard := make(chan layer2.MAC, 1)
	h.lan.mu.Lock()
	h.probes[addr] = heard
	h.lan.mu.Unlock()
	group := solicitedNode(addr)
	for range attempts {
		if addr.Is4() {
			h.Send(arpFrame(arp.OperationRequest, broadcast, h.mac, netip.IPv4Unspecified(), layer2.MAC{}, addr))
		} else {
			h.Send(NDPFrame(groupMAC(group), h.mac, unspecified, group, &ndp.NeighborSolicitation{TargetAddress: addr}))
		}
		select {
		case mac := <-heard:
			return mac, true
		case <-time.After(retransmit):
		}
	}
	return layer2.MAC{}, false
}

func solicitedNode(addr netip.Addr) netip.Addr {
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return netip.Addr{} // no such groups exist for IPv4
	}
	return group
}
