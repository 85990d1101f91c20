package succession

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	// answerCheck is the time between two questions whether the announcer answers for everything; answerBound bounds
	// the wait. Neither process answers for an address whose interface is down.
	answerCheck = 5 * time.Millisecond
	answerBound = 2 * time.Second
)

// Announcer answers for the addresses that it was given last. It is a [layer2.Announcer].
type Announcer interface {
	Set(targets []layer2.Target)
	Answers(addrs []netip.Addr) bool
}

// Beside answers for the addresses of another process of this node, which announces them. Its methods are called one at
// a time.
type Beside struct {
	Announcer Announcer
	// Pools returns the configuration in use, nil for none. It tells on which interfaces an address is answered for.
	Pools func() *config.Config
	Log   *slog.Logger
}

// Answer answers for these addresses and for no others. It returns when the announcer does, or after a bound.
func (b Beside) Answer(ctx context.Context, addrs []netip.Addr) {
	b.Announcer.Set(b.targets(addrs))
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	tick := time.NewTicker(answerCheck)
	defer tick.Stop()
	for !b.Announcer.Answers(addrs) {
		select {
		case <-ctx.Done():
			b.Log.Warn("not all addresses of this node are answered for", "addresses", len(addrs), "waited", answerBound)
			return
		case <-tick.C:
		}
	}
}

// Silence answers for nothing any more.
func (b Beside) Silence() { b.Announcer.Set(nil) }

// targets returns the addresses as the other process has announced them.
func (b Beside) targets(addrs []netip.Addr) []layer2.Target {
	cfg := b.Pools()
	targets := make([]layer2.Target, 0, len(addrs))
	for _, a := range addrs {
		t := layer2.Target{Addr: a, Announced: true}
		if cfg != nil {
			if pool := cfg.PoolOf(a); pool != nil {
				t.Interfaces = pool.Interfaces
			}
		}
		targets = append(targets, t)
	}
	return targets
}
