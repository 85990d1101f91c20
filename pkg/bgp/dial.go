package bgp

import (
	"context"
	"sync"
	"time"
)

// dialTimeout limits an attempt to connect: the kernel repeats a SYN after 1, 3 and 7 s.
const dialTimeout = 10 * time.Second

// patience limits the wait of an attempt for the end of the previous connection: a router that sees the new connection
// first may refuse the new one, because the router still has a session with this node.
const patience = 200 * time.Millisecond

// attempt is a dial in progress.
type attempt struct {
	result chan dialResult // of capacity 1
	cancel context.CancelFunc
	tasks  *sync.WaitGroup
}

// dialResult is a connection or the reason why there is none.
type dialResult struct {
	conn Connection
	err  error
}

// dial starts an attempt, after the end of the connection before it, which closes ended; nil for none; and not before a
// time. A peer whose password cannot be read is not dialled.
func dial(ctx context.Context, n Network, p Peer, ended <-chan struct{}, notBefore time.Time, tasks *sync.WaitGroup) *attempt {
	a := &attempt{result: make(chan dialResult, 1), tasks: tasks}
	if p.PasswordProblem != "" {
		a.cancel = func() {}
		a.result <- dialResult{err: &DialError{Reason: PasswordMissing, Message: p.PasswordProblem}}
		return a
	}
	wait := max(0, time.Until(notBefore))
	ctx, a.cancel = context.WithTimeout(ctx, dialTimeout+wait)
	tasks.Go(func() {
		defer a.cancel()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		if ended != nil {
			select {
			case <-ended:
			case <-time.After(patience):
			case <-ctx.Done():
			}
		}
		conn, err := n.Dial(ctx, p)
		a.result <- dialResult{conn: conn, err: err}
	})
	return a
}

// abandon ends the attempt, and closes the connection that may still come of it.
func (a *attempt) abandon() {
	a.cancel()
	a.tasks.Go(func() {
		if r := <-a.result; r.err == nil {
			_ = r.conn.Close()
		}
	})
}
