package layer2

import (
	"encoding/binary"
	"io"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/arp"
)

// operationHeartbeat is the operation of a heartbeat: OP_EXP1, which is reserved for experiments (RFC 5494, section 3).
// Kernels and other stations ignore ARP packets with this operation, and the kernel filters of the other sockets drop
// them, so a heartbeat changes no neighbour's cache and wakes no process.
const operationHeartbeat arp.Operation = 24

// maxHeartbeats is the maximum number of heartbeats read from one socket at a beat. Two neighbours send two.
const maxHeartbeats = 128

// HeartbeatConn is a socket for heartbeats. A received frame wakes no goroutine: the frame waits until ReadNow is
// called. ReadNow, WriteNow and Close may be called at the same time.
type HeartbeatConn interface {
	// ReadNow reads a frame without the check sequence into b, without waiting. ReadNow returns the length, and the time
	// that the frame has waited in the socket. The length is 0 when no frame is there.
	ReadNow(b []byte, now time.Time) (n int, waited time.Duration)
	// WriteNow sends a frame at once, or returns an error.
	WriteNow(frame []byte) error
	io.Closer
}

// HeartbeatNetwork is a Network with sockets for heartbeats. With another Network, an announcer neither sends nor hears
// heartbeats.
type HeartbeatNetwork interface {
	// ListenHeartbeats opens a socket for the heartbeats to the hardware address of an interface.
	ListenHeartbeats(Interface) (HeartbeatConn, error)
}

// Heartbeats exchanges heartbeats with another station: frames that say that the process of the sender runs. One
// goroutine at a time may call Send, and any goroutine Last.
type Heartbeats struct {
	a       *Announcer
	network netip.Addr
	to      MAC
	from    []MAC
	// last is the arrival time of the last heartbeat in nanoseconds since the start of the pulse, 0 for none, and late
	// the lateness that the heartbeat told, in nanoseconds.
	last, late atomic.Int64
	// ports, layout and told are the state for which sends was made.
	ports  *[]*port
	layout *layout
	told   time.Duration
	sends  []heartbeatPort
}

// heartbeatPort is a port with the heartbeat to send there.
type heartbeatPort struct {
	port  *port
	table *table // the table that the frame was made from
	frame []byte
}

// Heartbeats begins to listen to the heartbeats of a station. Heartbeats go to the hardware address to, through the
// network that contains the address network, and come from there from one of the hardware addresses in from, which must
// not be changed. Close ends the use of the Heartbeats.
func (a *Announcer) Heartbeats(network netip.Addr, to MAC, from []MAC) *Heartbeats {
	h := &Heartbeats{a: a, network: network, to: to, from: from}
	a.heartbeats.add(h)
	return h
}

// Is reports whether h was made from these arguments.
func (h *Heartbeats) Is(network netip.Addr, to MAC, from []MAC) bool {
	return h.network == network && h.to == to && slices.Equal(h.from, from)
}

// Last returns the arrival time of the last heartbeat, zero for none, and the lateness of the station that the heartbeat
// told. Heartbeats are read every 50 ms.
func (h *Heartbeats) Last() (at time.Time, late time.Duration) {
	return h.a.pulse.at(h.last.Load()), time.Duration(h.late.Load())
}

// Close ends the listening.
func (h *Heartbeats) Close() { h.a.heartbeats.remove(h) }

// Send sends a heartbeat at once or not at all, and reports whether a heartbeat was sent. Nothing is sent after a stall
// of this process until Resume, and nothing beyond the rate of the interface. late is the lateness of this node, which
// the heartbeat tells in microseconds, at most 71 minutes.
func (h *Heartbeats) Send(now time.Time, late time.Duration) (sent bool) {
	if !h.a.pulse.steady(now) {
		return false
	}
	if ports, layout := h.a.ports.Load(), h.a.layout.Load(); ports != h.ports || layout != h.layout || late != h.told {
		h.ports, h.layout, h.told, h.sends = ports, layout, late, nil
		for _, p := range h.a.portsFor(h.network, nil) {
			h.sends = append(h.sends, heartbeatPort{port: p})
		}
	}
	for i := range h.sends {
		sent = h.sends[i].send(now, h) || sent
	}
	return sent
}

// send sends the heartbeat if the port has a socket for heartbeats, and may send now.
func (p *heartbeatPort) send(now time.Time, h *Heartbeats) bool {
	if t := p.port.table.Load(); t != p.table {
		p.table = t
		p.frame, _ = heartbeatFrame(t.MAC, h.to, h.told) // without a frame, the neighbour asks
	}
	conn := p.port.heartbeats.Load()
	if conn == nil || len(p.frame) == 0 || p.port.direct.waiting.Load() || !p.port.tokens.AllowN(now, 1) {
		return false
	}
	if err := (*conn).WriteNow(p.frame); err != nil {
		p.port.a.metrics.socketErrors[ARP].Inc()
		return false
	}
	return true
}

// heartbeatFrame returns an ARP packet with the operation of heartbeats. The protocol address of the target holds the
// lateness in microseconds, and the protocol address of the sender is zero.
func heartbeatFrame(from, to MAC, late time.Duration) ([]byte, error) {
	var micros [4]byte
	binary.BigEndian.PutUint32(micros[:], uint32(min(max(0, late.Microseconds()), math.MaxUint32)))
	return arpFrame(operationHeartbeat, to, from, netip.IPv4Unspecified(), to, netip.AddrFrom4(micros))
}

// heartbeat is a received heartbeat.
type heartbeat struct {
	from MAC
	late time.Duration
}

// parseHeartbeat parses a frame, and returns false for every frame but a heartbeat.
func parseHeartbeat(b []byte) (heartbeat, bool) {
	if len(b) < arpEnd || be64(b[ethType:]) != arpKind || binary.BigEndian.Uint16(b[arpOperation:]) != uint16(operationHeartbeat) {
		return heartbeat{}, false
	}
	h := heartbeat{
		from: MAC(b[arpSenderMAC:]),
		late: time.Duration(binary.BigEndian.Uint32(b[arpTargetIP:])) * time.Microsecond,
	}
	return h, !h.from.multicast() && h.from != MAC{}
}

// listeners holds the Heartbeats that listen, for the reader of heartbeats, which takes no lock. The zero value is ready
// for use.
type listeners struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*Heartbeats] // a stored list never changes
}

// all returns the Heartbeats.
func (l *listeners) all() []*Heartbeats {
	if list := l.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (l *listeners) add(h *Heartbeats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list.Store(new(append(slices.Clone(l.all()), h)))
}

func (l *listeners) remove(h *Heartbeats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list.Store(new(slices.DeleteFunc(slices.Clone(l.all()), func(other *Heartbeats) bool { return other == h })))
}

// readHeartbeats notes the heartbeats that have arrived since the last call. b is a buffer for one frame. Only the
// goroutine of the pulse calls readHeartbeats.
func (a *Announcer) readHeartbeats(now time.Time, b []byte) {
	for _, p := range *a.ports.Load() {
		conn := p.heartbeats.Load()
		if conn == nil {
			continue
		}
		for range maxHeartbeats {
			n, waited := (*conn).ReadNow(b, now)
			if n == 0 {
				break
			}
			if beat, ok := parseHeartbeat(b[:n]); ok {
				a.noteHeartbeat(p, beat, now.Add(-max(0, waited)))
			}
		}
	}
}

// noteHeartbeat notes a heartbeat that arrived at the port.
func (a *Announcer) noteHeartbeat(p *port, beat heartbeat, at time.Time) {
	for _, h := range a.heartbeats.all() {
		if slices.Contains(h.from, beat.from) && p.table.Load().Holds(h.network) {
			h.late.Store(int64(beat.late))
			h.last.Store(max(h.last.Load(), 1, int64(at.Sub(a.pulse.began))))
		}
	}
}

// listenHeartbeats opens the socket for heartbeats, if the network has such sockets. Without the socket, the neighbours
// and this node ask each other.
func (p *port) listenHeartbeats() (stop func()) {
	n, ok := p.a.network.(HeartbeatNetwork)
	if !ok {
		return func() {}
	}
	conn, err := n.ListenHeartbeats(p.table.Load().Interface)
	if err != nil {
		p.log.Warn("no heartbeats, so that neighbours are asked instead", "err", err)
		return func() {}
	}
	p.heartbeats.Store(&conn)
	return func() {
		p.heartbeats.Store(nil)
		conn.Close()
	}
}
