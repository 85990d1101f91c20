package layer2

import (
	"context"
	"net/netip"
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

// pile collects addresses for a goroutine that will take them all. It has a mutex, and is no channel, so that whoever adds
// to it never waits for that goroutine, and nothing added is lost.
type pile struct {
	mu    sync.Mutex
	addrs []netip.Addr
}

func (p *pile) add(addrs []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs = append(p.addrs, addrs...)
}

func (p *pile) take() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	addrs := p.addrs
	p.addrs = nil
	return addrs
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
