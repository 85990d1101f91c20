package speaker

import (
	"maps"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// insight is what the loop leaves for those who ask why. It is never changed after it was published.
type insight struct {
	// since is when State became what it is.
	since    time.Time
	snapshot cluster.Snapshot
	ready    []membership.Member
	held     map[netip.Addr]tenure
	pursued  map[netip.Addr]quest
	changes  []Change
	// strangers are when each stranger was heard last.
	strangers map[netip.Addr]time.Time
	members   map[string]membership.Member
	gone      map[string]departed
	suspected map[string]suspicion
	stations  map[membership.MAC]string
}

// tenure is how this node holds an address.
type tenure struct {
	took      time.Time
	why       cause
	from      string
	inherited bool
	leaving   bool
}

// quest is how far a pursuit is.
type quest struct {
	holder  string
	waiting bool
	due     time.Time
	warned  bool
	// standsIn is true when another node is to have it; it is asked for when due.
	standsIn bool
	// stranger is the host that has the address and is no node, zero if there is none; facing is since when.
	stranger layer2.MAC
	facing   time.Time
}

// insight returns copies of what the loop goes on changing.
func (s *Speaker) insight(snap cluster.Snapshot, ready []membership.Member, before []Change) insight {
	in := insight{
		since: s.ready, snapshot: snap, ready: ready, changes: s.lastChanges(before), members: s.members.present,
		held: make(map[netip.Addr]tenure, len(s.held)), pursued: make(map[netip.Addr]quest, len(s.pursued)),
		strangers: make(map[netip.Addr]time.Time, len(s.strangers)),
		gone:      maps.Clone(s.members.gone), suspected: maps.Clone(s.members.suspected), stations: maps.Clone(s.members.stations),
	}
	for a, h := range s.held {
		in.held[a] = tenure{h.took, h.why, h.from, h.inherited, !h.kept()}
	}
	for a, p := range s.pursued {
		q := quest{holder: p.holder, waiting: p.waiting, due: p.due, warned: p.warned, standsIn: p.standsIn}
		if x := s.strangers[a]; x != nil && !p.strange.IsZero() {
			q.stranger, q.facing = x.mac, p.strange
		}
		in.pursued[a] = q
	}
	for a, x := range s.strangers {
		in.strangers[a] = x.last
	}
	return in
}
