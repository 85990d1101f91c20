package speaker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

const (
	// keptChanges is how many of the last changes of ownership the status shows.
	keptChanges = 100
	// mostForeign is how many foreign hosts the status shows.
	mostForeign = 256
)

// Status is what the loop did last. Nobody changes it after it was published.
type Status struct {
	// State is what the others were told of this node, Since is when it changed.
	State membership.State
	Since time.Time
	// Lacks says what keeps a joining node from being ready.
	Lacks []string
	// Ready is when this node, or the process before this one, became ready; zero while it is not.
	Ready time.Time
	// Placements are for all addresses, sorted.
	Placements []placement.Placement
	// Held are the addresses that this node has, sorted.
	Held []netip.Addr
	// Foreign are the addresses that a foreign host has, sorted.
	Foreign []cluster.Stranger
	// Addresses has the facts on each address that is not simply another node's.
	Addresses map[netip.Addr]ownership.Facts
	// Changes are the last changes of ownership, the oldest first.
	Changes []ownership.Change

	snapshot cluster.Snapshot
	members  []membership.Member // the ready ones
	entries  []peers.Entry
	view     *peers.View
}

// Status returns what the loop did last, and a zero value before it has begun.
func (s *Speaker) Status() Status {
	if st := s.status.Load(); st != nil {
		return *st
	}
	return Status{}
}

// Ready returns nil when this node is ready, or why it is not.
func (s *Speaker) Ready() error {
	switch st := s.Status(); {
	case st.State == membership.Ready:
		return nil
	case st.State == membership.Leaving:
		return fmt.Errorf("%s: told to stop", st.State)
	case len(st.Lacks) == 0:
		return errors.New("the first look at the cluster is still to come")
	default:
		return fmt.Errorf("%s: %s", st.State, strings.Join(st.Lacks, "; "))
	}
}

// Since returns when this node, or the process before this one, became ready; zero while it is not.
func (s *Speaker) Since() time.Time { return s.Status().Ready }

// publish makes the round visible, and calls back when the addresses that this node has, or the foreign hosts, have changed.
func (l *loop) publish() {
	before := l.Status()
	st := &Status{
		State: l.self.state, Since: l.self.changed, Lacks: l.self.lacks, Ready: l.self.ready, Placements: l.placements, Held: l.held(),
		Foreign: l.foreignHosts(), Addresses: map[netip.Addr]ownership.Facts{}, Changes: l.lastChanges(before.Changes),
		snapshot: l.snapshot, members: l.table.Ready(), entries: l.table.Entries(), view: l.table.View(),
	}
	for addr, a := range l.addrs {
		if !a.Idle() {
			st.Addresses[addr] = a.Facts()
		}
	}
	l.status.Store(st)
	l.sightings.tidy(len(l.placements), func(a netip.Addr) bool { return placement.Find(l.placements, a) != nil })
	maps.DeleteFunc(l.prober.failed, func(a netip.Addr, _ error) bool { return l.addrs[a] == nil })
	if !slices.Equal(st.Held, before.Held) {
		l.opt.Held(st.Held)
	}
	if !slices.Equal(st.Foreign, before.Foreign) {
		l.opt.Foreign()
	}
}

// lastChanges returns the last changes in a slice that nobody changes; before are those of the last round.
func (l *loop) lastChanges(before []ownership.Change) []ownership.Change {
	if len(l.pending.changes) == 0 {
		return before
	}
	all := slices.Concat(before, l.pending.changes)
	l.pending.changes = nil
	return slices.Clone(all[max(0, len(all)-keptChanges):])
}

// foreignHost returns the host that answers for an address and should not, zero when there is none.
func (l *loop) foreignHost(addr netip.Addr) (h ownership.Host) {
	if a := l.addrs[addr]; a != nil {
		foreign := a.Foreign()
		h = foreign.Host
	}
	return h
}

// foreignHosts returns the hosts that are no nodes and answer for addresses of Services.
func (l *loop) foreignHosts() (list []cluster.Stranger) {
	for addr, a := range l.addrs {
		if f := a.Foreign(); f.Known() && f.Node == "" {
			list = append(list, cluster.Stranger{Addr: addr, MAC: f.MAC.String(), Quarantine: f.Quarantine})
		}
	}
	slices.SortFunc(list, cluster.Stranger.Compare)
	return list[:min(len(list), mostForeign)]
}
