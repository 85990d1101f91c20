package layer2

import (
	"context"
	"time"
)

// ticks tell a goroutine that an interval has passed.
type ticks interface {
	// next waits for the next tick, and returns false when the context of the ticks is done. The ticks of a goroutine
	// that is late count as one.
	next() bool
}

// ticking is a Network with ticks that cost less than the timers of the runtime.
type ticking interface {
	// ticks returns ticks that end when ctx is done.
	ticks(ctx context.Context, interval time.Duration) (ticks, error)
}

// newTicks returns the ticks of the network, or timers of the runtime when the network has none.
func newTicks(ctx context.Context, network Network, interval time.Duration) ticks {
	if n, ok := network.(ticking); ok {
		if t, err := n.ticks(ctx, interval); err == nil {
			return t
		}
	}
	t := time.NewTicker(interval)
	context.AfterFunc(ctx, t.Stop)
	return timerTicks{t.C, ctx.Done()}
}

// timerTicks are the ticks of a timer of the runtime.
type timerTicks struct {
	ticked <-chan time.Time
	done   <-chan struct{}
}

func (t timerTicks) next() bool {
	select {
	case <-t.done:
		return false
	case <-t.ticked:
		return true
	}
}
