package speaker

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
)

// noServingEndpoint is what keeps a node from answering when nothing but the traffic policy speaks against it.
const noServingEndpoint = "without a serving endpoint (externalTrafficPolicy Local)"

// electorate is the nodes of one round of decisions, hashed once, with what each pool and each subnet makes of them.
type electorate struct {
	// voters are the nodes, sorted by name.
	voters []voter
	// subnets are those that a ready node has, each once, sorted.
	subnets []netip.Prefix
	cached  map[electorateKey][]election.Candidate
}

// voter is one node. obstacle says what keeps it from answering for whatever address, empty if nothing does.
type voter struct {
	*cluster.Node
	links     []layer2.Interface
	candidate election.Candidate
	obstacle  string
}

// electorateKey is what candidates depend on beside the Service.
type electorateKey struct {
	pool    *config.Pool
	subnets string // which of them hold the address
}

func newElectorate(snap cluster.Snapshot, ready []membership.Member) *electorate {
	members := make(map[string]*membership.Member, len(ready))
	for i := range ready {
		members[ready[i].Name] = &ready[i]
	}
	cordon := snap.Config != nil && snap.Config.Layer2.MoveOnCordon
	e := &electorate{cached: map[electorateKey][]election.Candidate{}, voters: make([]voter, 0, len(snap.Nodes))}
	for i := range snap.Nodes {
		v := voter{Node: &snap.Nodes[i], candidate: election.NewCandidate(snap.Nodes[i].Name)}
		member := members[v.Name]
		if member != nil {
			for _, l := range member.Links {
				v.links = append(v.links, layer2.Interface{Name: l.Name, Prefixes: l.Subnets})
				e.subnets = append(e.subnets, l.Subnets...)
			}
		}
		v.obstacle = obstacle(v.Node, cordon, member)
		e.voters = append(e.voters, v)
	}
	slices.SortFunc(e.voters, func(x, y voter) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(e.subnets, netip.Prefix.Compare)
	e.subnets = slices.Compact(e.subnets)
	return e
}

// obstacle says what keeps n from answering for whatever address, empty if nothing does. member is nil unless it is ready.
func obstacle(n *cluster.Node, cordon bool, member *membership.Member) string {
	switch {
	case n.Deleting:
		return "being deleted"
	case n.OutOfService:
		return "with the taint node.kubernetes.io/out-of-service"
	case n.Excluded:
		return "excluded by the label node.kubernetes.io/exclude-from-external-load-balancers"
	case n.NetworkUnavailable:
		return "with the condition NetworkUnavailable"
	case cordon && n.Unschedulable:
		return "cordoned (layer2: move-on-cordon)"
	case member == nil:
		return "without a ready speaker"
	case len(member.Links) == 0:
		return "without a network interface that is up"
	}
	return ""
}

// eligible returns the nodes that may answer for a, an address of pool, sorted by name, and whether no node has a subnet that
// holds it. The caller must not change the slice.
func (e *electorate) eligible(a netip.Addr, pool *config.Pool) (candidates []election.Candidate, everywhere bool) {
	subnets := e.holding(a)
	key := electorateKey{pool, subnets}
	candidates, ok := e.cached[key]
	if !ok {
		for i := range e.voters {
			if v := &e.voters[i]; v.unfit(a, pool, subnets != "") == "" {
				candidates = append(candidates, v.candidate.Weighing(weight(v.Node, pool)))
			}
		}
		e.cached[key] = candidates
	}
	return candidates, subnets == "" && (pool == nil || len(pool.Interfaces) == 0)
}

// holding returns which subnets hold a, as a text that is the same for the same ones, empty for none.
func (e *electorate) holding(a netip.Addr) string {
	var indices []byte
	for i, p := range e.subnets {
		if p.Contains(a) {
			indices = append(indices, byte(i>>8), byte(i))
		}
	}
	return string(indices)
}

// unfit says what keeps the node from answering for a, empty if nothing does. subnet tells that some node has a subnet that
// holds a.
func (v *voter) unfit(a netip.Addr, pool *config.Pool, subnet bool) string {
	target := layer2.Target{Addr: a}
	if pool != nil {
		target.Interfaces = pool.Interfaces
	}
	switch {
	case v.obstacle != "":
		return v.obstacle
	case !selected(v.Node, pool):
		return "not matched by the pool's node-selectors"
	case slices.ContainsFunc(v.links, func(i layer2.Interface) bool { return target.Wants(i, subnet) }):
		return ""
	case len(target.Interfaces) > 0:
		return "without any of the pool's interfaces"
	}
	return "without an interface in a subnet that holds the address"
}

func selected(n *cluster.Node, pool *config.Pool) bool {
	return pool == nil || len(pool.NodeSelectors) == 0 ||
		slices.ContainsFunc(pool.NodeSelectors, func(s labels.Selector) bool { return s.Matches(labels.Set(n.Labels)) })
}

// weight returns how much n is preferred for pool's addresses.
func weight(n *cluster.Node, pool *config.Pool) int {
	if pool == nil {
		return 0
	}
	return pool.Preference(n.Labels)
}

// explain counts what keeps the nodes from answering for a.
func (e *electorate) explain(a netip.Addr, pool *config.Pool) string {
	counts := map[string]int{}
	for i := range e.voters {
		why := e.voters[i].unfit(a, pool, e.holding(a) != "")
		if why == "" {
			// Nothing but the traffic policy is left to speak against the node.
			why = noServingEndpoint
		}
		counts[why]++
	}
	if len(counts) == 0 {
		return "there are no nodes"
	}
	parts := make([]string, 0, len(counts))
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[why], why))
	}
	return fmt.Sprintf("no node of %d may answer: %s", len(e.voters), strings.Join(parts, ", "))
}
