package lantest

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/mdlayher/ethernet"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// backlog is the number of frames that a socket holds for a slow reader.
const backlog = 4096

// Node is a machine for an Announcer. Node implements layer2.Network with interfaces in one segment.
type Node struct {
	lan      *LAN
	name     string
	nics     []*NIC
	watchers map[chan struct{}]struct{}
	refuse   error
	opened   int
	addrs    []netip.Addr // addresses of the kernel besides the interface addresses
	macs     []layer2.MAC // hardware addresses of interfaces that the announcer does not use
	proxy    func(netip.AddrPort) bool
	lax      bool // true if the kernel answers ARP requests for the addresses of SetLocal
}

var _ layer2.Network = (*Node)(nil)

// Node adds a machine without interfaces.
func (l *LAN) Node(name string) *Node {
	return &Node{lan: l, name: name, watchers: map[chan struct{}]struct{}{}}
}

// NIC is an interface of a node.
type NIC struct {
	node  *Node
	link  *link
	state layer2.Interface
	conns map[*conn]struct{}
	thaw  chan struct{} // nil unless the interface is frozen
}

// Add adds an interface to the node. The interface is up and has the given addresses, a hardware address and a
// link-local address.
func (n *Node) Add(name string, prefixes ...netip.Prefix) *NIC {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	mac := n.lan.newMAC()
	c := &NIC{node: n, conns: map[*conn]struct{}{}}
	c.state = layer2.Interface{Index: len(n.nics) + 1, Name: name, MAC: mac, Up: true, Prefixes: prefixes, LinkLocal: linkLocal(mac)}
	c.link = &link{name: n.name + "/" + name, wants: c.wants, receive: c.receive, state: c.describe}
	n.lan.connect(c.link)
	n.nics = append(n.nics, c)
	n.changed()
	return c
}

// changed wakes the callers of Watch. The caller holds the mutex.
func (n *Node) changed() {
	for w := range n.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// Refuse makes every attempt to open a socket fail with err from now on. Refuse(nil) ends the failures.
func (n *Node) Refuse(err error) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	n.refuse = err
}

// Attempts returns the number of attempts to open a socket.
func (n *Node) Attempts() int {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	return n.opened
}

// Watch implements layer2.Network.
func (n *Node) Watch(ctx context.Context, tell func(layer2.HostState)) error {
	bell := make(chan struct{}, 1)
	n.lan.mu.Lock()
	n.watchers[bell] = struct{}{}
	n.lan.mu.Unlock()
	for {
		tell(n.hostState())
		select {
		case <-ctx.Done():
			n.lan.mu.Lock()
			delete(n.watchers, bell)
			n.lan.mu.Unlock()
			return nil
		case <-bell:
		}
	}
}

// hostState returns the state of the node's interfaces and addresses as the kernel shows them.
func (n *Node) hostState() layer2.HostState {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	s := layer2.HostState{Addrs: slices.Clone(n.addrs), MACs: slices.Clone(n.macs)}
	for _, c := range n.nics {
		if c.link == nil {
			continue
		}
		i := c.state
		i.Prefixes = slices.Clone(i.Prefixes)
		i.Local = slices.Concat(i.Local, n.addrs)
		slices.SortFunc(i.Local, netip.Addr.Compare)
		s.Interfaces = append(s.Interfaces, i)
		for _, p := range i.Prefixes {
			s.Addrs = append(s.Addrs, p.Addr())
		}
	}
	return s
}

// SetAddrs gives the node's kernel other addresses besides the interface addresses, as on a loopback interface. The
// kernel answers ARP requests and neighbour solicitations for these addresses on every interface, as Linux does.
func (n *Node) SetAddrs(addrs ...netip.Addr) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	n.addrs = slices.Clone(addrs)
	n.changed()
}

// SetMACs gives the node interfaces with these hardware addresses. The announcer does not use the interfaces, and the
// interfaces send nothing.
func (n *Node) SetMACs(macs ...layer2.MAC) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	n.macs = slices.Clone(macs)
	n.changed()
}

// ListenARP implements layer2.Network.
func (n *Node) ListenARP(i layer2.Interface) (layer2.Conn, error) { return n.listen(i, layer2.ARP) }

// ListenNDP implements layer2.Network.
func (n *Node) ListenNDP(i layer2.Interface) (layer2.GroupConn, error) {
	return n.listen(i, layer2.NDP)
}

// ListenPing implements layer2.Network.
func (n *Node) ListenPing(i layer2.Interface, p layer2.Protocol) (layer2.Conn, error) {
	return n.listen(i, p)
}

// ListenHeartbeats implements layer2.HeartbeatNetwork.
func (n *Node) ListenHeartbeats(i layer2.Interface) (layer2.HeartbeatConn, error) {
	return n.listen(i, heartbeats)
}

func (n *Node) listen(i layer2.Interface, p layer2.Protocol) (*conn, error) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	if p != heartbeats {
		n.opened++
	}
	if n.refuse != nil {
		return nil, n.refuse
	}
	for _, c := range n.nics {
		if c.link == nil || c.state.Index != i.Index {
			continue
		}
		if p == layer2.NDP && c.state.LinkLocal != i.LinkLocal {
			return nil, syscall.EADDRNOTAVAIL
		}
		s := &conn{nic: c, protocol: p, frames: make(chan arrival, backlog), end: make(chan struct{}), groups: map[netip.Addr]struct{}{}}
		c.conns[s] = struct{}{}
		return s, nil
	}
	return nil, syscall.ENODEV
}

// set changes the interface and wakes the callers of Watch.
func (c *NIC) set(change func(*layer2.Interface)) {
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	change(&c.state)
	c.node.changed()
}

// MAC returns the hardware address.
func (c *NIC) MAC() layer2.MAC {
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	return c.state.MAC
}

// SetUp gives the interface a carrier, or removes the carrier.
func (c *NIC) SetUp(up bool) { c.set(func(i *layer2.Interface) { i.Up = up }) }

// SetLocal gives the node's kernel the addresses of Services, as a service proxy does. The kernel answers pings to
// these addresses, and HostState.Addrs does not contain the addresses.
func (c *NIC) SetLocal(addrs ...netip.Addr) {
	c.set(func(i *layer2.Interface) { i.Local = slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare) })
}

// SetStrictARP(false) makes the node's kernel answer ARP requests for the addresses of SetLocal, as with kube-proxy in
// IPVS mode without strictARP. A new node is strict.
func (n *Node) SetStrictARP(strict bool) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	n.lax = !strict
}

// AnswersForeign reports whether the kernel answers ARP requests for the addresses of SetLocal.
func (n *Node) AnswersForeign(string) bool {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	return n.lax
}

// Flap interrupts the carrier so briefly that the interface is up again at the next look.
func (c *NIC) Flap() { c.set(func(i *layer2.Interface) { i.Flaps++ }) }

// Freeze makes the interface look like the interface of a stalled process: Write succeeds and sends nothing, and
// received frames wait in the sockets until the interface is thawed.
func (c *NIC) Freeze(frozen bool) {
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	switch {
	case frozen && c.thaw == nil:
		c.thaw = make(chan struct{})
	case !frozen && c.thaw != nil:
		close(c.thaw)
		c.thaw = nil
	}
}

// frozen returns a channel that is closed when the interface is thawed, or nil if the interface is not frozen.
func (c *NIC) frozen() chan struct{} {
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	return c.thaw
}

// SetPrefixes changes the addresses of the interface.
func (c *NIC) SetPrefixes(prefixes ...netip.Prefix) {
	c.set(func(i *layer2.Interface) { i.Prefixes = prefixes })
}

// SetOnLink changes the destinations of the routes over the interface that need no router.
func (c *NIC) SetOnLink(prefixes ...netip.Prefix) {
	c.set(func(i *layer2.Interface) { i.OnLink = prefixes })
}

// SetSlaves makes the interface a bond in mode balance-alb with slaves of these hardware addresses: ARP replies leave
// with the address of the last slave. Without arguments, the interface is an ordinary interface again.
func (c *NIC) SetSlaves(macs ...layer2.MAC) { c.set(func(i *layer2.Interface) { i.MACs = macs }) }

// SetBondMode makes the interface a bond in a mode, by the kernel's name of the mode. With an empty name, the interface
// is an ordinary interface again.
func (c *NIC) SetBondMode(mode string) { c.set(func(i *layer2.Interface) { i.BondMode = mode }) }

// SetMAC changes the hardware address. The link-local address stays, as on Linux.
func (c *NIC) SetMAC(m layer2.MAC) { c.set(func(i *layer2.Interface) { i.MAC = m }) }

// SetIPv6 gives the interface a link-local address, as at the end of duplicate address detection, or removes the
// address.
func (c *NIC) SetIPv6(on bool) {
	c.set(func(i *layer2.Interface) {
		i.LinkLocal = netip.Addr{}
		if on {
			i.LinkLocal = linkLocal(i.MAC)
		}
	})
}

// Remove removes the interface and makes its sockets fail.
func (c *NIC) Remove() {
	c.Break(syscall.ENODEV)
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	c.node.lan.disconnect(c.link)
	c.link = nil
	c.node.changed()
}

// Break makes every open socket on the interface fail with err.
func (c *NIC) Break(err error) {
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	for s := range c.conns {
		s.finish(err)
	}
}

// Groups returns the multicast groups of the sockets on the interface, sorted.
func (c *NIC) Groups() []netip.Addr {
	c.node.lan.mu.Lock()
	defer c.node.lan.mu.Unlock()
	return c.groups()
}

// groups does the work of Groups. The caller holds the mutex.
func (c *NIC) groups() []netip.Addr {
	groups := map[netip.Addr]struct{}{}
	for s := range c.conns {
		maps.Copy(groups, s.groups)
	}
	return slices.SortedFunc(maps.Keys(groups), netip.Addr.Compare)
}

// describe returns the lines about the interface for LAN.String. The caller holds the mutex.
func (c *NIC) describe() []string {
	return []string{fmt.Sprintf("interface %s up=%t sockets=%d groups=%v", c.state.MAC, c.state.Up, len(c.conns), c.groups())}
}

// wants reports whether the interface listens to an Ethernet group. The caller holds the mutex.
func (c *NIC) wants(group layer2.MAC) bool {
	if group == broadcast || group == groupMAC(allNodes) {
		return true
	}
	for _, addr := range c.node.addrs { // the kernel is in the group of each of its addresses
		if addr.Is6() && groupMAC(solicitedNode(addr)) == group {
			return true
		}
	}
	for s := range c.conns {
		for g := range s.groups {
			if groupMAC(g) == group {
				return true
			}
		}
	}
	return false
}

// receive passes a frame to the sockets of its protocol and to the kernel. The caller holds the mutex.
func (c *NIC) receive(frame []byte) [][]byte {
	destination := layer2.MAC(frame[0:6])
	if !c.state.Up || destination[0]&1 == 0 && destination != c.state.MAC && !slices.Contains(c.state.MACs, destination) {
		return nil
	}
	switch {
	case segmentStart(frame) > 0:
		c.deliver(pathSocket, frame)
		return c.proxyAnswers(frame)
	case isEchoReply(frame):
		c.deliver(pathSocket, frame)
		return nil
	}
	protocol, ok := protocolOf(frame)
	if !ok {
		return nil
	}
	c.deliver(protocol, frame)
	return c.kernelAnswers(frame)
}

// deliver passes a frame to the sockets of a protocol. The caller holds the mutex.
func (c *NIC) deliver(protocol layer2.Protocol, frame []byte) {
	for s := range c.conns {
		if s.protocol == protocol {
			select {
			case s.frames <- arrival{frame, time.Now()}:
			default: // the socket's buffer is full
			}
		}
	}
}

// Heartbeats are ARP packets with an operation of their own.
const (
	arpOperation       = ethernetHeader + 6
	operationHeartbeat = 24
)

// protocolOf returns the protocol of the sockets that receive a frame, as the kernel filters decide.
func protocolOf(frame []byte) (p layer2.Protocol, ok bool) {
	switch ethernet.EtherType(binary.BigEndian.Uint16(frame[12:])) {
	case ethernet.EtherTypeARP:
		if len(frame) >= arpOperation+2 && binary.BigEndian.Uint16(frame[arpOperation:]) == operationHeartbeat {
			return heartbeats, true
		}
		return layer2.ARP, true
	case ethernet.EtherTypeIPv4:
		return layer2.ICMP, len(frame) > icmp4Start && frame[23] == protocolICMP && frame[icmp4Start] == echoRequest4
	case ethernet.EtherTypeIPv6:
		if len(frame) > icmp6Start && frame[20] == protocolICMPv6 && frame[icmp6Start] == echoRequest6 {
			return layer2.ICMPv6, true
		}
		return layer2.NDP, true
	}
	return 0, false
}
