package layer2

import (
	"context"
	"sync"
	"time"
)

// bell wakes one goroutine. Rings that it has not yet heard count as one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// pile collects things for a goroutine that will take them all. It has a mutex, and is no channel, so that whoever adds
// to it never waits for that goroutine, and nothing added is lost.
type pile[T any] struct {
	mu     sync.Mutex
	things []T
	closed bool
}

// add reports whether the things will be taken: they are not once the pile is closed.
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

// close takes what there is and lets nothing be added any more.
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
