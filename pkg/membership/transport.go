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
	// datagramSize is the size of the largest datagram. The datagrams of memberlist are shorter than 1,400 bytes.
	datagramSize = 1 << 16
	// socketBuffer is the requested size of the kernel's buffer for datagrams, in bytes. The kernel may grant less.
	socketBuffer = 2 << 20
	// acceptPause is the pause after a failure to accept a connection, for example for lack of descriptors.
	acceptPause = 50 * time.Millisecond
	// strangeDatagrams and strangeStreams limit the datagrams and connections per second, and in one burst, that are
	// accepted from addresses of neither members nor peers. Only the encryption shows whether a member sent them.
	strangeDatagrams = 200
	strangeStreams   = 50
)

// errNoRoute is the error of a connection to a node without an address in a family of this node.
var errNoRoute = errors.New("this node has no address of the same family")

// transport holds the sockets of one member. The transport of memberlist itself would take 64 KiB of memory for each
// datagram.
type transport struct {
	log *slog.Logger
	// sockets holds one pair of sockets for each family.
	sockets []sockets
	packets chan *memberlist.Packet
	streams chan net.Conn
	closing chan struct{}
	close   sync.Once
	readers sync.WaitGroup
	// expected reports whether a member may be at an address. refuse is called for rejected gossip.
	expected func(netip.Addr) bool
	refuse   func(refusal)
	// inFamily returns the address of the named node in a family, or an invalid address if there is none.
	inFamily          func(name string, ipv4 bool) netip.AddrPort
	fewDatagrams, few *rate.Limiter
	// nodes returns the number of known nodes.
	nodes    func() int
	accepted streams
}

// sockets holds the sockets at one address.
type sockets struct {
	udp *net.UDPConn
	tcp *net.TCPListener
	// datagrams reads from udp and writes to udp.
	datagrams datagrams
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport returns a transport without sockets. The caller sets expected, refuse, inFamily and nodes.
func newTransport(log *slog.Logger) *transport {
	return &transport{
		log: log, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closing: make(chan struct{}),
		fewDatagrams: rate.NewLimiter(strangeDatagrams, strangeDatagrams),
		few:          rate.NewLimiter(strangeStreams, strangeStreams),
	}
}

// openSockets returns the transport of this member. The first address must exist. The second address may be missing,
// for example while duplicate address detection of an IPv6 address is in progress.
func (m *Membership) openSockets() (*transport, error) {
	t := newTransport(m.options.Log)
	t.expected, t.refuse, t.nodes = m.expected, m.refuse, m.nodes
	t.inFamily = func(name string, ipv4 bool) netip.AddrPort { return m.peers.Load().inFamily(name, ipv4) }
	if err := t.listen(m.options.Bind); err != nil {
		return nil, err
	}
	if also := m.options.Also; also.IsValid() {
		if err := t.listen(also); err != nil {
			m.options.Log.Warn("gossip does not listen on the second address of this node", "address", also, "err", err)
		}
	}
	return t, nil
}

// listen opens a TCP and a UDP socket at an address. Both sockets have the same port, even if the port of bind is 0.
func (t *transport) listen(bind netip.AddrPort) error {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind))
	if err != nil {
		return err
	}
	port := uint16(tcp.Addr().(*net.TCPAddr).Port)
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind.Addr(), port)))
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	for size := socketBuffer; size > 0 && udp.SetReadBuffer(size) != nil; size /= 2 {
	}
	d, err := newDatagrams(udp)
	if err != nil {
		return errors.Join(err, udp.Close(), tcp.Close())
	}
	s := sockets{udp: udp, tcp: tcp, datagrams: d}
	t.sockets = append(t.sockets, s)
	t.readers.Go(func() { t.read(s.datagrams) })
	t.readers.Go(func() { t.accept(s.tcp) })
	return nil
}

// welcome reports whether to accept gossip from an address.
func (t *transport) welcome(from netip.Addr, few *rate.Limiter) bool {
	if t.expected(from.Unmap().WithZone("")) || few.Allow() {
		return true
	}
	t.refuse(refusedOverflow)
	return false
}

// read passes on datagrams, each in separate memory, which memberlist keeps.
func (t *transport) read(from datagrams) {
	b := make([]byte, datagramSize)
	for {
		n, sender, err := from.read(b)
		came := time.Now()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			t.log.Debug("datagram not read", "err", err) // for example, an earlier datagram was not delivered
			continue
		case !t.welcome(sender.Addr(), t.fewDatagrams):
			continue
		case n == 0:
			t.refuse(refusedMalformed)
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), b[:n]...), From: net.UDPAddrFromAddrPort(sender), Timestamp: came}
		select {
		case t.packets <- p:
		case <-t.closing:
			return
		}
	}
}

// accept passes on connections.
func (t *transport) accept(tcp *net.TCPListener) {
	for {
		conn, err := tcp.AcceptTCP()
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
			_ = conn.Close() // no data was exchanged
			continue
		}
		done := t.accepted.admit(from, t.expected(from.Unmap().WithZone("")))
		if done == nil {
			t.refuse(refusedOverflow)
			_ = conn.Close() // no data was exchanged
			continue
		}
		accepted := &stream{
			Conn: conn, left: streamBase + streamPerNode*t.nodes(), done: done,
			tooLong: func() { t.refuse(refusedOverflow) },
		}
		select {
		case t.streams <- accepted:
		case <-t.closing:
			_ = accepted.Close() // memberlist no longer listens
			return
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport. The other members use the first address.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	at := t.sockets[0].udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return at.Addr().Unmap().AsSlice(), int(at.Port()), nil
}

// route returns the address and the socket for datagrams to a node. memberlist knows one address of each node. If this
// node lacks the family of that address, the peers may list another address of the node.
func (t *transport) route(to memberlist.Address) (netip.AddrPort, datagrams, error) {
	at, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return at, datagrams{}, err
	}
	for _, s := range t.sockets {
		if s.ipv4() == at.Addr().Unmap().Is4() {
			return at, s.datagrams, nil
		}
	}
	for _, s := range t.sockets {
		if other := t.inFamily(to.Name, s.ipv4()); other.IsValid() {
			return other, s.datagrams, nil
		}
	}
	return at, datagrams{}, errNoRoute
}

// ipv4 reports whether the sockets are at an IPv4 address.
func (s sockets) ipv4() bool { return s.datagrams.ipv4 }

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, to string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: to})
}

// WriteToAddress implements memberlist.NodeAwareTransport. A datagram without a route is lost without an error, because
// memberlist asks other members to probe a node only when its own probe could be sent.
func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	at, socket, err := t.route(to)
	switch {
	case errors.Is(err, errNoRoute):
		err = nil
	case err == nil:
		err = socket.write(b, at)
	}
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: to}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	at, _, err := t.route(to)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return net.DialTimeout("tcp", at.String(), timeout)
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport. Shutdown waits until all readers have ended.
func (t *transport) Shutdown() error {
	var errs []error
	t.close.Do(func() {
		close(t.closing)
		for _, s := range t.sockets {
			errs = append(errs, s.udp.Close(), s.tcp.Close())
		}
	})
	t.readers.Wait()
	return errors.Join(errs...)
}
