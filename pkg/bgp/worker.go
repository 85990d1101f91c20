package bgp

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/session"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// lateness is the least delay of a timer after which the process counts as halted, and the time that the reader then
// gets.
const lateness = 50 * time.Millisecond

// mostLate limits the reads before a late timer, so that a router that never pauses does not delay the timer.
const mostLate = 64

// worker keeps the session with one peer. All its fields but name, mailbox, shown and done belong to the goroutine of
// run.
type worker struct {
	name    string
	shared  *shared
	mailbox *mailbox
	// peer is the newest version of the peer, generation the call of Set that it came with.
	peer       Peer
	generation uint64
	// machine is the state machine, config the parameters it was made with.
	machine *session.Session
	config  session.Config
	past    past
	// started is the time of newWorker.
	started time.Time
	// At most one of link and attempt is not nil.
	link    *transport
	attempt *attempt
	// ended is closed when the connection before is closed; nil for none.
	ended <-chan struct{}
	// sending is true while a Send of the state machine was not answered.
	sending bool
	bfd     bfdWatch
	// frozen is true between Detach and Resume: nothing is sent or received.
	frozen bool
	tasks  sync.WaitGroup
	shown  atomic.Pointer[snapshot]
	done   chan struct{}
}

// newWorker returns a worker that continues the session in d, or begins a new one when d is nil or cannot be continued.
func newWorker(s *shared, p Peer, generation uint64, d *Detached, restarted bool) *worker {
	w := &worker{name: p.Name, shared: s, mailbox: newMailbox(), peer: p, generation: generation,
		started: time.Now(), done: make(chan struct{})}
	w.past.restarted = restarted
	w.shown.Store(&snapshot{status: Status{Name: p.Name, Since: time.Now()}})
	if d != nil {
		w.adopt(*d)
	}
	if w.machine == nil {
		w.begin()
	}
	w.publish()
	return w
}

// run keeps the session until it is told to stop. ctx ends attempts to connect, and nothing else.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.tasks.Wait()
	switch {
	case w.past.outdated:
		w.reset(ctx)
	case w.past.adopted:
		w.step(ctx, session.SetRoutes{Routes: w.peer.Routes, Ready: w.peer.Ready})
	default:
		w.start(ctx)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w.publish()
		w.setTimer(timer)
		select {
		case <-w.mailbox.wake:
			if w.read(ctx, w.mailbox.take()) {
				return
			}
		case r := <-w.dialled():
			w.connected(ctx, r)
		case c := <-w.received():
			w.take(ctx, c)
		case r := <-w.written():
			w.wrote(ctx, r)
		case <-timer.C:
			w.catchUp(ctx)
			w.step(ctx, session.Timer{})
			w.bfd.check(w)
		}
	}
}

// setTimer sets the timer to the next time that something is due.
func (w *worker) setTimer(timer *time.Timer) {
	next := w.machine.Next()
	if due := w.bfd.warnAt; !due.IsZero() && (next.IsZero() || due.Before(next)) {
		next = due
	}
	if next.IsZero() || w.frozen {
		timer.Stop()
		return
	}
	timer.Reset(max(0, time.Until(next)))
}

// catchUp reads before a late timer, so that a halted process does not blame the router for silence.
func (w *worker) catchUp(ctx context.Context) {
	next := w.machine.Next()
	if next.IsZero() || time.Since(next) < lateness {
		return
	}
	for n := 0; n < mostLate && w.link != nil; n++ {
		select {
		case c := <-w.link.received:
			w.take(ctx, c)
		case <-time.After(lateness):
			return
		}
	}
}

// The channels of what the worker waits for are nil, so that nothing comes, while there is nothing to wait for.

func (w *worker) dialled() <-chan dialResult {
	if w.attempt == nil {
		return nil
	}
	return w.attempt.result
}

func (w *worker) received() <-chan chunk {
	if w.link == nil || w.frozen {
		return nil
	}
	return w.link.received
}

func (w *worker) written() <-chan writeResult {
	if w.link == nil || w.frozen {
		return nil
	}
	return w.link.written
}

// step gives an event to the state machine, and does what it asks for.
func (w *worker) step(ctx context.Context, e session.Event) {
	for _, action := range w.machine.Step(time.Now(), e) {
		switch action := action.(type) {
		case session.Dial:
			if sessionConfig(w.peer) != w.config {
				w.replace(ctx, w.machine.View())
				return
			}
			w.attempt = dial(ctx, w.shared.network, w.peer, w.ended, w.notBefore(), &w.tasks)
		case session.Send:
			if w.link != nil {
				w.sending = true
				w.link.send(action.Data)
			}
		case session.Close:
			w.hangUp()
		}
	}
}

// notBefore returns the time of the first attempt of a process whose predecessor may have crashed: the time at which
// the router must have noticed the end of the predecessor's BFD session. While a router waits for a restart, it ignores
// the end of the BFD session (RFC 4724). But a router that notices the end after the restart ends the new BGP session,
// and drops the routes that it kept.
func (w *worker) notBefore() time.Time {
	if !w.past.restarted || w.peer.BFD == nil || w.peer.GracefulRestart == 0 {
		return time.Time{}
	}
	interval := max(w.peer.BFD.TransmitInterval, w.peer.BFD.ReceiveInterval)
	detection := time.Duration(w.peer.BFD.DetectMultiplier) * interval
	return w.started.Add(min(detection+interval, w.peer.GracefulRestart/2))
}

// hangUp ends the connection or the attempt, after what is queued was sent.
func (w *worker) hangUp() {
	w.sending = false
	if w.link != nil {
		w.ended = w.link.finish()
		w.link = nil
	}
	if w.attempt != nil {
		w.attempt.abandon()
		w.attempt = nil
	}
}

// connected takes the result of an attempt.
func (w *worker) connected(ctx context.Context, r dialResult) {
	w.attempt = nil
	if r.err != nil {
		d, is := errors.AsType[*DialError](r.err)
		if !is {
			d = &DialError{Reason: ConnectionLost, Message: r.err.Error()}
		}
		w.shared.metrics.failed(w.peer.Name, d.Reason)
		w.step(ctx, session.DialFailed{Reason: d.Reason, Message: d.Message})
		return
	}
	w.link = newTransport(r.conn, &w.tasks)
	w.step(ctx, session.Connected{NextHop4: r.conn.NextHop4, NextHop6: r.conn.NextHop6,
		Family: wire.FamilyOf(r.conn.Local.Addr())})
}

// take gives what the reader has read to the state machine.
func (w *worker) take(ctx context.Context, c chunk) {
	link := w.link
	if len(c.data) > 0 {
		w.step(ctx, session.Received{Data: c.data})
	}
	link.taken(c)
	if c.err != nil && w.link == link {
		w.lost(ctx, c.err)
	}
}

// lost tells the state machine that the connection is gone.
func (w *worker) lost(ctx context.Context, err error) {
	w.link.drop()
	w.link = nil
	w.sending = false
	r, message := ConnectionLost, "the router closed the connection without saying why"
	if !errors.Is(err, io.EOF) {
		r, message = lossReason(err)
	}
	w.step(ctx, session.Closed{Reason: r, Message: message})
}

// wrote takes the result of a write. After an error nothing more is written: the reader, which has the last messages of
// the router before its own error, ends the session.
func (w *worker) wrote(ctx context.Context, r writeResult) {
	if w.link.wrote(r) && w.sending {
		w.sending = false
		w.step(ctx, session.Written{})
	}
}

// begin makes a state machine with the newest parameters.
func (w *worker) begin() {
	w.config = sessionConfig(w.peer)
	c := w.config
	c.Restarted = w.past.restarted && c.GracefulRestart > 0
	w.machine = session.New(c, w.shared.random)
}

// start has the state machine dial.
func (w *worker) start(ctx context.Context) {
	w.step(ctx, session.SetRoutes{Routes: w.peer.Routes, Ready: w.peer.Ready})
	w.step(ctx, session.Start{})
}

// replace exchanges the state machine for one with the newest parameters, which dials at once. why is the view that
// says why the old one is not established.
func (w *worker) replace(ctx context.Context, why session.View) {
	last := w.machine.View()
	last.Since, last.Reason, last.Message = why.Since, why.Reason, why.Message
	w.past.add(last)
	w.begin()
	w.start(ctx)
}

// read does what the mail asks for, and reports whether the worker is to end.
func (w *worker) read(ctx context.Context, m mail) (ended bool) {
	if m.stop != nil {
		w.end(ctx, *m.stop)
		if m.detach != nil {
			m.detach <- nil
		}
		w.publish()
		return true
	}
	if m.resume {
		w.resume(ctx)
	}
	if m.peer != nil {
		w.update(ctx, *m.peer, m.generation)
	}
	if m.bfd != nil {
		w.bfd.heard(*m.bfd)
	}
	if m.bfdDown && w.link != nil && !w.frozen {
		w.step(ctx, session.BFDDown{})
	}
	if m.detach != nil {
		m.detach <- w.detach(ctx)
	}
	return false
}

// update takes the newest version of the peer. Only changed parameters end the session; timers hold from the next
// session on.
func (w *worker) update(ctx context.Context, p Peer, generation uint64) {
	old := w.peer
	w.peer, w.generation = succeed(old, p), generation
	w.bfd.setProfile(w)
	switch {
	case needsReset(old, w.peer):
		w.reset(ctx)
	case sessionConfig(w.peer) != w.config && w.machine.View().State != Established:
		why := w.machine.View()
		w.step(ctx, session.Stop{Reason: session.Shutdown})
		w.hangUp()
		w.replace(ctx, why)
	case old.PasswordProblem != "" && p.PasswordProblem == "":
		w.step(ctx, session.Reconnect{})
	}
	w.step(ctx, session.SetRoutes{Routes: w.peer.Routes, Ready: w.peer.Ready})
}

// reset ends the session because the parameters have changed, and begins a new one.
func (w *worker) reset(ctx context.Context) {
	why := w.machine.View()
	if why.State == Established {
		why.Since = time.Now()
	}
	why.Reason, why.Message = Changed, "the parameters of the peer have changed"
	w.step(ctx, session.Stop{Reason: session.Deconfigured})
	w.hangUp()
	w.bfd.forget()
	w.replace(ctx, why)
}

// end ends the session for good. A session that another process has is left alone.
func (w *worker) end(ctx context.Context, r session.StopReason) {
	if w.frozen {
		if w.link != nil {
			w.link.abandon()
			w.link = nil
		}
		return
	}
	w.step(ctx, session.Stop{Reason: r})
	w.hangUp()
}
