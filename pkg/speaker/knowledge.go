package speaker

import (
	"maps"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// What the API server has told two nodes may differ, most often while one is cut off from it. Where a Service's endpoints have moved with
// the policy Local, or a node may not answer any more, each of the two would take an address from the other, for it may not have it. So
// who defends an address, or is about to take one, tells the other how new is what it knows, and whoever knows less gives in and leaves
// the address alone until it has caught up, or the other one is lost.

// tellInterval is the least time between two words to the same peer that say the same: one is for all addresses that are in dispute with it.
const tellInterval = 100 * time.Millisecond

// known says how new the inputs of a node are: the newest changes of EndpointSlices, Nodes and Services that it has seen, and the version of
// its configuration.
type known [4]uint64

func knownOf(v cluster.Versions) known {
	return known{v.EndpointSlices.Changed, v.Nodes.Changed, v.Services.Changed, v.Config.Version}
}

// Less reports whether k is older than o. The first number that differs decides.
func (k known) Less(o known) bool { return slices.Compare(k[:], o[:]) < 0 }

// knowledge is how new is what is known of the cluster.
type knowledge struct {
	// own is what this node's decisions were made from; of has what the other members told last, by name.
	own known
	of  map[string]known
	// told is what each member was told last.
	told map[string]notice
}

// word is what another member has told.
type word struct {
	from  string
	known known
}

// notice is what a member was told, and when.
type notice struct {
	known known
	at    time.Time
}

// Told tells how new is what another member knows of the cluster. It never blocks.
func (s *Speaker) Told(from string, versions [4]uint64) {
	select {
	case s.words <- word{from, versions}:
	default:
	}
}

// hearWord notes what a member has told, and reports whether it knows more than this node. A datagram may be an old one, sent again.
func (s *Speaker) hearWord(w word, now time.Time) (news bool) {
	if !s.members.has(w.from) || w.from == s.Self || w.known.Less(s.knowledge.of[w.from]) {
		return false
	}
	s.knowledge.of[w.from] = w.known
	if w.known.Less(s.knowledge.own) {
		s.tellKnown(w.from, now) // before it takes what it must not
	}
	return s.knowsMore(w.from)
}

// learn notes what the newest decisions were made from, and forgets who is no member any more.
func (s *Speaker) learn(own known) {
	k := &s.knowledge
	if own.Less(k.own) {
		clear(k.of) // the API server's data was restored from a backup, and what was told before is of no use
	}
	k.own = own
	maps.DeleteFunc(k.of, func(name string, _ known) bool { return !s.members.has(name) })
	maps.DeleteFunc(k.told, func(name string, _ notice) bool { return !s.members.has(name) })
}

// knowsMore reports whether a member that is ready has told that it knows more of the cluster than this node does.
func (s *Speaker) knowsMore(name string) bool {
	return s.members.present[name].State == membership.Ready && s.knowledge.own.Less(s.knowledge.of[name])
}

// tellKnown tells a member how new is what this node knows.
func (s *Speaker) tellKnown(name string, now time.Time) {
	told := s.knowledge.told[name]
	if told.known != s.knowledge.own || now.Sub(told.at) >= tellInterval {
		s.knowledge.told[name] = notice{s.knowledge.own, now}
		s.Peers.Tell(name, s.knowledge.own)
	}
}
