package processors

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Setter changes the number of processors on which goroutines run at the same time.
type Setter interface {
	// One allows one processor, and All allows all processors of this process.
	One()
	All()
}

// Processors allows one processor while nobody needs more. With one processor, a process that mostly waits wakes fewer
// threads, because a goroutine that becomes ready wakes no second thread. But with one processor a frame waits while
// another goroutine computes, so each long computation begins with a call of Need.
//
// The process has all processors before Run, and again after Run.
type Processors struct {
	setter Setter
	began  time.Time
	// until is the end of the need in nanoseconds since began. all is true while the setter allows all processors.
	until atomic.Int64
	all   atomic.Bool
	// mu guards the calls of the setter, because Need must not return before the setter has returned.
	mu sync.Mutex
	// widened wakes Run after a call of All.
	widened chan struct{}
}

// New returns Processors that nobody needs.
func New(setter Setter) *Processors {
	p := &Processors{setter: setter, began: time.Now(), widened: make(chan struct{}, 1)}
	p.all.Store(true)
	return p
}

// Need allows all processors from now on for at least the duration d. When Need returns, all processors are allowed.
// Any goroutine may call Need, and a call costs 100 ns while all processors are allowed.
func (p *Processors) Need(d time.Duration) {
	end := int64(time.Since(p.began) + d)
	for {
		// until grows before all is read: narrow reads the two in the opposite order.
		until := p.until.Load()
		if until >= end || p.until.CompareAndSwap(until, end) {
			break
		}
	}
	if p.all.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all.Load() {
		return
	}
	p.setter.All()
	p.all.Store(true)
	select {
	case p.widened <- struct{}{}:
	default:
	}
}

// Run allows only one processor whenever a need has ended, until ctx ends. Run returns the error of ctx. Run has no
// timer while one processor is allowed.
func (p *Processors) Run(ctx context.Context) error {
	defer p.Need(0)
	for ctx.Err() == nil {
		rest := p.narrow()
		var over <-chan time.Time
		if rest > 0 {
			over = time.After(rest)
		}
		select {
		case <-ctx.Done():
		case <-over:
		case <-p.widened:
		}
	}
	return ctx.Err()
}

// narrow allows one processor, unless a need lasts. narrow returns the time until the end of the need, or 0.
func (p *Processors) narrow() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.all.Load() {
		return 0
	}
	p.all.Store(false) // from here on, Need waits for mu
	if rest := p.left(); rest > 0 {
		p.all.Store(true)
		return rest
	}
	p.setter.One()
	return 0
}

// left returns the time until the end of the need.
func (p *Processors) left() time.Duration { return time.Duration(p.until.Load()) - time.Since(p.began) }
