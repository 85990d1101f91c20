package routes

import (
	"time"

	"github.com/lanlord/lanlord/pkg/placement"
)

// Phase is a step of a node on the way out of the tables of its routers.
type Phase uint8

const (
	// Announcing: the node announces its routes.
	Announcing Phase = iota
	// ShuttingDown: the node announces its routes as the last choice (RFC 8326).
	ShuttingDown
	// Withdrawn: the node announces nothing, and keeps its sessions.
	Withdrawn
)

// String returns one word.
func (p Phase) String() string { return [...]string{"Announcing", "ShuttingDown", "Withdrawn"}[p] }

// Planner makes the tables of one node, round after round. The zero Planner is ready for use, by one goroutine.
type Planner struct {
	phase Phase
	// since is the time of the last change of phase, drain the duration of ShuttingDown.
	since time.Time
	drain time.Duration
	// decided is the last table made with a configuration, without the attributes of ShuttingDown. announces is true when
	// the last round returned routes.
	decided   Table
	announces bool
}

// Phase returns the phase after the last Step.
func (p *Planner) Phase() Phase { return p.phase }

// Step returns the table for this moment, and the time of the next Step; zero when only a change of the inputs can
// change the table. nodes are made of in.Snapshot and in.Ready. Step sets in.Draining itself. stopping means that
// this process is about to end without a successor; the caller calls Step until the phase is Withdrawn.
//
// Without a configuration, Step keeps the routes of the node; see [Keep].
func (p *Planner) Step(now time.Time, nodes *placement.Nodes, in Input, stopping bool) (t Table, again time.Time) {
	if cfg := in.Snapshot.Config; cfg != nil {
		p.drain = cfg.BGP.Drain
	}
	p.advance(now, stopping || Drains(nodes.NodeExclusion(in.Self)))
	in.Draining = p.phase == ShuttingDown
	if in.Snapshot.Config != nil {
		t = decide(nodes, in)
		p.decided = t
	} else {
		t = keep(p.decided, nodes, in)
	}
	switch p.phase {
	case ShuttingDown:
		t, again = t.shutDown(), p.since.Add(p.drain)
	case Withdrawn:
		t = t.Withdrawn()
	}
	p.announces = t.hasRoutes()
	return t, again
}

// advance moves to the phase of this moment. leaves means that the node should have no routes.
func (p *Planner) advance(now time.Time, leaves bool) {
	switch {
	case !leaves:
		p.enter(now, Announcing)
	case p.phase == Announcing && p.announces:
		p.enter(now, ShuttingDown)
	case p.phase == Announcing:
		p.enter(now, Withdrawn)
	}
	if p.phase == ShuttingDown && now.Sub(p.since) >= p.drain {
		p.enter(now, Withdrawn)
	}
}

func (p *Planner) enter(now time.Time, next Phase) {
	if p.phase != next {
		p.phase, p.since = next, now
	}
}
