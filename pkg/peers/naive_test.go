package peers

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// naive is a second implementation of Table for comparison: maps by name, as in the speaker before Table existed.
type naive struct {
	self      string
	present   map[string]membership.Member
	gone      map[string]membership.Member
	goneSign  map[string]time.Time
	until     map[string]time.Time // of suspicions
	byOthers  map[string]bool
	quiet     map[string]time.Time
	seenReady map[string]time.Time
	macs      map[membership.MAC]string
	nodes     []cluster.Node
	own       cluster.Versions
	received  map[string]cluster.Versions
	losses    int
}

func newNaive(self string) *naive {
	return &naive{
		self: self, present: map[string]membership.Member{}, gone: map[string]membership.Member{},
		goneSign: map[string]time.Time{}, until: map[string]time.Time{}, byOthers: map[string]bool{},
		quiet: map[string]time.Time{}, seenReady: map[string]time.Time{}, macs: map[membership.MAC]string{},
		received: map[string]cluster.Versions{},
	}
}

func (n *naive) restore(members []membership.Member, now time.Time) {
	for _, m := range members {
		n.gone[m.Name], n.goneSign[m.Name] = m, now
		n.place(m)
	}
}

func (n *naive) place(m membership.Member) {
	for _, l := range m.Links {
		n.macs[l.MAC] = m.Name
	}
}

func (n *naive) update(now time.Time, in Input) (c Changes) {
	for name, until := range n.until {
		if !until.After(now) {
			delete(n.until, name)
			delete(n.byOthers, name)
		}
	}
	present := map[string]membership.Member{}
	for _, m := range in.Members {
		if m.Name == n.self {
			m = in.Self
		}
		present[m.Name] = m
		n.place(m)
		was, is := n.present[m.Name].State == membership.Ready, m.State == membership.Ready
		if !was && is {
			n.seenReady[m.Name] = now
		}
		before := n.present[m.Name].Since
		if was && !is || was && !before.IsZero() && !m.Since.IsZero() && !before.Equal(m.Since) {
			n.losses++
			delete(n.received, m.Name)
			if is {
				n.seenReady[m.Name] = now
			}
		}
		if before, gone := n.gone[m.Name]; gone && is {
			if before.State == membership.Ready {
				c.Recovered = append(c.Recovered, n.goneSign[m.Name].Add(-SuspicionTTL))
			}
			delete(n.gone, m.Name)
			c.Returned = append(c.Returned, m.Name)
		}
	}
	for name, m := range n.present {
		if _, is := present[name]; is {
			continue
		}
		last := now
		if since, was := n.quiet[name]; was {
			last = since
		}
		n.losses++
		n.gone[name], n.goneSign[name] = m, last
		if m.State == membership.Ready {
			c.Lost = append(c.Lost, name)
		}
		delete(n.until, name)
		delete(n.byOthers, name)
		delete(n.quiet, name)
	}
	n.present, n.nodes = present, in.Nodes
	n.clean()
	n.learn(in.Versions)
	slices.Sort(c.Lost)
	return c
}

// clean removes all data about nodes gone for good.
func (n *naive) clean() {
	for name := range n.gone {
		if !slices.ContainsFunc(n.nodes, func(node cluster.Node) bool { return node.Name == name }) {
			delete(n.gone, name)
		}
	}
	for name := range n.seenReady {
		if n.present[name].State != membership.Ready {
			delete(n.seenReady, name)
		}
	}
	for mac, name := range n.macs {
		_, is := n.present[name]
		_, was := n.gone[name]
		if !is && !was {
			delete(n.macs, mac)
		}
	}
}

func (n *naive) learn(own cluster.Versions) {
	if own.Less(n.own) {
		clear(n.received)
	}
	n.own = own
	for name := range n.received {
		if _, is := n.present[name]; !is {
			delete(n.received, name)
		}
	}
}

func (n *naive) suspect(x Suspicion, now time.Time) (recovered time.Time, changed bool) {
	if x.Silent == 0 {
		since, was := n.quiet[x.Name]
		if _, gone := n.gone[x.Name]; gone {
			since, was = n.goneSign[x.Name], true
		}
		if !was {
			return time.Time{}, false
		}
		delete(n.until, x.Name)
		delete(n.byOthers, x.Name)
		delete(n.quiet, x.Name)
		return since, true
	}
	if _, is := n.present[x.Name]; !is || x.Name == n.self {
		return time.Time{}, false
	}
	_, known := n.until[x.Name]
	if !known {
		n.losses++
	}
	n.byOthers[x.Name] = n.byOthers[x.Name] || x.FromOther
	if _, quiet := n.quiet[x.Name]; !quiet {
		n.quiet[x.Name] = x.LastSign
	}
	n.until[x.Name] = now.Add(SuspicionTTL)
	return time.Time{}, !known
}

func (n *naive) refute(name string) {
	delete(n.until, name)
	delete(n.byOthers, name)
}

func (n *naive) heard(from string, v cluster.Versions) (newer bool) {
	if _, is := n.present[from]; !is || from == n.self || v.Less(n.received[from]) {
		return false
	}
	n.received[from] = v
	return n.newer(from)
}

func (n *naive) newer(name string) bool {
	return n.present[name].State == membership.Ready && n.own.Less(n.received[name])
}

func (n *naive) ready() (names []string) {
	for name, m := range n.present {
		if n.until[name].IsZero() && m.State == membership.Ready {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (n *naive) peer(name string) Peer {
	p := Peer{Name: name}
	if slices.ContainsFunc(n.nodes, func(node cluster.Node) bool { return node.Name == name }) {
		p.Standing = Unreached
	}
	if m, gone := n.gone[name]; gone {
		p.State, p.Ready, p.Standing = m.State, m.Since, Unreached
		if m.State != membership.Leaving {
			p.Lost, p.LastSign = true, n.goneSign[name]
		}
	}
	if m, is := n.present[name]; is {
		p.State, p.Ready, p.Standing, p.Unconfigured = m.State, m.Since, Member, !m.Configured
	}
	if _, suspected := n.until[name]; suspected {
		p.Suspected, p.SuspectedByOthers, p.Lost, p.LastSign = true, n.byOthers[name], true, n.quiet[name]
	}
	p.SeenReady, p.Newer = n.seenReady[name], n.newer(name)
	return p
}

// station is the node of a MAC address, empty for none.
func (n *naive) station(mac membership.MAC) string {
	if name, known := n.macs[mac]; known {
		return name
	}
	for _, node := range n.nodes {
		if slices.Contains(node.MACs, [6]byte(mac)) {
			return node.Name
		}
	}
	return ""
}
