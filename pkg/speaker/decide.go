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
)

// Reason says why an address is announced, or why not. The same word stands in Events, logs and metrics.
type Reason uint8

const (
	// Announced means that the owner answers for the address.
	Announced Reason = iota
	// NoEndpoints means that no endpoint of the address's Services is ready or serving.
	NoEndpoints
	// NoEligibleNode means that there are endpoints, but no node may answer.
	NoEligibleNode
	// NotInPool means that the configuration has no pool with the address. The controller is about to replace it.
	NotInPool
)

var reasonNames = [...]string{"Announced", "NoEndpoints", "NoEligibleNode", "NotInPool"}

// String returns the reason in CamelCase.
func (r Reason) String() string { return reasonNames[r] }

// Decision says who answers for one address.
type Decision struct {
	Addr netip.Addr
	// Services are those that have the address, sorted. At least one.
	Services []cluster.Key
	Reason   Reason
	// Owner is the node that answers; empty unless Reason is Announced.
	Owner string
	// Interfaces are the names or patterns of the interfaces to answer on; empty for all that fit.
	Interfaces []string
	// Detail says in a sentence why nobody answers; empty when Reason is Announced.
	Detail string
}

// Decide returns a decision for every address that a managed Service has, sorted by address. ready are the names of the
// members that are able to answer, sorted. From the same inputs every node decides the same.
func Decide(snap cluster.Snapshot, ready []string) []Decision {
	nodes := newNodeSet(snap.Nodes, ready)
	byAddr := map[netip.Addr]*claim{}
	for i := range snap.Services {
		s := &snap.Services[i]
		if !s.Managed || s.AllocatedFrom == "" {
			continue // not ours, or a status that was not written by us
		}
		for _, a := range s.Ingress {
			c := byAddr[a]
			if c == nil {
				c = &claim{}
				byAddr[a] = c
			}
			c.services = append(c.services, s)
		}
	}
	decisions := make([]Decision, 0, len(byAddr))
	for _, a := range slices.SortedFunc(maps.Keys(byAddr), netip.Addr.Compare) {
		decisions = append(decisions, byAddr[a].decide(a, snap.Config, nodes))
	}
	return decisions
}

// claim is one address and the Services that have it.
type claim struct{ services []*cluster.Service }

func (c *claim) decide(a netip.Addr, cfg *config.Config, nodes *nodeSet) Decision {
	d := Decision{Addr: a}
	for _, s := range c.services {
		d.Services = append(d.Services, s.Key)
	}
	var pool *config.Pool
	// Without a configuration nothing is known of the pools, and what the controller once assigned goes on working.
	if cfg != nil {
		if pool = cfg.PoolOf(a); pool == nil {
			d.Reason, d.Detail = NotInPool, "no pool of the configuration has the address"
			return d
		}
		d.Interfaces = pool.Interfaces
	}
	// A Service without endpoints has no say: the address is for those that can serve.
	serving := slices.DeleteFunc(slices.Clone(c.services), func(s *cluster.Service) bool { return !s.HasServing })
	if len(serving) == 0 {
		d.Reason, d.Detail = NoEndpoints, "no endpoint of the Service is ready or serving"
		return d
	}
	candidates := nodes.eligible(pool)
	for _, s := range serving {
		if s.TrafficPolicy == cluster.TrafficLocal {
			candidates = slices.DeleteFunc(slices.Clone(candidates), func(n election.Candidate) bool {
				_, ok := slices.BinarySearch(s.ServingNodes, n.Name())
				return !ok
			})
		}
	}
	winner, ok := election.Winner(a, candidates)
	if !ok {
		d.Reason, d.Detail = NoEligibleNode, nodes.explain(pool, serving)
		return d
	}
	d.Reason, d.Owner = Announced, winner.Name()
	return d
}

// nodeSet is the nodes, hashed once, with what each pool makes of them.
type nodeSet struct {
	nodes []cluster.Node
	ready map[string]bool
	// usable are the nodes that no pool's selectors were asked about, in the order of nodes.
	usable     []election.Candidate
	usableNode []*cluster.Node
	byPool     map[*config.Pool][]election.Candidate
}

func newNodeSet(nodes []cluster.Node, ready []string) *nodeSet {
	s := &nodeSet{nodes: nodes, ready: map[string]bool{}, byPool: map[*config.Pool][]election.Candidate{}}
	for _, name := range ready {
		s.ready[name] = true
	}
	for i := range nodes {
		if n := &nodes[i]; s.obstacle(n, nil) == "" {
			s.usable = append(s.usable, election.NewCandidate(n.Name))
			s.usableNode = append(s.usableNode, n)
		}
	}
	return s
}

// eligible returns the nodes that may answer for pool's addresses. The caller must not change the slice.
func (s *nodeSet) eligible(pool *config.Pool) []election.Candidate {
	if pool == nil || len(pool.NodeSelectors) == 0 {
		return s.usable
	}
	candidates, ok := s.byPool[pool]
	if !ok {
		for i, c := range s.usable {
			if selected(s.usableNode[i], pool) {
				candidates = append(candidates, c)
			}
		}
		s.byPool[pool] = candidates
	}
	return candidates
}

func selected(n *cluster.Node, pool *config.Pool) bool {
	if pool == nil || len(pool.NodeSelectors) == 0 {
		return true
	}
	for _, sel := range pool.NodeSelectors {
		if sel.Matches(labels.Set(n.Labels)) {
			return true
		}
	}
	return false
}

// obstacle says what keeps n from answering for pool's addresses, empty if nothing does.
func (s *nodeSet) obstacle(n *cluster.Node, pool *config.Pool) string {
	switch {
	case n.Excluded:
		return "excluded by the label node.kubernetes.io/exclude-from-external-load-balancers"
	case n.NetworkUnavailable:
		return "with the condition NetworkUnavailable"
	case !s.ready[n.Name]:
		return "without a ready speaker"
	case !selected(n, pool):
		return "not matched by the pool's node-selectors"
	}
	return ""
}

// explain counts what keeps the nodes from answering.
func (s *nodeSet) explain(pool *config.Pool, serving []*cluster.Service) string {
	counts := map[string]int{}
	for i := range s.nodes {
		n := &s.nodes[i]
		why := s.obstacle(n, pool)
		if why == "" {
			// Nothing but the traffic policy is left to speak against the node.
			why = "without a serving endpoint (externalTrafficPolicy Local)"
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
	return fmt.Sprintf("no node of %d may answer: %s", len(s.nodes), strings.Join(parts, ", "))
}
