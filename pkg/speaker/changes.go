package speaker

import (
	"net/netip"
	"slices"
	"time"
)

// toldChanges is how many of the last changes of ownership are told of.
const toldChanges = 100

// Change is one change of ownership on this node.
type Change struct {
	At   time.Time
	Addr netip.Addr
	// Peer is the node that had the address before this one, or is to have it; empty when that is not known.
	Peer string
	// After is how long the node that had it had been silent when this one took it; only after a crash.
	After time.Duration

	what change
	why  cause
}

// changed counts, logs and remembers what has become of an address on this node.
func (s *Speaker) changed(c Change, more ...any) {
	s.metrics.changes[c.what][c.why].Inc()
	args := append([]any{"ip", c.Addr, "reason", c.why}, more...)
	switch {
	case c.Peer != "" && c.what == gained:
		args = append(args, "from", c.Peer)
	case c.Peer != "":
		args = append(args, "to", c.Peer)
	}
	if c.After > 0 {
		args = append(args, "after", c.After)
	}
	s.Log.Info("ownership "+c.what.String(), args...)
	s.recent = append(s.recent, c)
}

// lastChanges returns the last changes, the oldest first, in a slice that is never changed. before are those that it returned last.
func (s *Speaker) lastChanges(before []Change) []Change {
	if len(s.recent) == 0 {
		return before
	}
	all := slices.Concat(before, s.recent)
	s.recent = s.recent[:0]
	return slices.Clone(all[max(0, len(all)-toldChanges):])
}
