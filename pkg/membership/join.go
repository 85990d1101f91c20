package membership

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// joinInterval is the pause between two rounds over the peers that are no members. Half of it is random, so that
	// members that started together do not all knock at once.
	joinInterval = time.Second
	// joinPatience is how long a peer may be out of reach before that is logged as a warning. It covers the start of a
	// cluster and of a node.
	joinPatience = 10 * time.Second
	// spreadTo is how many members are told of a change over TCP. They pass it on, so a few do.
	spreadTo = 3
	// settleBound is how long a member that reaches nobody waits before it takes itself to be alone. Members that start
	// together find each other in two rounds.
	settleBound = 3 * time.Second
)

// joiner tries to reach the peers that are no members. memberlist itself forgets a dead member after gossipToTheDead, so
// without this a longer partition would never heal.
type joiner struct {
	m *Membership
	// join tries to exchange all state with a peer.
	join func(peer string) error
	// absent holds the peers that are no members.
	absent map[netip.AddrPort]*absence
	// joined is set when the first peer was reached.
	joined bool
}

// absence is the time in which a peer is no member.
type absence struct {
	since  time.Time
	warned bool
}

// keepJoining tries until ctx ends.
func (m *Membership) keepJoining(ctx context.Context, list *memberlist.Memberlist) {
	j := joiner{m: m, absent: make(map[netip.AddrPort]*absence), join: func(peer string) error {
		_, err := list.Join([]string{peer})
		return err
	}}
	// Not even many peers that are silent, each of which takes its time, may hold this member back for longer.
	bound := time.AfterFunc(settleBound, m.settle)
	defer bound.Stop()
	for ctx.Err() == nil {
		if tried := j.round(ctx); tried == 0 {
			m.settle()
		}
		select {
		case <-ctx.Done():
		case <-m.announced:
			j.spread()
		case <-time.After(joinInterval/2 + rand.N(joinInterval)):
		}
	}
}

// settle makes Settled true.
func (m *Membership) settle() {
	if m.settled.CompareAndSwap(false, true) {
		m.options.Wake()
	}
}

// round tries each peer that is no member, one after the other, and returns how many it tried.
func (j *joiner) round(ctx context.Context) (tried int) {
	peers := j.m.options.Peers()
	j.m.expect(peers)
	missing := j.missing(peers)
	for peer := range j.absent {
		if !slices.Contains(missing, peer) {
			delete(j.absent, peer)
		}
	}
	shuffle(missing)
	for _, peer := range missing {
		select {
		case <-ctx.Done():
			return tried
		case <-j.m.announced:
			j.spread()
		default:
		}
		// The peer before may have brought this one with it.
		if len(j.missing([]netip.AddrPort{peer})) > 0 {
			err := j.join(peer.String())
			j.note(peer, err)
			tried++
			if err == nil && !j.joined {
				// The peer may have told of an earlier process of this name, whose metadata is still what the others know.
				j.joined = true
				j.spread()
			}
		}
	}
	return tried
}

// spread exchanges all state with a few members, so that news of this one is not lost. memberlist's own gossip loses some:
// its queue takes two messages for one if they are of the same length and were queued under the same number, and it begins
// to number anew when a message replaces the only one in the queue. News of nodes whose names are equally long is such a
// pair when they start together.
func (j *joiner) spread() {
	members := slices.Clone(j.m.Members())
	shuffle(members)
	for i, told := 0, 0; i < len(members) && told < spreadTo; i++ {
		if members[i].Name != j.m.options.Name && j.join(members[i].Addr.String()) == nil {
			told++
		}
	}
}

func shuffle[T any](s []T) { rand.Shuffle(len(s), func(a, b int) { s[a], s[b] = s[b], s[a] }) }

// missing returns those of peers that are no members, each once.
func (j *joiner) missing(peers []netip.AddrPort) []netip.AddrPort {
	members := j.m.Members()
	known := make(map[netip.AddrPort]struct{}, len(members)) // or this would take the square of a large cluster
	for _, member := range members {
		known[member.Addr] = struct{}{}
	}
	var missing []netip.AddrPort
	for _, peer := range peers {
		peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
		if _, found := known[peer]; peer.IsValid() && !found {
			known[peer] = struct{}{}
			missing = append(missing, peer)
		}
	}
	return missing
}

// note keeps what became of an attempt, and warns once when a peer has been out of reach for long.
func (j *joiner) note(peer netip.AddrPort, err error) {
	if err == nil {
		return // it is a member now, or will be when its old self is known to be dead
	}
	// memberlist returns a list of errors, here of one, which it prints over several lines.
	if only := errors.Unwrap(err); only != nil {
		err = only
	}
	gone := j.absent[peer]
	if gone == nil {
		gone = &absence{since: time.Now()}
		j.absent[peer] = gone
		j.m.options.Log.Debug("peer cannot be reached over gossip yet", "address", peer, "err", err)
	}
	if !gone.warned && time.Since(gone.since) >= joinPatience {
		gone.warned = true
		j.m.options.Log.Warn("peer cannot be reached over gossip, trying on", "address", peer, "err", err)
	}
}
