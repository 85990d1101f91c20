package layer2

import (
	"context"
	"sync"
	"time"
)

// bell is the wake channel of one goroutine. Rings before the goroutine wakes count as one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// pile is a mailbox: one goroutine takes all things at once. pile has a mutex and is no channel, so that callers of add
// never wait for that goroutine, and nothing added is lost.
type pile[T any] struct {
	mu     sync.Mutex
	things []T
	closed bool
}

// add reports whether the goroutine will take the things: false after close.
func (p *pile[T]) add(things ...T) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.things = append(p.things, things...)
	}
	return !p.closed
}

func (p *pile[T]) take() []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	things := p.things
	p.things = nil
	return things
}

// close takes the remaining things and makes further calls of add fail.
func (p *pile[T]) close() []T {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.take()
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
