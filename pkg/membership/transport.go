package membership

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/time/rate"
)

const (
	// datagramSize is the most that a datagram can hold. memberlist's are shorter than 1,400 bytes.
	datagramSize = 1 << 16
	// socketBuffer is what the kernel is asked to keep of datagrams, in bytes. It gives what it may.
	socketBuffer = 2 << 20
	// acceptPause is how long no connection is accepted after that has failed, as for want of descriptors.
	acceptPause = 50 * time.Millisecond
	// strangeDatagrams and strangeStreams are how many a second are looked at, and so many at once, that come from an address at which no
	// member is expected. Nothing but their encryption tells whether they are of a member all the same.
	strangeDatagrams = 200
	strangeStreams   = 50
)

// transport is the sockets of one member. memberlist's own would take 64 KiB of memory for each datagram, from whomever.
type transport struct {
	log     *slog.Logger
	udp     *net.UDPConn
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn
	closing chan struct{}
	close   sync.Once
	readers sync.WaitGroup
	// expected tells whether a member may be at an address, and refuse is called for what is not looked at.
	expected          func(netip.Addr) bool
	refuse            func(refusal)
	fewDatagrams, few *rate.Limiter
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport opens the sockets, the one for TCP at the same port as that for UDP, also when that is 0.
func newTransport(bind netip.AddrPort, log *slog.Logger, expected func(netip.Addr) bool, refuse func(refusal)) (*transport, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind))
	if err != nil {
		return nil, err
	}
	port := uint16(tcp.Addr().(*net.TCPAddr).Port)
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind.Addr(), port)))
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	for size := socketBuffer; size > 0 && udp.SetReadBuffer(size) != nil; size /= 2 {
	}
	t := &transport{
		log: log, udp: udp, tcp: tcp, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closing: make(chan struct{}),
		expected: expected, refuse: refuse,
		fewDatagrams: rate.NewLimiter(strangeDatagrams, strangeDatagrams), few: rate.NewLimiter(strangeStreams, strangeStreams),
	}
	t.readers.Go(t.read)
	t.readers.Go(t.accept)
	return t, nil
}

// welcome reports whether to look at what comes from an address.
func (t *transport) welcome(from netip.Addr, few *rate.Limiter) bool {
	if t.expected(from.Unmap().WithZone("")) || few.Allow() {
		return true
	}
	t.refuse(refusedOverflow)
	return false
}

// read hands over datagrams, each in memory of its own, which memberlist keeps.
func (t *transport) read() {
	b := make([]byte, datagramSize)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(b)
		came := time.Now()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			t.log.Debug("datagram not read", "err", err) // as when an earlier one could not be delivered
			continue
		case !t.welcome(from.Addr(), t.fewDatagrams):
			continue
		case n == 0:
			t.refuse(refusedMalformed)
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), b[:n]...), From: net.UDPAddrFromAddrPort(from), Timestamp: came}
		select {
		case t.packets <- p:
		case <-t.closing:
			return
		}
	}
}

// accept hands over connections.
func (t *transport) accept() {
	for {
		conn, err := t.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.log.Warn("gossip connection not accepted", "err", err)
			select {
			case <-time.After(acceptPause):
			case <-t.closing:
			}
			continue
		}
		from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		if !t.welcome(from, t.few) {
			_ = conn.Close() // nothing was said
			continue
		}
		select {
		case t.streams <- conn:
		case <-t.closing:
			_ = conn.Close() // nobody is there to listen
			return
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport. What is advertised is where it listens.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	at := t.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return at.Addr().Unmap().AsSlice(), int(at.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, to string) (time.Time, error) {
	at, err := netip.ParseAddrPort(to)
	if err == nil {
		_, err = t.udp.WriteToUDPAddrPort(b, at)
	}
	return time.Now(), err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, to.Addr)
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", to, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(to.Addr, timeout)
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport. It waits until nothing is read any more.
func (t *transport) Shutdown() error {
	var err error
	t.close.Do(func() {
		close(t.closing)
		err = errors.Join(t.udp.Close(), t.tcp.Close())
	})
	t.readers.Wait()
	return err
}
