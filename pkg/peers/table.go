package peers

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Input holds the inputs of an update.
type Input struct {
	// Members lists all members of the gossip, sorted by name.
	Members []membership.Member
	// Self describes this node. Self replaces the entry of this node in Members, because gossip lags behind.
	Self membership.Member
	// Nodes lists all Nodes of the cluster, sorted by name. An empty list means that the Nodes are not known.
	Nodes []cluster.Node
	// Versions holds the versions of this node.
	Versions cluster.Versions
}

// Changes holds the results of an update for the caller to log or act on.
type Changes struct {
	// Lost lists the ready members that departed, and Returned the former members that are ready again. Both are
	// sorted.
	Lost, Returned []string
	// Recovered holds the time of the loss for each returned node that was ready before its departure. The node may
	// still answer for addresses that this node took after the loss, so the caller announces the addresses again.
	Recovered []time.Time
}

// Table holds the state of all peers of this node. One goroutine owns a Table. Table reads no clock.
type Table struct {
	self     string
	records  map[string]*record
	stations stations
	// nodes lists the Nodes of the cluster, nil until the first update with Nodes.
	nodes []cluster.Node
	// own holds the versions of this node.
	own cluster.Versions
	// losses counts how often a member was suspected, departed, restarted or stopped being ready.
	losses int
	// view is the last result of View, nil when it is out of date.
	view *View
}

// NewTable returns an empty table of the node named self.
func NewTable(self string) *Table {
	return &Table{self: self, records: map[string]*record{}, stations: stations{}}
}

// Restore adds the members that the previous process of this node knew. A restored member counts as lost at this moment
// until gossip shows the member.
func (t *Table) Restore(members []membership.Member, now time.Time) {
	for _, m := range members {
		if m.Name != t.self && t.records[m.Name] == nil {
			t.records[m.Name] = &record{member: m, gone: &departure{m.State, now}}
		}
	}
	t.stations.note(members)
	t.view = nil
}

// Update applies the inputs to the table.
func (t *Table) Update(now time.Time, in Input) (c Changes) {
	changed := t.expire(now)
	changed = t.observe(t.describeSelf(in), now, &c) || changed
	for _, m := range in.Members {
		if m.Name != t.self {
			changed = t.observe(m, now, &c) || changed
		}
	}
	changed = t.depart(in.Members, now, &c) || changed
	if len(in.Nodes) > 0 && !sameNodes(t.nodes, in.Nodes) {
		t.nodes, changed = in.Nodes, true
	}
	if changed {
		t.forget()
		t.stations.note(t.members())
	}
	if t.learn(in.Versions) || changed {
		t.view = nil
	}
	slices.Sort(c.Lost)
	return c
}

// describeSelf returns this node as a member.
func (t *Table) describeSelf(in Input) membership.Member {
	self := in.Self
	self.Name = t.self
	if i, found := find(in.Members, t.self); found && !self.Addr.IsValid() {
		self.Addr = in.Members[i].Addr
	}
	return self
}

// find returns the position of the named member in a list sorted by name.
func find(members []membership.Member, name string) (int, bool) {
	return slices.BinarySearchFunc(members, name, func(m membership.Member, name string) int {
		return strings.Compare(m.Name, name)
	})
}

// expire ends the suspicions that have expired.
func (t *Table) expire(now time.Time) (changed bool) {
	for _, r := range t.records {
		changed = r.expire(now) || changed
	}
	return changed
}

// observe stores the state of one member.
func (t *Table) observe(m membership.Member, now time.Time, c *Changes) (changed bool) {
	r := t.records[m.Name]
	if r == nil {
		r = &record{}
		t.records[m.Name] = r
	}
	tr := r.update(m, now)
	if tr.loss {
		t.losses++
	}
	if tr.returned {
		c.Returned = append(c.Returned, m.Name)
	}
	if !tr.recovered.IsZero() {
		c.Recovered = append(c.Recovered, tr.recovered)
	}
	return tr.changed
}

// depart stores the departures of nodes that are missing in members.
func (t *Table) depart(members []membership.Member, now time.Time, c *Changes) (changed bool) {
	for name, r := range t.records {
		if _, found := find(members, name); found || name == t.self {
			continue
		}
		tr := r.leave(now)
		if tr.loss {
			t.losses++
		}
		if tr.lost {
			c.Lost = append(c.Lost, name)
		}
		changed = tr.changed || changed
	}
	return changed
}

// forget removes former members without a Node in the cluster.
func (t *Table) forget() {
	if t.nodes == nil {
		return
	}
	exists := make(map[string]bool, len(t.nodes))
	for _, n := range t.nodes {
		exists[n.Name] = true
	}
	maps.DeleteFunc(t.records, func(name string, r *record) bool { return !r.present && !exists[name] })
	for name, r := range t.records {
		if !exists[name] {
			r.forgetDeparture()
		}
	}
	t.stations.forget(func(name string) bool { return t.records[name] != nil })
}

// learn stores the versions of this node. Older versions than before mean that the cluster was restored from a backup.
// Then the versions from all peers are void.
func (t *Table) learn(own cluster.Versions) (changed bool) {
	if own == t.own {
		return false
	}
	if own.Less(t.own) {
		for _, r := range t.records {
			r.forgetReceived()
		}
	}
	t.own = own
	return true
}

// Suspect stores a suspicion or a sign of life, and reports whether the state of the peer changed. Suspect ignores
// suspicions of this node and of nodes outside the gossip. For a sign of life of a suspected or departed node, Suspect
// returns the start of the silence: the caller announces addresses taken after that time again, as for
// Changes.Recovered.
func (t *Table) Suspect(x Suspicion, now time.Time) (recovered time.Time, changed bool) {
	r := t.records[x.Name]
	if r == nil || x.Name == t.self {
		return time.Time{}, false
	}
	if x.Silent == 0 {
		recovered = r.alive()
		t.view = nil
		return recovered, !recovered.IsZero()
	}
	if !r.present {
		return time.Time{}, false
	}
	changed = r.suspect(x, now)
	if changed {
		t.losses++
	}
	t.view = nil
	return time.Time{}, changed
}

// Refute ends the suspicion of a member that has answered this node, and reports whether the member was suspected.
func (t *Table) Refute(name string) bool {
	r := t.records[name]
	if r == nil || !r.endSuspicion() {
		return false
	}
	t.view = nil
	return true
}

// Next returns the time at which the next suspicion expires, and zero when no member is suspected.
func (t *Table) Next() (first time.Time) {
	for _, r := range t.records {
		if r.suspicion.active() && (first.IsZero() || r.suspicion.until.Before(first)) {
			first = r.suspicion.until
		}
	}
	return first
}

// Heard stores versions from a member. changed reports whether the member has seen a change that this node has not
// seen. reply reports whether the caller should send the versions of this node to the member, because the member is
// behind and may be about to act.
func (t *Table) Heard(from string, v cluster.Versions, now time.Time) (changed, reply bool) {
	r := t.records[from]
	if r == nil || !r.present || from == t.self || !r.receive(v) {
		return false, false
	}
	t.view = nil
	return r.newer(t.own), v.Less(t.own) && r.send(t.own, now)
}

// Tell reports whether the caller should send the versions of this node to a member now, and relies on the caller to
// send them. The rate limit for equal versions to a member is ten times a second.
func (t *Table) Tell(name string, now time.Time) bool {
	r := t.records[name]
	return r != nil && r.present && name != t.self && r.send(t.own, now)
}

// Versions returns the versions of this node in the last update.
func (t *Table) Versions() cluster.Versions { return t.own }

// Ready returns the ready members without a suspicion, sorted by name, this node included.
func (t *Table) Ready() []membership.Member {
	return t.filter(func(r *record) bool { return r.ready() && !r.suspicion.active() })
}

// members returns the members, sorted by name.
func (t *Table) members() []membership.Member {
	return t.filter(func(r *record) bool { return r.present })
}

// filter returns the nodes whose records match, sorted by name.
func (t *Table) filter(match func(*record) bool) (list []membership.Member) {
	for _, name := range t.names() {
		if r := t.records[name]; match(r) {
			list = append(list, r.member)
		}
	}
	return list
}

// View returns the current state of all peers.
func (t *Table) View() *View {
	if t.view != nil {
		return t.view
	}
	peers := make(map[string]Peer, max(len(t.records), len(t.nodes)))
	for _, n := range t.nodes {
		peers[n.Name] = Peer{Name: n.Name, Standing: Unreached}
	}
	for name, r := range t.records {
		peers[name] = r.peer(t.own)
	}
	t.view = NewView(peers, t.stations.with(t.nodes), t.losses)
	return t.view
}

// Entries returns the members and former members, sorted by name.
func (t *Table) Entries() []Entry {
	entries := make([]Entry, 0, len(t.records))
	for _, name := range t.names() {
		entries = append(entries, t.records[name].entry())
	}
	return entries
}

// names returns the names of all records, sorted.
func (t *Table) names() []string { return slices.Sorted(maps.Keys(t.records)) }
