package peers

import (
	"log/slog"
	"time"
)

// DetectorOptions holds the collaborators of a Detector. Hooks is optional.
type DetectorOptions struct {
	// Self is the name of this node.
	Self string
	// Gossip and Prober reach the neighbours.
	Gossip Gossip
	Prober Prober
	// HasNode reports whether the cluster has a Node of the given name. The Detector probes a neighbour lost in gossip
	// until its Node is deleted.
	HasNode func(name string) bool
	// Report receives each suspicion and each sign of life. Several goroutines may call Report at once. Report must not
	// block.
	Report func(Suspicion)
	Log    *slog.Logger
	Hooks  Hooks
}

// Hooks holds optional callbacks for metrics. Several goroutines may call a hook at once. A hook must not block.
type Hooks struct {
	// Lateness is called ten times a second with the delay of this call.
	Lateness func(time.Duration)
	// Patience is called ten times a second with the least time from the last heartbeat of a neighbour to a suspicion:
	// the greatest of all neighbours that send heartbeats.
	Patience func(time.Duration)
	// LateProbe is called for each failed probe ignored because this node was late.
	LateProbe func()
}

func (h Hooks) lateness(d time.Duration) {
	if h.Lateness != nil {
		h.Lateness(d)
	}
}

func (h Hooks) patience(d time.Duration) {
	if h.Patience != nil {
		h.Patience(d)
	}
}

func (h Hooks) lateProbe() {
	if h.LateProbe != nil {
		h.LateProbe()
	}
}
