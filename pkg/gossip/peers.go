package gossip

import (
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
)

// Members returns the living members sorted by name, this node included. For some seconds after a change of this node's
// address, the result also includes the former members. The caller must not change the slice.
func (g *Gossip) Members() []membership.Member {
	// former must be loaded first, because Run sets former before replacing the membership.
	former := g.former.Load()
	members := g.current.Load().Members()
	if former == nil {
		return members
	}
	return withFormer(members, *former)
}

// Settled reports whether this node has met another member or has found no other node, see
// [membership.Membership.Settled]. A change of the address keeps the result.
func (g *Gossip) Settled() bool { return g.settled.Load() || g.current.Load().Settled() }

// Unreached returns the nodes with blocked or partly blocked gossip, sorted by name, see
// [membership.Membership.Unreached] and [membership.Membership.Impaired].
func (g *Gossip) Unreached() []membership.Unreached {
	m := g.current.Load()
	all := slices.Concat(m.Unreached(), m.Impaired())
	slices.SortFunc(all, func(a, b membership.Unreached) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b membership.Unreached) bool { return a.Name == b.Name })
}

// SetState changes the report of this node, see [membership.Membership.SetState].
func (g *Gossip) SetState(r membership.Report) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.reportOnce.Do(func() { close(g.reported) })
	if err := g.current.Load().SetState(r); err != nil {
		return err
	}
	g.report = &r
	return nil
}

// Ping asks a member for a sign of life, see [membership.Membership.Ping].
func (g *Gossip) Ping(name string) error { return g.current.Load().Ping(name) }

// Suspect tells the other nodes that this node hears nothing from a member, see [membership.Membership.Suspect].
func (g *Gossip) Suspect(name string, silent time.Duration) { g.current.Load().Suspect(name, silent) }

// Tell sends the versions of this node to a member, see [membership.Membership.Tell].
func (g *Gossip) Tell(name string, versions [8]uint64) { g.current.Load().Tell(name, versions) }

// AskPath asks a member to probe a path through this node, see [membership.Membership.AskPath].
func (g *Gossip) AskPath(name string, q membership.PathQuestion) { g.current.Load().AskPath(name, q) }

// AnswerPath answers the question of a member, see [membership.Membership.AnswerPath].
func (g *Gossip) AnswerPath(name string, number uint32, there bool) {
	g.current.Load().AnswerPath(name, number, there)
}
