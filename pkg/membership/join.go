package membership

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// joinInterval is the average pause between two rounds over the peers that are not members. Each pause is a random
	// time between half of joinInterval and one and a half of joinInterval, so that members that started together do
	// not all try at once.
	joinInterval = time.Second
	// joinPatience is the time after which a peer counts as unreached. joinPatience covers the start of a cluster and
	// of a node.
	joinPatience = 10 * time.Second
	// mostRetries is the maximum number of unreached peers that a round tries. A Node without a speaker never answers, and
	// one success brings all members of the other side of a partition.
	mostRetries = 16
	// spreadTo is the number of members that receive a change over TCP and pass the change on.
	spreadTo = 3
	// settleBound is the time after which a member without contact to any other member considers itself alone. Members
	// that start together find each other within two rounds.
	settleBound = 3 * time.Second
	// unstableMemory is the time since the last life of an unstable member after which the member counts as an absent
	// peer.
	unstableMemory = 2 * time.Minute
	// probeRounds is the number of rounds of probes over all members without an answer over UDP from a member, before
	// that member is logged.
	probeRounds = 5
)

// joiner tries to reach the peers that are not members. memberlist forgets a dead member after gossipToTheDead, so
// without the joiner a longer partition would never heal.
type joiner struct {
	m *Membership
	// join tries to exchange the complete state with the named node at an address.
	join func(name string, addr netip.AddrPort) error
	// absent maps the name of each peer that is not a member to the absence of the peer.
	absent map[string]*absence
	// met holds the names of all peers that have been members.
	met map[string]struct{}
	// lost maps the name of each member to the protocols that do not work with the member.
	lost map[string]lostPath
	// joined is true after the first successful join.
	joined bool
}

// absence is a period in which a peer is not a member.
type absence struct {
	since  time.Time
	err    error
	warned bool
}

// newJoiner returns a joiner that uses join.
func newJoiner(m *Membership, join func(name string, addr netip.AddrPort) error) *joiner {
	return &joiner{
		m: m, join: join,
		absent: make(map[string]*absence), met: make(map[string]struct{}), lost: make(map[string]lostPath),
	}
}

// keepJoining tries to reach missing peers until ctx ends.
func (m *Membership) keepJoining(ctx context.Context, list *memberlist.Memberlist) {
	j := newJoiner(m, func(name string, addr netip.AddrPort) error {
		_, err := list.Join([]string{name + "/" + addr.String()})
		return err
	})
	// Many peers that do not answer must not delay Settled.
	bound := time.AfterFunc(settleBound, m.settle)
	defer bound.Stop()
	for ctx.Err() == nil {
		m.publish(func(v *view) *view { return v.settleLives(time.Now()) })
		if tried := j.round(ctx); tried == 0 {
			m.settle()
		}
		j.checkPaths(list.GetHealthScore())
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

// round tries the peers that are not members, one after the other, and returns the number of tried peers. Of the peers
// that count as unreached, round tries a random choice of mostRetries.
func (j *joiner) round(ctx context.Context) (tried int) {
	table := newPeerTable(j.m.options.Peers())
	j.m.peers.Store(table)
	missing := j.missing(table.peers)
	names := make(map[string]struct{}, len(missing))
	for _, peer := range missing {
		names[peer.Name] = struct{}{}
	}
	maps.DeleteFunc(j.absent, func(name string, _ *absence) bool { _, is := names[name]; return !is })
	defer j.publish(table)
	published, retries := time.Now(), 0
	shuffle(missing)
	for _, peer := range missing {
		if gone := j.absent[peer.Name]; gone != nil && gone.warned {
			if retries++; retries > mostRetries {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return tried
		case <-j.m.announced:
			j.spread()
		default:
		}
		// Another peer of this round may have introduced this peer.
		if j.isMember(peer.Name) {
			continue
		}
		j.try(peer)
		tried++
		if now := time.Now(); now.Sub(published) >= joinInterval { // the remaining peers may take a long time
			j.publish(table)
			published = now
		}
	}
	return tried
}

// try tries the addresses of a peer until the peer is a member.
func (j *joiner) try(peer Peer) {
	began := time.Now()
	var causes []error
	for _, addr := range peer.Addrs {
		err := j.join(peer.Name, addr)
		if err == nil && !j.joined {
			// The peer may have reported an earlier process of this name, and the other members still have the metadata
			// of that process.
			j.joined = true
			j.spread()
		}
		if j.isMember(peer.Name) {
			return
		}
		cause := errOther // or the peer becomes a member when its previous process is known to be dead
		if err != nil {
			cause = causeOf(err, j.m.paths.dialError(addr))
		}
		causes = append(causes, cause)
	}
	cause := combine(peer.Addrs, causes)
	l := j.m.published.Load().lives[peer.Name]
	if l.unstable() && (l.ended.IsZero() || time.Since(l.ended) < unstableMemory) {
		cause = errUnstable
	}
	j.note(peer, began, cause)
}

// note records the result of an attempt that started at began, and logs one warning when a peer stays unreachable for
// joinPatience.
func (j *joiner) note(peer Peer, began time.Time, err error) {
	gone := j.absent[peer.Name]
	if gone == nil {
		gone = &absence{since: began}
		j.absent[peer.Name] = gone
		j.m.options.Log.Debug("peer cannot be reached over gossip yet", "node", peer.Name, "err", err)
	}
	gone.err = err
	if !gone.warned && time.Since(gone.since) >= joinPatience {
		gone.warned = true
		u := j.unreached(peer, gone)
		j.m.options.Log.Warn(u.String(), "node", peer.Name, "err", err)
	}
}

// unreached describes the absence of a peer.
func (j *joiner) unreached(peer Peer, gone *absence) Unreached {
	u := Unreached{Name: peer.Name, Since: gone.since, Err: gone.err}
	if len(peer.Addrs) > 0 {
		u.Addr = peer.Addrs[0]
	}
	_, u.Met = j.met[peer.Name]
	if errors.Is(gone.err, errUnstable) {
		u.Met = false // its gossip does not pass, although some messages did
	}
	return u
}

// publish replaces the result of Unreached, and calls Options.Wake when the result has changed.
func (j *joiner) publish(table *peerTable) {
	unreached := []Unreached{}
	for name, gone := range j.absent {
		if time.Since(gone.since) >= joinPatience && !j.isMember(name) {
			unreached = append(unreached, j.unreached(table.byName[name], gone))
		}
	}
	slices.SortFunc(unreached, func(a, b Unreached) int { return strings.Compare(a.Name, b.Name) })
	if before := j.m.Unreached(); !slices.EqualFunc(before, unreached, Unreached.equal) {
		j.m.unreached.Store(&unreached)
		j.m.options.Wake()
	}
}

// checkPaths logs when TCP or UDP stops working with a member that stays alive through other members or through the
// other protocol. checkPaths also updates the result of Impaired. illness is the health score of memberlist, which
// slows down the probes of memberlist.
func (j *joiner) checkPaths(illness int) {
	impaired := []Unreached{}
	v := j.m.published.Load()
	wait := max(joinPatience, time.Duration(probeRounds*len(v.members)*(1+illness))*probeInterval)
	for _, member := range v.members {
		if member.Name == j.m.options.Name {
			continue
		}
		j.met[member.Name] = struct{}{}
		lost := j.m.paths.lost(member, v.lives[member.Name].began, wait)
		if lost != lostNothing && lost|j.lost[member.Name] != j.lost[member.Name] {
			j.m.options.Log.Warn(j.advice(member), "node", member.Name, "lost", lost.String())
		}
		if lost == lostNothing {
			delete(j.lost, member.Name)
		} else {
			j.lost[member.Name] = lost
			impaired = append(impaired, Unreached{Name: member.Name, Addr: member.Addr, Err: lostError(lost)})
		}
	}
	if before := j.m.Impaired(); !slices.EqualFunc(before, impaired, Unreached.equal) {
		j.m.impaired.Store(&impaired)
		j.m.options.Wake()
	}
	table := j.m.peers.Load()
	known := func(name string) bool {
		_, peer := table.byName[name]
		_, member := v.find(name)
		return peer || member
	}
	for name := range j.met {
		if !known(name) {
			delete(j.met, name)
			delete(j.lost, name)
		}
	}
	j.m.paths.keep(known, func(a netip.AddrPort) bool { return j.m.expected(a.Addr()) })
}

// advice returns the sentence for operators about a member that gossip reaches only through other members.
func (j *joiner) advice(member Member) string {
	for _, own := range []netip.Addr{j.m.options.Bind.Addr(), j.m.options.Also.Addr()} {
		if !own.IsValid() {
			continue
		}
		if own.Is4() == member.Addr.Addr().Is4() || j.m.peers.Load().inFamily(member.Name, own.Is4()).IsValid() {
			return noPassage(member.Name, member.Addr)
		}
	}
	return Unreached{Name: member.Name, Err: errNoRoute}.String()
}

// spread exchanges the complete state with a few members, because the gossip of memberlist may lose an update of this
// member: the queue of memberlist confuses two messages of the same length and number, and the numbers start again when
// a message replaces the only message in the queue. Nodes with names of the same length that start together cause such
// pairs.
func (j *joiner) spread() {
	members := slices.Clone(j.m.Members())
	shuffle(members)
	for i, told := 0, 0; i < len(members) && told < spreadTo; i++ {
		if members[i].Name != j.m.options.Name && j.join(members[i].Name, members[i].Addr) == nil {
			told++
		}
	}
}

func shuffle[T any](s []T) { rand.Shuffle(len(s), func(a, b int) { s[a], s[b] = s[b], s[a] }) }

// isMember reports whether the node with this name is a member.
func (j *joiner) isMember(name string) bool {
	_, found := j.m.published.Load().find(name)
	return found
}

// missing returns the peers that are not members.
func (j *joiner) missing(peers []Peer) []Peer {
	var missing []Peer
	for _, peer := range peers {
		if !j.isMember(peer.Name) {
			missing = append(missing, peer)
		}
	}
	return missing
}
