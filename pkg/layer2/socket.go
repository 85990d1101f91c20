package layer2

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The pause after a socket could not be opened or broke. It doubles with each failure in a row, and starts again once a
// socket has lived for longer than the longest pause.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// frameSize is the most that is read of a frame. No ARP packet, and no solicitation worth an answer, is longer.
const frameSize = 2048

// handler decides on received frames.
type handler interface {
	handle(t *table, frame []byte) (reply []byte, v Verdict, c Claim)
}

var (
	_ handler = (*arpHandler)(nil)
	_ handler = (*ndpHandler)(nil)
	_ handler = (*pingHandler)(nil)
)

// socket is one interface's socket for one protocol. It is opened, read from and opened again in run.
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

// run keeps the socket open until it is stopped. What fails is logged once, and again only when it fails in another way. It is
// logged after the pause: when the socket was stopped meanwhile, the interface is going, and that is said elsewhere.
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

// serve opens the socket, again if it has failed before, and answers until it fails, which it never does without an error.
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
	// vainRate is how often a second, and how often at once, this process may wake for frames of one socket that it answers none of.
	// Beyond that it lets them gather for vainPause: waking costs ten times what a frame does. The socket's buffer holds some 200.
	vainRate  = 500
	vainPause = 2 * time.Millisecond
)

// answer reads frames, and sends what the handler makes of them. Per frame it allocates nothing and takes no lock.
func (s *socket) answer(conn Conn, h handler) error {
	a, b := s.port.a, make([]byte, frameSize)
	dated, _ := conn.(Dated)
	awaiting, _ := conn.(Awaiting)
	lossy, _ := conn.(Lossy)
	vain, lost := newAllowance(vainRate, time.Now()), uint32(0)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return readError(s.protocol, s.iface, err)
		}
		now := time.Now()
		steady := a.pulse.steady(now) // before the table: that of before a standstill is gone when this is true again
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
		s.received[verdict].Inc()
		if lossy != nil {
			if n := lossy.Lost(); n != 0 && n != lost {
				a.metrics.lost[s.protocol].Add(float64(n - lost))
				lost = n
			}
		}
		if reply != nil {
			if _, err := conn.Write(reply); err != nil {
				a.metrics.socketErrors[s.protocol].Inc()
				s.log.Debug("answer not sent", "err", err)
			}
		}
		if claim.Addr.IsValid() {
			a.inquiries.hear(claim)
			if _, known := t.known[claim.Addr]; known && claim.Form != Probing {
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

func readError(p Protocol, i Interface, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return socketError{operation: "read from", protocol: p, name: i.Name, err: err}
}
