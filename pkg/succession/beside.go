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
	// answerCheck is the interval between checks whether the announcer answers for all addresses; answerBound limits
	// the wait. Neither process answers for an address on an interface that is down.
	answerCheck = 5 * time.Millisecond
	answerBound = 2 * time.Second
)

// Announcer answers for the last given addresses. [layer2.Announcer] implements Announcer.
type Announcer interface {
	Set(targets []layer2.Target)
	Answers(addrs []netip.Addr) bool
}

// Beside answers for the addresses announced by another process of this node. The caller calls the methods one at a
// time.
type Beside struct {
	Announcer Announcer
	// Pools returns the configuration in use, nil for none. The configuration determines the interfaces of an address.
	Pools func() *config.Config
	Log   *slog.Logger
}

// Answer answers for the given addresses and for no others. Answer returns when the announcer answers, or after a
// bound.
func (b Beside) Answer(ctx context.Context, addrs []netip.Addr) {
	b.Announcer.Set(b.targets(addrs))
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	tick := time.NewTicker(answerCheck)
	defer tick.Stop()
	for !b.Announcer.Answers(addrs) {
		select {
		case <-ctx.Done():
			b.Log.Warn("not all addresses of this node are answered for", "addresses", len(addrs),
				"waited", answerBound)
			return
		case <-tick.C:
		}
	}
}

// Silence stops answering.
func (b Beside) Silence() { b.Announcer.Set(nil) }

// targets returns the addresses as announced by the other process.
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
