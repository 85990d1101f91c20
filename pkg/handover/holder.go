package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// What Connect, Listen and HandOver return, wrapped, where the caller has a choice.
var (
	// ErrNobody: no process has the name; for HandOver, no successor is connected.
	ErrNobody = errors.New("nobody is there")
	// ErrTaken: another process has the name.
	ErrTaken = errors.New("another process holds the place")
	// ErrVersion: the other process speaks another version of the protocol.
	ErrVersion = errors.New("version of the protocol is not understood")
	// ErrRefused: the holder takes no successor, for a reason that it tells.
	ErrRefused = errors.New("the holder takes no successor")
	// ErrGone: the successor went away before it had acknowledged.
	ErrGone = errors.New("the successor is gone")
)

const (
	// helloTimeout is how long a process that connects may take to say hello.
	helloTimeout = 5 * time.Second
	// acceptPause is how long no connection is accepted after that failed, for want of file descriptors.
	acceptPause = time.Second
	// lastWordTimeout is how long a process that is refused or replaced may take to receive that.
	lastWordTimeout = time.Second
)

// Options are what a Holder needs. The zero value is valid.
type Options struct {
	// Log receives who connects and goes (Info) and what is wrong with what it says (Warn). Without it nothing is logged.
	Log *slog.Logger
	// Wake is called after Successor may have changed, from goroutines of Serve. It must not block.
	Wake func()
}

// Holder has the name, and offers its place to one successor at a time.
type Holder struct {
	listener *net.UnixListener
	log      *slog.Logger
	wake     func()
	patience time.Duration

	// A mutex and no goroutine, since Set and Successor are for loops that must not wait, whether Serve runs or not. It is
	// held for some assignments, never while anything is read, written or called.
	mu      sync.Mutex
	place   Place // never changed, only replaced
	seq     uint64
	going   bool     // HandOver was called: no other place and no other successor is taken
	final   bool     // the place is the final one
	session *session // the successor, if there is one
}

// session is the connection to one successor. Its plain fields are guarded by the holder's mutex.
type session struct {
	conn     *net.UnixConn
	wake     chan struct{} // of capacity 1: there is something to send
	acked    uint64
	replaced bool
	adopts   bool          // the successor takes sessions
	sessions []Session     // to send before the final place
	acks     chan struct{} // of capacity 1: acked has changed
	ended    chan struct{} // closed when the connection is no use any more
}

// Listen takes the name, of 1 to 107 bytes, for this process. It returns ErrTaken if another process has it. Serve must follow,
// which gives the name back at its end.
func Listen(name string, options Options) (*Holder, error) {
	listener, err := listen(name)
	if err != nil {
		return nil, fmt.Errorf("hold the place: %w", err)
	}
	h := &Holder{listener: listener, log: options.Log, wake: options.Wake, patience: helloTimeout}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.wake == nil {
		h.wake = func() {}
	}
	return h, nil
}

// Set says what this process holds now. The newest is sent to the successor at once; what it has not yet been sent of
// older ones it never sees. After HandOver has sent the final place, Set has no effect. A place that a message cannot hold
// (see Member for the limits, and 4 MiB in all) costs the successor its connection, with an error in the log.
func (h *Holder) Set(place Place) {
	place = place.clone()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.going {
		return
	}
	h.place = place
	h.seq++
	h.session.poke()
}

// poke makes a session look for something to send.
func (s *session) poke() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Successor reports whether a successor is connected and has acknowledged that it answers for the newest place.
func (h *Holder) Successor() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session != nil && h.seq > 0 && h.session.acked == h.seq
}

// HandOver sends the newest place as the final one, with the word to go, and waits until the successor acknowledges that it
// answers for all of it. Then it closes the name and the connection, in this order, and returns nil. Serve must be
// running.
//
// detach returns the sessions to hand over, and may be nil. HandOver calls detach when the successor has acknowledged the
// newest place, so that it is known to listen at that moment, and not at all when the successor takes no sessions. From then on the caller
// must not use the sessions, until HandOver returns ErrGone.
//
// HandOver returns ErrNobody when no successor is connected or nothing was Set; in that case the name is kept. It returns
// ErrGone when the successor goes first (no other is taken from then on), and the cause of ctx when that ends first: then the successor, if it lives,
// takes over when the connection ends, that is at the end of Serve.
func (h *Holder) HandOver(ctx context.Context, detach func() []Session) error {
	h.mu.Lock()
	s, seq := h.session, h.seq
	if s == nil || seq == 0 {
		h.mu.Unlock()
		return fmt.Errorf("hand over: %w", ErrNobody)
	}
	h.going = true
	adopts := s.adopts && detach != nil
	h.mu.Unlock()
	if adopts {
		if err := h.await(ctx, s, seq); err != nil {
			return err
		}
		sessions := detach()
		h.mu.Lock()
		s.sessions = sessions
		h.mu.Unlock()
	}
	if err := h.await(ctx, s, h.finish(s)); err != nil {
		return err
	}
	// The successor takes the end of the connection for leave to take the name.
	err := h.listener.Close()
	_ = s.conn.Close() // it was for reading only, and all is read
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("hand over: %w", err)
	}
	return nil
}

// finish makes the place final and returns its number.
func (h *Holder) finish(s *session) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.final {
		h.final = true
		h.seq++
		s.poke()
	}
	return h.seq
}

// await waits until the successor has acknowledged the place of a number.
func (h *Holder) await(ctx context.Context, s *session, seq uint64) error {
	for {
		h.mu.Lock()
		acked := s.acked
		h.mu.Unlock()
		if acked >= seq {
			return nil
		}
		select {
		case <-s.acks:
		case <-s.ended:
			// Whoever has acknowledged may close at once.
			h.mu.Lock()
			acked = s.acked
			h.mu.Unlock()
			if acked >= seq {
				return nil
			}
			return fmt.Errorf("hand over: %w", ErrGone)
		case <-ctx.Done():
			return fmt.Errorf("hand over: no acknowledgement: %w", context.Cause(ctx))
		}
	}
}

// Serve takes successors until ctx ends, also after HandOver, and returns nil. At its end it gives the name back, and
// closes the connection after that.
func (h *Holder) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = h.listener.Close() })()
	sessions, end := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer group.Wait()
	defer end()
	for ctx.Err() == nil {
		conn, err := h.listener.AcceptUnix()
		switch {
		case err == nil:
			group.Go(func() { h.attend(sessions, conn) })
		case errors.Is(err, net.ErrClosed):
			<-ctx.Done()
		default:
			h.log.Warn("successor not accepted", "err", err)
			pause(ctx, acceptPause)
		}
	}
	_ = h.listener.Close() // before the sessions, and perhaps for the second time
	return nil
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
