package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/status"
)

// checkGossip looks for speakers that do not hear each other.
func checkGossip(c *Cluster, f *findings) string {
	speakers := c.speakers()
	deaf := map[string][]string{} // by node, the nodes that the node does not hear
	for _, s := range speakers {
		heard := map[string]bool{}
		for _, m := range s.Says.Members {
			heard[m.Node] = m.State != "gone"
		}
		for _, other := range speakers {
			if other.Node != s.Node && !heard[other.Node] {
				deaf[s.Node] = append(deaf[s.Node], other.Node)
			}
		}
	}
	port := c.gossipPort()
	mend := fmt.Sprintf("let TCP and UDP port %s pass between the nodes' addresses: look for a firewall on the node or between", port)
	alone := cutOff(deaf, len(speakers))
	for _, node := range alone {
		f.wrong(mend, "gossip does not pass between %s and any other node", node)
		delete(deaf, node)
	}
	told := map[string]bool{}
	pairOf := func(node, other string) string { return min(node, other) + " and " + max(node, other) }
	for _, node := range slices.Sorted(keysOf(deaf)) {
		for _, other := range deaf[node] {
			pair := pairOf(node, other)
			if told[pair] || slices.Contains(alone, other) {
				continue
			}
			told[pair] = true
			f.wrong(mend, "gossip does not pass between %s", pair)
		}
	}
	unreached := c.checkUnreached(f, mend, func(node, other string) bool {
		return told[pairOf(node, other)] || slices.Contains(alone, node) || slices.Contains(alone, other)
	})
	c.checkMembers(f, unreached)
	switch len(speakers) {
	case 0:
		f.unchecked("no speaker could be asked whom it hears")
	case 1:
		return "one speaker could be asked, so there is nobody to hear"
	}
	return fmt.Sprintf("all %d speakers hear each other, on port %s", len(speakers), port)
}

// checkUnreached reports and returns the nodes that gossip does not reach. told reports whether a pair of nodes has a
// finding already; checkUnreached leaves such a pair out, unless an open port does not help. A node that may be off is
// no problem of gossip.
func (c *Cluster) checkUnreached(f *findings, mend string, told func(node, other string) bool) map[string]bool {
	found := map[status.Unreached][]string{}
	for _, s := range c.speakers() {
		for _, u := range s.Says.Unreached {
			if u.Port == 0 || !told(s.Node, u.Node) {
				found[u] = append(found[u], s.Node)
			}
		}
	}
	nodes := map[string]bool{}
	for _, u := range slices.SortedFunc(maps.Keys(found), func(x, y status.Unreached) int {
		return cmp.Or(strings.Compare(x.Node, y.Node), strings.Compare(x.Message, y.Message))
	}) {
		nodes[u.Node] = true
		who := "the speaker on " + listed(found[u])
		if len(found[u]) > 1 {
			who = "the speakers on " + listed(found[u])
		}
		fix := mend
		if u.Port == 0 {
			fix = "give the Node an InternalIP of a family that all nodes have"
		}
		if u.Blocked {
			f.wrong(fix, "%s: %s", who, u.Message)
		} else {
			f.remark("", "%s: %s", who, u.Message)
		}
	}
	return nodes
}

// checkMembers checks the members that each speaker reports. told holds the nodes that gossip does not reach. Those
// nodes get no second remark.
func (c *Cluster) checkMembers(f *findings, told map[string]bool) {
	asked := map[string]bool{}
	for _, s := range c.speakers() {
		asked[s.Node] = true
	}
	for _, s := range c.speakers() {
		for _, m := range s.Says.Members {
			switch {
			case m.State == "unknown":
				f.wrong("update all speakers to one version", "the speaker on %s cannot read what the one on %s says of itself", s.Node, m.Node)
			case m.Suspected:
				f.wrong("see whether the node "+m.Node+" is well, and its LAN", "the speaker on %s hears nothing from %s on the wire", s.Node, m.Node)
			case m.State == "gone" && !told[m.Node] && !asked[m.Node] && c.node(m.Node) != nil:
				f.remark("", "the speaker on %s has lost the one on %s", s.Node, m.Node)
			}
		}
	}
}

// cutOff returns the nodes that hear no other node, or that no other node hears, sorted. Of two speakers both would be
// cut off, so cutOff needs at least three.
func cutOff(deaf map[string][]string, speakers int) (nodes []string) {
	if speakers < 3 {
		return nil
	}
	unheard := map[string]int{}
	for _, others := range deaf {
		for _, other := range others {
			unheard[other]++
		}
	}
	for _, node := range slices.Sorted(keysOf(deaf)) {
		if len(deaf[node]) == speakers-1 {
			nodes = append(nodes, node)
		}
	}
	for _, node := range slices.Sorted(keysOf(unheard)) {
		if unheard[node] == speakers-1 && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// gossipPort returns the gossip port that the speakers report, or the default port.
func (c *Cluster) gossipPort() string {
	for _, s := range c.speakers() {
		for _, m := range s.Says.Members {
			if at, err := netip.ParseAddrPort(m.Address); err == nil {
				return fmt.Sprint(at.Port())
			}
		}
		for _, u := range s.Says.Unreached {
			if u.Port != 0 {
				return fmt.Sprint(u.Port)
			}
		}
	}
	return "7950"
}
