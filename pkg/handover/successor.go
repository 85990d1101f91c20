package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// End is how following a holder has ended.
type End uint8

// The ends.
const (
	Following  End = iota // not yet
	HandedOver            // the holder gave the word to go: take the name
	Vanished              // the holder died or left: take the name
	Replaced              // another successor has connected: answer no more
	Stopped               // the context of Run ended
	Broken                // the holder lives, but it said something that is not understood; Run returns what
)

// String returns the end as a log shows it.
func (e End) String() string {
	return [...]string{"following", "handed over", "vanished", "replaced", "stopped", "broken"}[e]
}

// Offer is what the holder holds, for the successor to answer for too.
type Offer struct {
	Place Place
	// Final says that the holder goes: its gossip sockets are closed, and this is its last place.
	Final bool
	// Sessions are the sessions that come with a final offer, for the receiver to use or to close.
	Sessions []Session

	seq uint64
}

// Successor follows a holder until it may take its place.
type Successor struct {
	conn     *net.UnixConn
	inbox    *inbox
	messages *reader
	sessions []Session // received, and not yet in an offer
	lost     error     // why sessions are missing
	place    Place     // the newest
	places   chan Offer
	acked    atomic.Uint64
	wake     chan struct{} // of capacity 1: there is something to acknowledge
	end      atomic.Uint32
}

// Connect becomes the successor of whoever has the name, in place of another one. It returns ErrNobody when there is no holder,
// ErrVersion or ErrRefused when that one cannot be followed, and waits for an answer no longer than ctx. Run must
// follow, which closes the connection.
func Connect(ctx context.Context, name string) (*Successor, error) {
	conn, err := dial(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("follow the holder: %w", err)
	}
	files := newInbox(conn)
	messages := newReader(files)
	if err := meet(ctx, conn, messages); err != nil {
		_ = conn.Close()
		files.end()
		return nil, fmt.Errorf("follow the holder: %w", err)
	}
	return &Successor{conn: conn, inbox: files, messages: messages, places: make(chan Offer, 1), wake: make(chan struct{}, 1)}, nil
}

// meet checks who holds the name and exchanges hellos.
func meet(ctx context.Context, conn *net.UnixConn, messages *reader) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := func() error {
		if err := sameUser(conn); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		// What cannot be written is told by what can be read: a refusal, or the end.
		_ = send(conn, message{Kind: kindHello, Adopts: true})
		m, err := messages.next()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: the holder has just gone", ErrNobody)
		case err != nil:
			return err
		case m.Kind == kindRefused:
			return fmt.Errorf("%w: %s", ErrRefused, m.Reason)
		case m.Kind != kindHello:
			return fmt.Errorf("%s in place of hello", m.Kind)
		}
		return nil
	}()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// Places returns the channel of what the holder holds: always the newest, without those that nobody has received
// in time. Run closes it when no more will come.
func (s *Successor) Places() <-chan Offer { return s.places }

// Answering acknowledges that this process answers for all of an offer, and by that for all before it. It does not wait.
func (s *Successor) Answering(offer Offer) {
	for {
		acked := s.acked.Load()
		if offer.seq <= acked {
			return
		}
		if s.acked.CompareAndSwap(acked, offer.seq) {
			break
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// End returns how it ended. It is HandedOver as soon as Places is closed after a final offer, and all other ends are there by
// then too; but the name is free only when Run has returned.
func (s *Successor) End() End { return End(s.end.Load()) }

// Run receives what the holder says and sends what Answering acknowledges, until the holder has closed the connection or ctx
// ends. It returns nil, and an error with the end Broken alone.
func (s *Successor) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })()
	ended := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.acknowledge(ended) })
	defer writer.Wait()
	defer func() { _ = s.conn.Close() }() // ends a write that waits
	defer close(ended)
	defer s.inbox.end()
	end, err := s.receive(ctx)
	if end != HandedOver {
		s.leave(end)
		s.finish(end)
		return err
	}
	// Until the holder has closed its name it holds the connection too. Nothing more is to come.
	for err == nil {
		_, err = s.messages.next()
	}
	return nil
}

// Lost returns why sessions of the holder did not arrive, nil if all did. It is valid when Places is closed.
func (s *Successor) Lost() error { return s.lost }

// leave ends the sessions that arrived without the word to go. When the holder has died, they are in an offer of their own, with
// the place before: the routers have not noticed yet.
func (s *Successor) leave(end End) {
	if end == Vanished && len(s.sessions) > 0 {
		s.pass(Offer{Place: s.place, Final: true, Sessions: s.sessions})
		return
	}
	for _, session := range s.sessions {
		session.Close()
	}
}

// finish tells the end to who ranges over Places.
func (s *Successor) finish(end End) {
	s.end.Store(uint32(end))
	close(s.places)
}

// receive passes on places until there is an end, which for HandedOver it has told already.
func (s *Successor) receive(ctx context.Context) (End, error) {
	for {
		m, err := s.messages.next()
		switch {
		case ctx.Err() != nil:
			return Stopped, nil
		case errors.Is(err, io.EOF):
			return Vanished, nil
		case err != nil:
			return Broken, fmt.Errorf("follow the holder: %w", err)
		}
		switch m.Kind {
		case kindSession:
			switch err := s.adopt(m.Session); {
			case errors.Is(err, io.EOF):
				return Vanished, nil
			case err != nil:
				return Broken, fmt.Errorf("follow the holder: %w", err)
			}
		case kindPlace, kindGo:
			s.place = *m.Place
			offer := Offer{Place: s.place, Final: m.Kind == kindGo, seq: m.Seq}
			if offer.Final {
				offer.Sessions = s.sessions
			}
			s.pass(offer)
			if m.Kind == kindGo {
				s.finish(HandedOver)
				return HandedOver, nil
			}
		case kindReplaced:
			return Replaced, nil
		case kindRefused:
			return Broken, fmt.Errorf("follow the holder: %w: %s", ErrRefused, m.Reason)
		default:
			return Broken, fmt.Errorf("follow the holder: unexpected %s", m.Kind)
		}
	}
}

// adopt takes the files of a session. A session without all of its files is lost, and nothing else: the successor makes a new
// one.
func (s *Successor) adopt(h *handed) error {
	if len(s.sessions) == MaxSessions {
		return fmt.Errorf("more than %d sessions", MaxSessions)
	}
	state, err := s.messages.bytes(h.Size)
	if err != nil {
		return err
	}
	files, err := s.inbox.take(h.Files)
	if err != nil {
		s.lost = err
		return nil
	}
	s.sessions = append(s.sessions, Session{State: state, Files: files})
	return nil
}

// pass puts an offer into the channel in the place of one that nobody has received. There is no other sender.
func (s *Successor) pass(offer Offer) {
	select {
	case <-s.places:
	default:
	}
	s.places <- offer
}

// acknowledge sends the number of the newest offer that is answered for. A holder that has died is seen by receive.
func (s *Successor) acknowledge(ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-s.wake:
		}
		if send(s.conn, message{Kind: kindAnswering, Seq: s.acked.Load()}) != nil {
			return
		}
	}
}

// Begin finds out which of the two this process is: its holder if nobody has the name, else the successor of the one who
// has. One of the results is nil. It returns what else Connect and Listen return, and waits no longer than ctx.
func Begin(ctx context.Context, name string, options Options) (*Holder, *Successor, error) {
	for {
		s, err := Connect(ctx, name)
		if !errors.Is(err, ErrNobody) {
			return nil, s, err
		}
		h, err := Listen(name, options)
		if !errors.Is(err, ErrTaken) {
			return h, nil, err
		}
		if ctx.Err() != nil {
			return nil, nil, err
		}
	}
}
