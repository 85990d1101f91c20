package speaker

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Sizes of the headers around a datagram (Ethernet, IPv4, UDP) and around a segment of a stream (Ethernet, IPv4, TCP
// with time stamps). The first segments of a connection carry more options, for example the segment size.
const (
	datagramHeaders = 14 + 20 + 8
	segmentHeaders  = 14 + 20 + 32
	openingHeaders  = 14 + 20 + 40
	segmentSize     = 1500 - 20 - 32
)

// backlog is the number of datagrams that a socket keeps for a slow reader, and of streams that wait to be accepted.
const backlog = 1024

// gossipNet carries the gossip of many members in memory, and counts its bytes as an Ethernet would. Nobody waits but on channels and
// timers, so that it can be used in a bubble of testing/synctest.
type gossipNet struct {
	latency time.Duration // of each datagram, and of each direction of a connection that is opened

	mu    sync.Mutex
	ports map[string]*gossipPort
}

// gossipPort is the gossip network as one member sees it. It implements memberlist.NodeAwareTransport.
type gossipPort struct {
	net     *gossipNet
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn

	// The mutex of the network guards the rest.
	cut                  bool
	datagrams, streaming uint64 // bytes sent and received
}

var _ memberlist.NodeAwareTransport = (*gossipPort)(nil)

func newGossipNet(latency time.Duration) *gossipNet {
	return &gossipNet{latency: latency, ports: map[string]*gossipPort{}}
}

func (n *gossipNet) port(addr netip.AddrPort) *gossipPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &gossipPort{net: n, addr: addr, packets: make(chan *memberlist.Packet, backlog), streams: make(chan net.Conn, backlog)}
	n.ports[addr.String()] = p
	return p
}

// sever cuts the port off, for good.
func (p *gossipPort) sever() {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	p.cut = true
}

// traffic returns how many bytes were sent and received in datagrams, and in streams.
func (p *gossipPort) traffic() (datagrams, streaming uint64) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	return p.datagrams, p.streaming
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (p *gossipPort) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return p.addr.Addr().AsSlice(), int(p.addr.Port()), nil
}

// PacketCh implements memberlist.Transport.
func (p *gossipPort) PacketCh() <-chan *memberlist.Packet { return p.packets }

// StreamCh implements memberlist.Transport.
func (p *gossipPort) StreamCh() <-chan net.Conn { return p.streams }

// Shutdown implements memberlist.Transport. Shutdown closes the streams that wait to be accepted.
func (p *gossipPort) Shutdown() error {
	p.sever()
	for {
		select {
		case s := <-p.streams:
			_ = s.Close()
		default:
			return nil
		}
	}
}

// WriteTo implements memberlist.Transport.
func (p *gossipPort) WriteTo(b []byte, addr string) (time.Time, error) {
	return p.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport. A datagram that cannot arrive is lost without an error.
func (p *gossipPort) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	now, size := time.Now(), uint64(len(b)+datagramHeaders)
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(p.addr)}
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.cut {
		return now, nil
	}
	p.datagrams += size
	to := p.net.ports[addr.Addr]
	if to == nil {
		return now, nil
	}
	time.AfterFunc(p.net.latency, func() {
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		if to.cut {
			return
		}
		packet.Timestamp = time.Now()
		to.datagrams += size
		select {
		case to.packets <- packet:
		default: // the socket's buffer is full
		}
	})
	return now, nil
}

// DialTimeout implements memberlist.Transport.
func (p *gossipPort) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return p.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (p *gossipPort) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	p.net.mu.Lock()
	to := p.net.ports[addr.Addr]
	lost := p.cut || to == nil || to.cut
	if !p.cut {
		p.streaming += openingHeaders
	}
	if !lost {
		to.streaming += openingHeaders
	}
	p.net.mu.Unlock()
	if lost {
		time.Sleep(timeout)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	time.Sleep(2 * p.net.latency)
	p.exchange(to, openingHeaders+segmentHeaders) // the answer, and its acknowledgement
	near, far := net.Pipe()
	select {
	case to.streams <- &stream{Conn: far, from: to, to: p}:
		return &stream{Conn: near, from: p, to: to}, nil
	default:
		return nil, errors.New("too many connections wait to be accepted")
	}
}

// exchange counts bytes between two ports, in whichever direction.
func (p *gossipPort) exchange(other *gossipPort, bytes uint64) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	p.streaming += bytes
	other.streaming += bytes
}

// stream is an end of a connection.
type stream struct {
	net.Conn
	from, to *gossipPort
	ended    sync.Once
}

// Write implements net.Conn. The receiver acknowledges every second segment.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if n > 0 {
		segments := (n + segmentSize - 1) / segmentSize
		s.from.exchange(s.to, uint64(n+segmentHeaders*(segments+(segments+1)/2)))
	}
	return n, err
}

// Close implements net.Conn. Each end sends a last segment, which is acknowledged.
func (s *stream) Close() error {
	s.ended.Do(func() { s.from.exchange(s.to, 2*segmentHeaders) })
	return s.Conn.Close()
}

func (s *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.to.addr) }
