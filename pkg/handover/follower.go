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

// End is the outcome of following a holder.
type End uint8

// The ends.
const (
	Following  End = iota // the follower still follows
	HandedOver            // the holder has sent the message to take over: take the name
	Vanished              // the holder died or left: take the name
	Replaced              // another follower has connected: stop answering
	Stopped               // the context of Run ended
	Broken                // the holder lives, but refused or sent an invalid message; Run returns the error
)

// String returns the name of the end in a log.
func (e End) String() string {
	return [...]string{"following", "handed over", "vanished", "replaced", "stopped", "broken"}[e]
}

// Offer is the place of the holder. The follower answers for the same addresses.
type Offer struct {
	Place Place
	// Final marks the last place of the holder. The gossip sockets of the holder are closed.
	Final bool
	// Sessions are the sessions of a final offer. The receiver uses or closes them.
	Sessions []Session

	seq uint64
}

// Follower follows a holder until this process may take the place.
type Follower struct {
	conn     *net.UnixConn
	inbox    *inbox
	messages *reader
	sessions []Session // received, and not yet in an offer
	lost     error     // the reason why sessions are missing
	place    Place     // the newest place
	places   chan Offer
	acked    atomic.Uint64
	wake     chan struct{} // of capacity 1: there is a place to acknowledge
	end      atomic.Uint32
}

// Connect makes this process the follower of the holder, and replaces the former follower. Connect returns ErrNobody
// if there is no holder, and ErrVersion or ErrRefused if this process cannot follow the holder. Connect waits for an
// answer until ctx ends. The caller must call Run, which closes the connection.
func Connect(ctx context.Context, name string) (*Follower, error) {
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
	return &Follower{conn: conn, inbox: files, messages: messages, places: make(chan Offer, 1), wake: make(chan struct{}, 1)}, nil
}

// meet checks the user of the holder and exchanges hellos.
func meet(ctx context.Context, conn *net.UnixConn, messages *reader) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := func() error {
		if err := sameUser(conn); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		// A failed write needs no check: the next read returns a refusal, or the end of the connection.
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

// Places returns the channel of the holder's offers. The channel holds only the newest offer: a newer offer replaces an
// offer that was not received in time. Run closes the channel after the last offer.
func (s *Follower) Places() <-chan Offer { return s.places }

// Answering acknowledges that this process answers for all addresses of an offer, and of all earlier offers. Answering
// does not wait.
func (s *Follower) Answering(offer Offer) {
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

// End returns the outcome. The outcome is HandedOver as soon as Places is closed after a final offer. All other
// outcomes are set before Places is closed, too. The name is free only when Run has returned.
func (s *Follower) End() End { return End(s.end.Load()) }

// Run receives the messages of the holder and sends the acknowledgements of Answering, until the holder has closed the
// connection or ctx ends. Run returns an error only if the outcome is Broken.
func (s *Follower) Run(ctx context.Context) error {
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
	// The holder closes the connection after the name. No further message follows.
	for err == nil {
		_, err = s.messages.next()
	}
	return nil
}

// Lost returns the reason why sessions of the holder did not arrive, or nil if all sessions arrived. The result is
// valid after Places is closed.
func (s *Follower) Lost() error { return s.lost }

// leave handles the sessions that arrived without the message to take over. If the holder has died, leave offers the
// sessions with the previous place, because the routers have not noticed the death yet. Otherwise leave closes the
// sessions.
func (s *Follower) leave(end End) {
	if end == Vanished && len(s.sessions) > 0 {
		s.pass(Offer{Place: s.place, Final: true, Sessions: s.sessions})
		return
	}
	for _, session := range s.sessions {
		session.Close()
	}
}

// finish publishes the outcome and closes Places.
func (s *Follower) finish(end End) {
	s.end.Store(uint32(end))
	close(s.places)
}

// receive passes on places until the outcome is known. receive publishes only the outcome HandedOver; the caller
// publishes the other outcomes.
func (s *Follower) receive(ctx context.Context) (End, error) {
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

// adopt takes the files of a session. If files of the session are missing, only this session is lost: the follower
// makes a new session.
func (s *Follower) adopt(h *handed) error {
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

// pass puts an offer into the channel, and replaces an offer that was not received. pass is the only sender.
func (s *Follower) pass(offer Offer) {
	select {
	case <-s.places:
	default:
	}
	s.places <- offer
}

// acknowledge sends the number of the newest offer that this process answers for. receive notices the death of the
// holder.
func (s *Follower) acknowledge(ended <-chan struct{}) {
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

// Begin makes this process the holder if no process has the name, else the follower of the holder. One of the results
// is nil. Begin returns the other errors of Connect and Listen, and waits until ctx ends.
//
// Any local user can take an abstract name. Therefore a process of another user that has the name does not stop this
// process: Begin returns a holder without a name. Such a holder has no follower until Serve gets the name.
func Begin(ctx context.Context, name string, options Options) (*Holder, *Follower, error) {
	for {
		s, err := Connect(ctx, name)
		if errors.Is(err, ErrForeign) {
			h := newHolder(name, options)
			h.log.Error("a process of another user has the name of this node's place, so nothing can be handed over in a "+
				"rollout: end that process", "name", name, "err", err)
			return h, nil, nil
		}
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
