package peers

import (
	"log/slog"
	"time"
)

// DetectorOptions are the parts that a Detector works with. Hooks is optional.
type DetectorOptions struct {
	// Self is the name of this node.
	Self string
	// Gossip and Prober reach the neighbours.
	Gossip Gossip
	Prober Prober
	// HasNode reports whether the cluster has a Node of this name. A neighbour that gossip has lost is probed as long as it has.
	HasNode func(name string) bool
	// Report takes each suspicion and each sign of life. It may be called from several goroutines at once, and must not block.
	Report func(Suspicion)
	Log    *slog.Logger
	Hooks  Hooks
}

// Hooks are called for metrics. Each is optional. They may be called from several goroutines at once, and must not block.
type Hooks struct {
	// Lateness is called ten times a second with how late that call is.
	Lateness func(time.Duration)
	// LateProbe is called for each failed probe that counts for nothing because this node was late itself.
	LateProbe func()
}

func (h Hooks) lateness(d time.Duration) {
	if h.Lateness != nil {
		h.Lateness(d)
	}
}

func (h Hooks) lateProbe() {
	if h.LateProbe != nil {
		h.LateProbe()
	}
}
