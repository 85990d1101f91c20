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

// Connect, Listen and HandOver return these errors, wrapped, if the caller can choose how to continue.
var (
	// ErrNobody means that no process has the name or, from HandOver, that no follower is connected.
	ErrNobody = errors.New("nobody is there")
	// ErrTaken means that another process has the name.
	ErrTaken = errors.New("another process holds the place")
	// ErrVersion means that the other process speaks another version of the protocol.
	ErrVersion = errors.New("version of the protocol is not understood")
	// ErrRefused means that the holder takes no follower. The holder sends the reason.
	ErrRefused = errors.New("the holder takes no follower")
	// ErrForeign means that a process of another user has the name, or has connected.
	ErrForeign = errors.New("a process of another user")
	// ErrGone means that the follower disconnected before acknowledging.
	ErrGone = errors.New("the follower is gone")
)

const (
	// helloTimeout is the time in which a connecting process must send hello.
	helloTimeout = 5 * time.Second
	// acceptPause is the pause after a failed accept, for example without free file descriptors.
	acceptPause = time.Second
	// nameRetry is the pause between two attempts to take a name that a process of another user has.
	nameRetry = 5 * time.Second
	// lastWordTimeout is the time in which a refused or replaced process must receive the message about the refusal or
	// replacement.
	lastWordTimeout = time.Second
)

// Options configures a Holder. The zero value is valid.
type Options struct {
	// Log receives the arrival and departure of followers (Info) and errors in their messages (Warn). Without Log,
	// nothing is logged.
	Log *slog.Logger
	// Wake is called from goroutines of Serve after the result of Followed may have changed. Wake must not block.
	Wake func()
}

// Holder has the name, and offers its place to one follower at a time.
type Holder struct {
	name string
	// listener is nil while a process of another user has the name. In that case Serve sets listener, with mu held.
	listener *net.UnixListener
	log      *slog.Logger
	wake     func()
	patience time.Duration

	// mu is a mutex instead of a goroutine, because loops that must not wait call Set and Followed, whether Serve runs
	// or not. A goroutine holds mu for some assignments, never during a read, a write or a call.
	mu      sync.Mutex
	place   Place // never changed, only replaced
	seq     uint64
	going   bool     // HandOver was called: no other place and no other follower is accepted
	final   bool     // the place is the final place
	session *session // the follower, or nil
}

// session is the connection to one follower. The holder's mutex guards the plain fields.
type session struct {
	conn     *net.UnixConn
	wake     chan struct{} // of capacity 1: there is a message to send
	acked    uint64
	replaced bool
	adopts   bool          // the follower takes sessions
	sessions []Session     // to send before the final place
	acks     chan struct{} // of capacity 1: acked has changed
	ended    chan struct{} // closed when the connection is of no further use
}

// Listen takes the name for this process. The name has 1 to 107 bytes. Listen returns ErrTaken if another process has
// the name. The caller must call Serve, which gives the name back at its end.
func Listen(name string, options Options) (*Holder, error) {
	listener, err := listen(name)
	if err != nil {
		return nil, fmt.Errorf("hold the place: %w", err)
	}
	h := newHolder(name, options)
	h.listener = listener
	return h, nil
}

// newHolder returns a Holder without the name.
func newHolder(name string, options Options) *Holder {
	h := &Holder{name: name, log: options.Log, wake: options.Wake, patience: helloTimeout}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.wake == nil {
		h.wake = func() {}
	}
	return h
}

// Set stores the current place of this process. Serve sends the newest place to the follower at once, and skips older
// places that were not sent yet. Set has no effect after HandOver. If a place does not fit into a message (see Member
// for the limits, and 4 MiB in all), the holder logs an error and closes the connection to the follower.
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

// poke makes a session look for a message to send.
func (s *session) poke() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Followed reports whether a follower is connected and has acknowledged that it answers for the newest place.
func (h *Holder) Followed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session != nil && h.seq > 0 && h.session.acked == h.seq
}

// HandOver sends the newest place as the final place, with the message to take over, and waits until the follower
// acknowledges that it answers for the whole place. Then HandOver closes the name and the connection, in this order,
// and returns nil. Serve must be running.
//
// detach returns the sessions to hand over, and may be nil. HandOver calls detach when the follower has acknowledged
// the newest place, so that the follower is known to listen at that moment. HandOver does not call detach if the
// follower takes no sessions. After detach, the caller must not use the sessions unless HandOver returns ErrGone.
//
// HandOver returns ErrNobody if no follower is connected or nothing was Set; then the holder keeps the name. HandOver
// returns ErrGone if the follower disconnects first; from then on the holder accepts no other follower. HandOver
// returns the cause of ctx if ctx ends first; then a living follower takes over when the connection ends, at the end
// of Serve.
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
	// For the follower, the end of the connection means that the name is free.
	err := h.listener.Close()
	_ = s.conn.Close() // the connection was only read, and everything is read
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

// await waits until the follower has acknowledged the place with the number seq.
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
			// A follower may close the connection immediately after an acknowledgement.
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

// Serve accepts followers until ctx ends, also after HandOver, and returns nil. At its end, Serve gives the name back,
// and then closes the connection.
func (h *Holder) Serve(ctx context.Context) error {
	if !h.takeName(ctx) {
		return nil
	}
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
			h.log.Warn("follower not accepted", "err", err)
			pause(ctx, acceptPause)
		}
	}
	_ = h.listener.Close() // before the sessions, and perhaps for the second time
	return nil
}

// takeName waits until this process has the name. takeName returns false if ctx ends first.
func (h *Holder) takeName(ctx context.Context) bool {
	for h.listener == nil {
		listener, err := listen(h.name)
		if err == nil {
			h.log.Info("the name of the place is free: this process can hand over now", "name", h.name)
			h.mu.Lock()
			h.listener = listener
			h.mu.Unlock()
			break
		}
		if pause(ctx, nameRetry); ctx.Err() != nil {
			return false
		}
	}
	return true
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
