package placement

import (
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/reason"
)

// NodeExclusion returns the reason why the named node may not announce any address to routers, or Eligible. Links and
// subnets do not count, because a router needs neither, and the node selectors of pools are left to the caller. After
// NotANode the reasons are those of [Nodes.Exclusion], in their order. The exclude label counts unless a pool with
// protocol bgp uses excluded nodes.
func (n *Nodes) NodeExclusion(name string) reason.Exclusion {
	uses := func(p config.Pool) bool { return p.BGP && p.UseExcluded.BGP }
	return n.routing(name, n.config != nil && slices.ContainsFunc(n.config.Pools, uses))
}

// PoolExclusion is NodeExclusion for the addresses of pool alone: the exclude label counts unless pool uses excluded
// nodes.
func (n *Nodes) PoolExclusion(name string, pool *config.Pool) reason.Exclusion {
	return n.routing(name, pool.UseExcluded.BGP)
}

func (n *Nodes) routing(name string, use bool) reason.Exclusion {
	x := n.find(name)
	if x == nil {
		return reason.NotANode
	}
	return x.withoutLinks(use)
}

// Node returns the named Node, nil if there is none. The caller must not change it.
func (n *Nodes) Node(name string) *cluster.Node {
	if x := n.find(name); x != nil {
		return x.Node
	}
	return nil
}

// withoutLinks returns the exclusion of the node from all addresses, apart from missing interfaces. use means that the
// exclude label does not count.
func (x *node) withoutLinks(use bool) reason.Exclusion {
	switch general := x.generally(use); {
	case general != reason.Eligible && general != reason.NoInterface:
		return general
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
		if x.withoutLinks(pool.UseExcluded.BGP) == reason.Eligible && selected(x.Node, pool) && also(x.Node) {
			candidates = append(candidates, x.candidate.Weighing(weight(x.Node, pool)))
		}
	}
	return candidates
}
