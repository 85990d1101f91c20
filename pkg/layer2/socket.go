package layer2

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The limits of the pause after a socket failed to open or broke. The pause doubles with each failure in a row, and
// starts again at firstPause once a socket has lasted longer than maxPause.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// frameSize is the maximum number of bytes read from a frame. No ARP packet, and no solicitation worth an answer, is
// longer.
const frameSize = 2048

// handler judges received frames.
type handler interface {
	handle(t *table, frame []byte) (reply []byte, v Verdict, c Claim)
}

var (
	_ handler = (*arpHandler)(nil)
	_ handler = (*ndpHandler)(nil)
	_ handler = (*pingHandler)(nil)
)

// socket is the socket of one interface for one protocol. run opens the socket, reads from it and reopens it.
type socket struct {
	port     *port
	protocol Protocol
	iface    Interface
	log      *slog.Logger
	ctx      context.Context
	stop     context.CancelFunc
	received [verdicts]prometheus.Counter
}

func newSocket(p *port, protocol Protocol, i Interface) *socket {
	ctx, stop := context.WithCancel(p.ctx)
	return &socket{port: p, protocol: protocol, iface: i, log: p.log.With("protocol", protocol), ctx: ctx, stop: stop,
		received: p.a.metrics.received(i.Name, protocol)}
}

// run keeps the socket open until the socket is stopped. run logs an error once, and again only when the error changes.
// run logs after the pause: if the socket was stopped during the pause, the interface is going away, and another
// message reports that.
func (s *socket) run() {
	defer s.stop()
	pause, last := firstPause, ""
	for failed := false; ; failed = true {
		opened := time.Now()
		err := s.serve(failed)
		if time.Since(opened) > maxPause {
			pause, last = firstPause, ""
		}
		sleep(s.ctx, pause)
		if s.ctx.Err() != nil {
			return
		}
		s.port.a.metrics.socketErrors[s.protocol].Inc()
		if err.Error() != last {
			last = err.Error()
			s.log.Error("socket failed", "err", err)
		}
		pause = min(2*pause, maxPause)
	}
}

// serve opens the socket and answers until a failure. serve always returns an error. again is true after an earlier
// failure.
func (s *socket) serve(again bool) error {
	e, h, err := s.open()
	if err != nil {
		return err
	}
	defer e.conn.Close()
	defer context.AfterFunc(s.ctx, func() { e.conn.Close() })()
	s.tell(e)
	defer s.tell(event{from: s})
	a := s.port.a
	if s.protocol.resolves() {
		a.sockets.Add(1)
		a.wake()
		defer func() {
			a.sockets.Add(-1)
			a.wake()
		}()
	}
	if again {
		a.metrics.reopened[s.protocol].Inc()
	}
	s.log.Debug("socket open")
	return s.answer(e.conn, h)
}

func (s *socket) open() (event, handler, error) {
	if s.protocol == ARP {
		h, err := newARPHandler(s.iface)
		if err != nil {
			return event{}, nil, err
		}
		conn, err := s.port.a.network.ListenARP(s.iface)
		return event{from: s, conn: conn}, h, err
	}
	if !s.protocol.resolves() {
		conn, err := s.port.a.network.ListenPing(s.iface, s.protocol)
		return event{from: s, conn: conn}, newPingHandler(), err
	}
	h, err := newNDPHandler(s.iface)
	if err != nil {
		return event{}, nil, err
	}
	conn, err := s.port.a.network.ListenNDP(s.iface)
	return event{from: s, conn: conn, groups: conn}, h, err
}

func (s *socket) tell(e event) {
	select {
	case s.port.events <- e:
	case <-s.ctx.Done():
	}
}

const (
	// vainRate limits how often this process wakes for unanswered frames of one socket, both in a second and at once.
	// Over the limit, the process lets frames collect for vainPause, because a wake-up costs ten times as much as a
	// frame. The buffer of the socket holds about 200 frames.
	vainRate  = 500
	vainPause = 2 * time.Millisecond
	// crowd is the number of frames without a pause between them after which Options.Busy is called.
	crowd = 32
)

// answer reads frames, and sends the answers of the handler. The answers to frames that came from the socket together
// go out together. answer allocates nothing for a frame and takes no lock.
func (s *socket) answer(conn Conn, h handler) error {
	a, b := s.port.a, make([]byte, frameSize)
	dated, _ := conn.(Dated)
	awaiting, _ := conn.(Awaiting)
	lossy, _ := conn.(Lossy)
	out := newOutbox(conn)
	vain, lost, waiting := newAllowance(vainRate, time.Now()), uint32(0), 0
	for {
		n, err := conn.Read(b)
		if err != nil {
			return readError(s.protocol, s.iface, err)
		}
		now := time.Now()
		steady := a.pulse.steady(now) // before the table: if steady after a stall, the table is newer than the stall
		t := s.port.table.Load()
		var reply []byte
		var verdict Verdict
		var claim Claim
		if dated != nil && dated.Waited(now) > staleAge {
			verdict = Stale
			a.pulse.behind(now)
		} else if reply, verdict, claim = h.handle(t, b[:n]); reply != nil && !steady {
			reply, verdict = nil, Withheld
		}
		if reply != nil {
			out.add(reply)
			if verdict == PeerQuestion {
				out.toPeers++
			}
		} else {
			s.received[verdict].Inc()
		}
		if out.due() {
			s.send(out)
		}
		if awaiting != nil {
			if waiting++; awaiting.Awaited() {
				waiting = 0
			} else if waiting%crowd == 0 {
				a.busy()
			}
		}
		if lossy != nil {
			if n := lossy.Lost(); n != 0 && n != lost {
				a.metrics.lost[s.protocol].Add(float64(n - lost))
				lost = n
			}
		}
		if claim.Addr.IsValid() {
			routine := a.inquiries.hear(claim)
			if t.known.Has(claim.Addr) && claim.Form != Probing && !routine {
				a.claimed(s.protocol, claim)
			}
		}
		if s.log.Enabled(s.ctx, slog.LevelDebug) {
			s.log.Debug("frame received", "verdict", verdict, "frame", frameText(b[:n]))
		}
		if reply == nil && awaiting != nil && awaiting.Awaited() && !vain.take(now) {
			time.Sleep(vainPause)
		}
	}
}

// send sends the answers in the outbox, unless this process has stalled since the handler gave them.
func (s *socket) send(out *outbox) {
	defer out.clear()
	a, count := s.port.a, float64(len(out.frames))
	if !a.pulse.steady(time.Now()) {
		s.received[Withheld].Add(count)
		return
	}
	s.received[Answered].Add(count - float64(out.toPeers))
	if out.toPeers > 0 {
		s.received[PeerQuestion].Add(float64(out.toPeers))
	}
	if unsent, err := out.send(); unsent > 0 {
		a.metrics.socketErrors[s.protocol].Add(float64(unsent))
		s.log.Debug("answers not sent", "count", unsent, "err", err)
	}
}

func readError(p Protocol, i Interface, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return socketError{operation: "read from", protocol: p, name: i.Name, err: err}
}
