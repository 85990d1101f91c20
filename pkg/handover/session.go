package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// attend serves one connection until either process closes the connection or ctx ends.
func (h *Holder) attend(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	messages := newReader(conn)
	s := &session{conn: conn, wake: make(chan struct{}, 1), acks: make(chan struct{}, 1), ended: make(chan struct{})}
	hello, err := h.greet(conn, messages)
	if err == nil {
		s.adopts = hello.Adopts
		err = h.admit(s)
	}
	if err != nil {
		h.log.Warn("follower refused", "err", err)
		refuse(conn, err)
		return
	}
	h.log.Info("follower connected")
	var writer sync.WaitGroup
	var unsent error
	writer.Go(func() { unsent = h.offer(s) })
	err = h.listenTo(s, messages)
	h.dismiss(s)
	_ = conn.Close() // ends a write that waits
	writer.Wait()
	switch {
	case unsent != nil:
		h.log.Error("follower dismissed, the place cannot be told", "err", unsent)
	case err != nil:
		h.log.Warn("follower dismissed", "err", err)
	default:
		h.log.Info("follower disconnected")
	}
}

// greet checks the user of the connecting process, and waits for the hello.
func (h *Holder) greet(conn *net.UnixConn, messages *reader) (hello message, err error) {
	if err := sameUser(conn); err != nil {
		return hello, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(h.patience)); err != nil {
		return hello, err
	}
	hello, err = messages.next()
	switch {
	case err != nil:
		return hello, fmt.Errorf("no hello: %w", err)
	case hello.Kind != kindHello:
		return hello, fmt.Errorf("%s in place of hello", hello.Kind)
	}
	return hello, conn.SetReadDeadline(time.Time{})
}

// refuse sends the reason why a process cannot be the follower. The message also shows this version to a process of
// another version. If the message does not arrive, the process still sees the end of the connection.
func refuse(conn *net.UnixConn, reason error) {
	if conn.SetWriteDeadline(time.Now().Add(lastWordTimeout)) == nil {
		_ = send(conn, message{Kind: kindRefused, Reason: reason.Error()})
	}
}

// send writes one message.
func send(conn io.Writer, m message) error {
	line, err := encode(m)
	if err != nil {
		return err
	}
	_, err = conn.Write(line)
	return err
}

// admit makes s the follower, and replaces the former follower.
func (h *Holder) admit(s *session) error {
	h.mu.Lock()
	before, going := h.session, h.going
	if !going {
		h.session = s
		if before != nil {
			before.replaced = true
		}
	}
	h.mu.Unlock()
	if going {
		return errors.New("the place is being handed over")
	}
	s.poke()
	if before != nil {
		// The former follower may have stopped reading.
		_ = before.conn.SetWriteDeadline(time.Now().Add(lastWordTimeout))
		before.poke()
		h.wake()
	}
	return nil
}

// dismiss ends the role of s as follower.
func (h *Holder) dismiss(s *session) {
	h.mu.Lock()
	if h.session == s {
		h.session = nil
	}
	h.mu.Unlock()
	close(s.ended)
	h.wake()
}

// offer sends hello, and then each new place. offer returns when the session ends: an error if a place cannot be
// encoded, else nil.
func (h *Holder) offer(s *session) error {
	if err := send(s.conn, message{Kind: kindHello}); err != nil {
		return nil // the follower has gone already, and the reader notices
	}
	var sent uint64
	for {
		select {
		case <-s.ended:
			return nil
		case <-s.wake:
		}
		h.mu.Lock()
		place, seq, final, replaced, sessions := h.place, h.seq, h.final, s.replaced, s.sessions
		h.mu.Unlock()
		m := message{Kind: kindPlace, Seq: seq, Place: &place}
		switch {
		case replaced:
			m = message{Kind: kindReplaced}
		case seq == sent:
			continue
		case final:
			m.Kind = kindGo
		}
		line, err := encode(m)
		if err != nil {
			_ = s.conn.Close()
			return err
		}
		if m.Kind == kindGo && h.give(s, sessions) != nil {
			_ = s.conn.Close()
			return nil
		}
		// A caller of HandOver notices a follower that does not read. The reader notices a follower that has died.
		if _, err := s.conn.Write(line); err != nil || replaced {
			_ = s.conn.Close()
			return nil
		}
		sent = seq
	}
}

// give sends the sessions, each with its files. A session that fits into no message stays behind: its router sees the
// end of the connection when this process ends. give returns an error if writing to the follower fails.
func (h *Holder) give(s *session, sessions []Session) error {
	for n, session := range sessions {
		line, err := encode(message{Kind: kindSession, Session: &handed{len(session.State), len(session.Files)}})
		if err == nil && n >= MaxSessions {
			err = fmt.Errorf("%d sessions, may be %d", len(sessions), MaxSessions)
		}
		if err != nil {
			h.log.Error("session not handed over", "err", err)
			continue
		}
		if err := sendFiles(s.conn, append(line, session.State...), session.Files); err != nil {
			return err
		}
	}
	return nil
}

// listenTo reads the acknowledgements of the follower. listenTo returns nil when the connection ends, else an error
// about an invalid message.
func (h *Holder) listenTo(s *session, messages *reader) error {
	for {
		m, err := messages.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		case m.Kind != kindAnswering:
			return fmt.Errorf("unexpected %s", m.Kind)
		}
		if err := h.acknowledged(s, m.Seq); err != nil {
			return err
		}
		h.wake()
	}
}

// acknowledged records that the follower answers for the place with the number seq.
func (h *Holder) acknowledged(s *session, seq uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq > h.seq {
		return fmt.Errorf("answers for place %d, the newest is %d", seq, h.seq)
	}
	s.acked = max(s.acked, seq)
	select {
	case s.acks <- struct{}{}:
	default:
	}
	return nil
}
