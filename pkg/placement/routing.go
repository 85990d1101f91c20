package placement

import (
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/reason"
)

// NodeExclusion returns the reason why the named node may not announce any address to routers, or Eligible. Links and
// subnets do not count, because a router needs neither, and the node selectors of pools are left to the caller. After
// NotANode the reasons are those of [Nodes.Exclusion], in their order.
func (n *Nodes) NodeExclusion(name string) reason.Exclusion {
	x := n.find(name)
	if x == nil {
		return reason.NotANode
	}
	return x.withoutLinks()
}

// Node returns the named Node, nil if there is none. The caller must not change it.
func (n *Nodes) Node(name string) *cluster.Node {
	if x := n.find(name); x != nil {
		return x.Node
	}
	return nil
}

// withoutLinks returns the exclusion of the node from all addresses, apart from missing interfaces.
func (x *node) withoutLinks() reason.Exclusion {
	switch {
	case x.general != reason.Eligible && x.general != reason.NoInterface:
		return x.general
	case x.unconfigured:
		return reason.NoConfiguration
	}
	return reason.Eligible
}

// Routing returns the nodes that may announce addresses of pool to routers and that also satisfies, sorted by name,
// with the weights of the pool. Links and subnets do not count.
func (n *Nodes) Routing(pool *config.Pool, also func(*cluster.Node) bool) []election.Candidate {
	var candidates []election.Candidate
	for i := range n.nodes {
		x := &n.nodes[i]
		if x.withoutLinks() == reason.Eligible && selected(x.Node, pool) && also(x.Node) {
			candidates = append(candidates, x.candidate.Weighing(weight(x.Node, pool)))
		}
	}
	return candidates
}
