package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Status is what the loop did last. It is never changed after it was published.
type Status struct {
	// State is what the others were told of this node.
	State membership.State
	// Lacks says what keeps a joining node from being ready.
	Lacks []string
	// Decisions are for all addresses, sorted.
	Decisions []Decision
	// Held are the addresses that this node answers for, sorted.
	Held []netip.Addr
	// Strangers are the addresses that a host has which is no node, sorted.
	Strangers []cluster.Stranger

	insight
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

// Since returns when this node became ready, and zero while it is not.
func (s *Speaker) Since() time.Time {
	if st := s.Status(); st.State == membership.Ready {
		return st.since
	}
	return time.Time{}
}

// publish makes the step visible, and says so when what this node answers for, or the strangers, are others than before.
func (s *Speaker) publish(snap cluster.Snapshot, ready []membership.Member) {
	before := s.Status()
	st := &Status{State: s.state, Lacks: s.lacks, Decisions: s.decisions, Strangers: s.listStrangers(), insight: s.insight(snap, ready, before.changes)}
	for a := range s.held {
		st.Held = append(st.Held, a)
	}
	slices.SortFunc(st.Held, netip.Addr.Compare)
	s.status.Store(st)
	s.sightings.tidy(len(s.decisions), func(a netip.Addr) bool { return s.decision(a) != nil })
	if !slices.Equal(st.Held, before.Held) {
		s.Held(st.Held)
	}
	if !slices.Equal(st.Strangers, before.Strangers) {
		s.Strangers()
	}
}

// report tells the others of this node's state and links when they have changed.
func (s *Speaker) report() {
	links := s.ownLinks()
	before := s.status.Load()
	if before != nil && before.State == s.state && slices.EqualFunc(links, s.links, membership.Link.Equal) {
		return
	}
	if before == nil {
		defer close(s.reported)
	}
	s.links = links
	if err := s.Peers.SetState(s.state, links); err != nil {
		s.Log.Error("the other speakers cannot be told of this one", "err", err)
	}
}

// ownLinks returns the interfaces that are up, sorted by name, each with an address that the neighbours can ask for to see
// that this node lives. That stays the same as long as this node answers for it.
func (s *Speaker) ownLinks() []membership.Link {
	var links []membership.Link
	for _, i := range s.Announcer.Interfaces() {
		if !i.Up {
			continue
		}
		link := membership.Link{Name: i.Name, MAC: membership.MAC(i.MAC)}
		for _, p := range i.Prefixes {
			link.Subnets = append(link.Subnets, p.Masked())
		}
		slices.SortFunc(link.Subnets, netip.Prefix.Compare)
		link.Subnets = slices.Compact(link.Subnets)
		for _, old := range s.links {
			if old.Name == link.Name && s.held[old.Beacon] != nil && s.held[old.Beacon].kept() && i.Holds(old.Beacon) {
				link.Beacon = old.Beacon
			}
		}
		if !link.Beacon.IsValid() {
			link.Beacon = s.beacon(i)
		}
		links = append(links, link)
	}
	slices.SortFunc(links, func(x, y membership.Link) int { return strings.Compare(x.Name, y.Name) })
	return links
}

// beacon returns the lowest address that this node keeps and answers for on i, invalid if there is none.
func (s *Speaker) beacon(i layer2.Interface) (lowest netip.Addr) {
	for a, h := range s.held {
		if h.kept() && i.Holds(a) && (!lowest.IsValid() || a.Less(lowest)) {
			lowest = a
		}
	}
	return lowest
}
