package placement

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// configuredWeight is added to the weight of a node with a configuration where nodes without one are candidates too.
// The value exceeds any sum of the weights of a pool's preferred nodes.
const configuredWeight = 1 << 29

// Nodes are the nodes of one round of decisions, with their names hashed once.
type Nodes struct {
	config *config.Config
	// nodes are sorted by name.
	nodes []node
	// subnets lists the subnets of ready nodes, each once, sorted.
	subnets []netip.Prefix
	cached  map[eligibleKey][]election.Candidate
}

// node is one Node. general excludes the node from every address; Eligible means no exclusion. unlabelled is general
// without the exclude label, for pools that use excluded nodes. unconfigured is true when the node's speaker has no
// configuration and another speaker has one.
type node struct {
	*cluster.Node
	links     []layer2.Interface
	candidate election.Candidate
	general   reason.Exclusion

	unlabelled   reason.Exclusion
	unconfigured bool
}

// eligibleKey holds all inputs of the candidates besides the Services.
type eligibleKey struct {
	pool    *config.Pool
	subnets string // identifies the subnets of the address
	lenient bool
}

// NewNodes prepares the nodes of a snapshot. ready lists the members able to answer now.
func NewNodes(snap cluster.Snapshot, ready []membership.Member) *Nodes {
	members := make(map[string]*membership.Member, len(ready))
	configured := false
	for i := range ready {
		members[ready[i].Name] = &ready[i]
		configured = configured || ready[i].Configured
	}
	n := &Nodes{config: snap.Config, cached: map[eligibleKey][]election.Candidate{},
		nodes: make([]node, 0, len(snap.Nodes))}
	cordon := snap.Config != nil && snap.Config.Layer2.MoveOnCordon
	for i := range snap.Nodes {
		x := node{Node: &snap.Nodes[i], candidate: election.NewCandidate(snap.Nodes[i].Name)}
		member := members[x.Name]
		if member != nil {
			for _, l := range member.Links {
				x.links = append(x.links, layer2.Interface{Name: l.Name, Prefixes: l.Subnets})
				n.subnets = append(n.subnets, l.Subnets...)
			}
		}
		x.general, x.unlabelled = general(x.Node, x.Excluded, cordon, member), general(x.Node, false, cordon, member)
		x.unconfigured = configured && member != nil && lacksConfiguration(member)
		n.nodes = append(n.nodes, x)
	}
	slices.SortFunc(n.nodes, func(x, y node) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(n.subnets, netip.Prefix.Compare)
	n.subnets = slices.Compact(n.subnets)
	return n
}

// lacksConfiguration reports whether a ready member has said that it has no valid configuration. Speakers of older versions announce neither
// that nor since when they are ready.
func lacksConfiguration(m *membership.Member) bool { return !m.Configured && !m.Since.IsZero() }

// general returns the exclusion of a node from every address. excluded says whether the exclude label counts, cordon
// whether a cordon does. member is nil unless it is ready.
func general(n *cluster.Node, excluded, cordon bool, member *membership.Member) reason.Exclusion {
	switch {
	case n.Deleting:
		return reason.Deleting
	case n.OutOfService:
		return reason.OutOfService
	case excluded:
		return reason.ExcludedByLabel
	case n.NetworkUnavailable:
		return reason.NetworkUnavailable
	case cordon && n.Unschedulable:
		return reason.Cordoned
	case member == nil:
		return reason.NoSpeaker
	case len(member.Links) == 0:
		return reason.NoInterface
	}
	return reason.Eligible
}

// pool returns the pool of a, nil without a pool or without a configuration.
func (n *Nodes) pool(a netip.Addr) *config.Pool {
	if n.config == nil {
		return nil
	}
	return n.config.PoolOf(a)
}

// eligible returns the nodes that may announce a, an address of pool, sorted by name, and whether no node has a subnet that holds a. With
// lenient, nodes without a configuration are among them, after the others. The caller must not change the slice.
func (n *Nodes) eligible(a netip.Addr, pool *config.Pool, lenient bool) (candidates []election.Candidate, everywhere bool) {
	subnets := n.holding(a)
	key := eligibleKey{pool, subnets, lenient}
	candidates, ok := n.cached[key]
	if !ok {
		for i := range n.nodes {
			x := n.nodes[i]
			w := weight(x.Node, pool)
			if lenient && !x.unconfigured {
				w += configuredWeight
			}
			x.unconfigured = x.unconfigured && !lenient
			if x.exclusion(a, pool, subnets != "") == reason.Eligible {
				candidates = append(candidates, x.candidate.Weighing(w))
			}
		}
		n.cached[key] = candidates
	}
	return candidates, subnets == "" && (pool == nil || len(pool.Interfaces) == 0)
}

// holding returns a text that identifies the subnets of a, empty for none.
func (n *Nodes) holding(a netip.Addr) string {
	var indices []byte
	for i, p := range n.subnets {
		if p.Contains(a) {
			indices = append(indices, byte(i>>8), byte(i))
		}
	}
	return string(indices)
}

// exclusion returns the reason why the node may not announce a, or Eligible. subnet means that some node has a subnet
// with a.
func (x *node) exclusion(a netip.Addr, pool *config.Pool, subnet bool) reason.Exclusion {
	target := layer2.Target{Addr: a}
	if pool != nil {
		target.Interfaces = pool.Interfaces
	}
	general := x.generally(pool != nil && pool.UseExcluded.Layer2)
	switch {
	case general != reason.Eligible:
		return general
	case x.unconfigured:
		return reason.NoConfiguration
	case !selected(x.Node, pool):
		return reason.NotSelected
	case slices.ContainsFunc(x.links, func(i layer2.Interface) bool { return target.Wants(i, subnet) }):
		return reason.Eligible
	case len(target.Interfaces) > 0:
		return reason.NoPoolInterface
	}
	return reason.NoSubnet
}

// generally returns the exclusion of the node from every address. use means that the exclude label does not count.
func (x *node) generally(use bool) reason.Exclusion {
	if use {
		return x.unlabelled
	}
	return x.general
}

func selected(n *cluster.Node, pool *config.Pool) bool {
	return pool == nil || len(pool.NodeSelectors) == 0 ||
		slices.ContainsFunc(pool.NodeSelectors, func(s labels.Selector) bool { return s.Matches(labels.Set(n.Labels)) })
}

// weight returns the preference of pool for n.
func weight(n *cluster.Node, pool *config.Pool) int {
	if pool == nil {
		return 0
	}
	return pool.Preference(n.Labels)
}

// Exclusion returns the reason why the named node may not announce a. Exclusion ignores Services: for an Eligible node,
// only the traffic policy can still forbid the address.
func (n *Nodes) Exclusion(name string, a netip.Addr) reason.Exclusion {
	x := n.find(name)
	if x == nil {
		return reason.NotANode
	}
	return x.exclusion(a, n.pool(a), n.holding(a) != "")
}

// find returns the named node, nil if there is none.
func (n *Nodes) find(name string) *node {
	i, found := slices.BinarySearchFunc(n.nodes, name,
		func(x node, name string) int { return strings.Compare(x.Name, name) })
	if !found {
		return nil
	}
	return &n.nodes[i]
}

// Exclusions counts the nodes by their exclusions from a, which no node may announce.
func (n *Nodes) Exclusions(a netip.Addr) map[reason.Exclusion]int {
	counts := map[reason.Exclusion]int{}
	pool, subnet := n.pool(a), n.holding(a) != ""
	for i := range n.nodes {
		why := n.nodes[i].exclusion(a, pool, subnet)
		if why == reason.Eligible {
			why = reason.NoServingEndpoint
		}
		counts[why]++
	}
	return counts
}

// explain describes the exclusions of all nodes from a, which no node may announce.
func (n *Nodes) explain(a netip.Addr) string {
	counts := n.Exclusions(a)
	if len(counts) == 0 {
		return "there are no nodes"
	}
	parts := make([]string, 0, len(counts))
	byText := func(x, y reason.Exclusion) int { return strings.Compare(x.Text(), y.Text()) }
	for _, why := range slices.SortedFunc(maps.Keys(counts), byText) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[why], why.Text()))
	}
	return fmt.Sprintf("no node of %d may answer: %s", len(n.nodes), strings.Join(parts, ", "))
}
