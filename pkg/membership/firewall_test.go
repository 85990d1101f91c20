package membership

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// firewall is a network in memory that can block nodes from each other by direction and protocol. firewall blocks only
// on channels and timers, so firewall works in a bubble of testing/synctest.
type firewall struct {
	mu    sync.Mutex
	ports map[string]*firewallPort
	rules map[rule]struct{}
}

// rule blocks the datagrams from one node to another node, or the connections in that direction.
type rule struct {
	from, to string
	protocol string // "TCP" or "UDP"
}

// firewallPort is the transport of one node.
type firewallPort struct {
	net     *firewall
	name    string
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

var _ memberlist.NodeAwareTransport = (*firewallPort)(nil)

// latency is the delay of a datagram.
const latency = 100 * time.Microsecond

func newFirewall() *firewall {
	return &firewall{ports: map[string]*firewallPort{}, rules: map[rule]struct{}{}}
}

func (f *firewall) port(name string, addr netip.AddrPort) *firewallPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &firewallPort{net: f, name: name, addr: addr, packets: make(chan *memberlist.Packet, 1024), streams: make(chan net.Conn, 1024)}
	f.ports[addr.String()] = p
	return p
}

// set replaces the rules.
func (f *firewall) set(rules ...rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.rules)
	for _, r := range rules {
		f.rules[r] = struct{}{}
	}
}

// passes returns the port with the given address if the protocol reaches that port from p, else nil.
func (p *firewallPort) passes(to, protocol string) *firewallPort {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	other := p.net.ports[to]
	if other == nil {
		return nil
	}
	if _, blocked := p.net.rules[rule{p.name, other.name, protocol}]; blocked {
		return nil
	}
	return other
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (p *firewallPort) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return p.addr.Addr().AsSlice(), int(p.addr.Port()), nil
}

// PacketCh implements memberlist.Transport.
func (p *firewallPort) PacketCh() <-chan *memberlist.Packet { return p.packets }

// StreamCh implements memberlist.Transport.
func (p *firewallPort) StreamCh() <-chan net.Conn { return p.streams }

// Shutdown implements memberlist.Transport.
func (p *firewallPort) Shutdown() error {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	delete(p.net.ports, p.addr.String())
	return nil
}

// WriteTo implements memberlist.Transport.
func (p *firewallPort) WriteTo(b []byte, addr string) (time.Time, error) {
	return p.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport. A blocked datagram is lost without an error.
func (p *firewallPort) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(p.addr)}
	if to := p.passes(addr.Addr, "UDP"); to != nil {
		time.AfterFunc(latency, func() {
			packet.Timestamp = time.Now()
			select {
			case to.packets <- packet:
			default: // the buffer of the socket is full
			}
		})
	}
	return time.Now(), nil
}

// DialTimeout implements memberlist.Transport.
func (p *firewallPort) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return p.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. A blocked connection gets no answer.
func (p *firewallPort) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	to := p.passes(addr.Addr, "TCP")
	if to == nil {
		time.Sleep(timeout)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	time.Sleep(2 * latency)
	near, far := net.Pipe()
	to.streams <- firewallStream{far, p.addr}
	return firewallStream{near, to.addr}, nil
}

// firewallStream is one end of a connection.
type firewallStream struct {
	net.Conn
	remote netip.AddrPort
}

func (s firewallStream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }
