package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// suspicionLife is how long a member that nothing was heard from is left out of the election. Whoever watches it says so
// again and again while it lasts, and gossip finds a dead one within half of this time.
const suspicionLife = 3 * time.Second

// suspicion says that nothing was heard from a member for a while, since its last sign.
type suspicion struct {
	name   string
	silent time.Duration
	sign   time.Time
	until  time.Time
	// shared is true when another node than this one has said so.
	shared bool
}

// roll is what the loop knows of the members.
type roll struct {
	// present are those of the last look, by name.
	present map[string]membership.Member
	// gone are those that are not present any more, as they were, for as long as their Nodes exist.
	gone map[string]departed
	// suspected are present and not to be heard.
	suspected map[string]suspicion
	// quiet is since when those that were ever suspected are not to be heard.
	quiet map[string]time.Time
	// stations are the nodes by the hardware addresses that they have, or had last: a link that is down is not among those of its member.
	stations map[membership.MAC]string
	// readied is when each member became ready: what it answered for before that it does not know any more.
	readied map[string]time.Time
	// losses counts how often a member was suspected, lost or no longer ready that was not so before.
	losses int
}

// departed is a member that is gone.
type departed struct {
	membership.Member
	// sign is when something was heard from it last, as far as that is known.
	sign time.Time
}

func newRoll() roll {
	return roll{
		present: map[string]membership.Member{}, gone: map[string]departed{}, suspected: map[string]suspicion{}, quiet: map[string]time.Time{},
		stations: map[membership.MAC]string{}, readied: map[string]time.Time{},
	}
}

// suspect takes over a suspicion, unless it is of this node or of none, and reports whether it is a new one.
func (r *roll) suspect(x suspicion, self string, now time.Time) (news bool) {
	if !r.has(x.name) || x.name == self {
		return false
	}
	old, known := r.suspected[x.name]
	if known {
		x.shared = old.shared || x.shared
	} else {
		r.losses++
	}
	if since, quiet := r.quiet[x.name]; quiet {
		x.sign = since
	}
	r.quiet[x.name] = x.sign
	x.until = now.Add(suspicionLife)
	r.suspected[x.name] = x
	return !known
}

// expiry returns when the next suspicion ends, zero if there is none.
func (r *roll) expiry() (first time.Time) {
	for _, x := range r.suspected {
		if first.IsZero() || x.until.Before(first) {
			first = x.until
		}
	}
	return first
}

// standing is what the members are to this node.
type standing uint8

const (
	// isStranger: no member, neither now nor before.
	isStranger standing = iota
	// isFormer: gossip holds it to be gone.
	isFormer
	// isMember: it lives, as far as gossip knows.
	isMember
)

// whose returns the node that has, or had, an interface with this MAC address.
func (r *roll) whose(mac layer2.MAC) (name string, is standing) {
	name, known := r.stations[membership.MAC(mac)]
	if known && r.has(name) {
		return name, isMember
	}
	if _, gone := r.gone[name]; known && gone {
		return name, isFormer
	}
	return "", isStranger
}

// has reports whether a node is a member.
func (r *roll) has(name string) bool {
	_, present := r.present[name]
	return present
}

// left reports whether a node has said that it leaves, and not been back since.
func (r *roll) left(name string) bool {
	if m, present := r.present[name]; present {
		return m.State == membership.Leaving
	}
	return r.gone[name].State == membership.Leaving
}

// place notes the hardware addresses of m.
func (r *roll) place(m membership.Member) {
	for _, l := range m.Links {
		r.stations[l.MAC] = m.Name
	}
}

// lost returns when something was heard last of a node that is suspected or gone, and whether it is.
func (r *roll) lost(name string) (time.Time, bool) {
	if x, ok := r.suspected[name]; ok {
		return x.sign, true
	}
	if d, ok := r.gone[name]; ok && d.State != membership.Leaving {
		return d.sign, true
	}
	return time.Time{}, false
}

// observe brings the roll up to date and returns the members that are ready and not suspected. When a member
// is back, each side of a partition may have taken over what the other had.
func (s *Speaker) observe(snap cluster.Snapshot, now time.Time) (ready []membership.Member) {
	r := &s.members
	maps.DeleteFunc(r.suspected, func(_ string, x suspicion) bool { return !x.until.After(now) })
	present := map[string]membership.Member{}
	var returned []time.Time // since when they were away
	for _, m := range s.Peers.Members() {
		if m.Name == s.Self {
			m.State, m.Links = s.state, s.ownLinks() // what gossip says of this node lags behind
		}
		present[m.Name] = m
		r.place(m)
		if r.present[m.Name].State != membership.Ready && m.State == membership.Ready {
			r.readied[m.Name] = now
		}
		if r.present[m.Name].State == membership.Ready && m.State != membership.Ready {
			r.losses++
		}
		if before, was := r.gone[m.Name]; was && m.State == membership.Ready {
			if before.State == membership.Ready {
				returned = append(returned, before.sign.Add(-suspicionLife)) // gossip may have been late to lose it
			}
			delete(r.gone, m.Name)
			s.Log.Info("member is back", "node", m.Name)
		}
		_, suspected := r.suspected[m.Name]
		if m.State == membership.Ready && !suspected {
			ready = append(ready, m)
		}
	}
	for name, m := range r.present {
		if _, is := present[name]; is {
			continue
		}
		last := now
		if since, was := r.quiet[name]; was {
			last = since
		}
		r.losses++
		r.gone[name] = departed{m, last}
		if m.State == membership.Ready {
			s.Log.Warn("member lost", "node", name)
		}
		delete(r.suspected, name)
		delete(r.quiet, name)
	}
	maps.DeleteFunc(r.gone, func(name string, _ departed) bool {
		return !slices.ContainsFunc(snap.Nodes, func(n cluster.Node) bool { return n.Name == name })
	})
	r.present = present
	maps.DeleteFunc(r.readied, func(name string, _ time.Time) bool { return present[name].State != membership.Ready })
	maps.DeleteFunc(r.stations, func(_ membership.MAC, name string) bool {
		_, is := present[name]
		_, was := r.gone[name]
		return !is && !was
	})
	for _, since := range returned {
		s.announceTaken(since)
	}
	return ready
}

// hearOf takes over what the watchers say of a member, and reports whether that changes anything.
func (s *Speaker) hearOf(x suspicion, now time.Time) (news bool) {
	if x.silent == 0 {
		return s.signOfLife(x.name)
	}
	return s.members.suspect(x, s.Self, now)
}

// signOfLife ends the suspicion of a member that is heard again on the wire; gossip may still hold it to be gone.
func (s *Speaker) signOfLife(name string) (news bool) {
	since, was := s.members.quiet[name]
	if d, gone := s.members.gone[name]; gone {
		since, was = d.sign, true
	}
	if !was {
		return false
	}
	delete(s.members.suspected, name)
	delete(s.members.quiet, name)
	s.Log.Info("member is heard again", "node", name)
	s.announceTaken(since)
	return true
}

// announceTaken announces again what this node has taken since then. A member that was not to be heard meanwhile may still answer
// for it, and hears from this who does now.
func (s *Speaker) announceTaken(since time.Time) {
	var taken []netip.Addr
	for a, h := range s.held {
		if h.kept() && h.took.After(since) {
			taken = append(taken, a)
		}
	}
	s.Announcer.Announce(taken)
}
