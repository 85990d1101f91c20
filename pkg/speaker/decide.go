package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/membership"
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

// wishWeight is the weight of the node that a Service asks for by its annotation: more than all that a pool's preferred
// nodes can add up to.
const wishWeight = 1 << 30

// Decision says who is to answer for one address.
type Decision struct {
	Addr netip.Addr
	// Services are those that have the address, sorted. At least one.
	Services []cluster.Key
	Reason   Reason
	// Owner is the node that the election names; empty unless Reason is Announced. Another node that answers for the address
	// already goes on as long as it may.
	Owner string
	// Wished is true when Owner is the node that a Service asks for by its annotation.
	Wished bool
	// Interfaces are the names or patterns of the interfaces to answer on; empty for all that fit.
	Interfaces []string
	// Everywhere is true when no node has an interface with a subnet that holds the address, so that it is announced on all.
	Everywhere bool
	// Detail says in a sentence why nobody answers; empty when Reason is Announced.
	Detail string

	// candidates are the nodes that may answer, sorted by name. They belong to the round of decisions and are never changed.
	candidates []election.Candidate
}

func (d *Decision) candidate(node string) (election.Candidate, bool) {
	i, ok := slices.BinarySearchFunc(d.candidates, node, byName)
	if !ok {
		return election.Candidate{}, false
	}
	return d.candidates[i], true
}

func byName(c election.Candidate, name string) int { return strings.Compare(c.Name(), name) }

// allows reports whether node may answer for the address.
func (d *Decision) allows(node string) bool {
	_, ok := d.candidate(node)
	return ok
}

// rank returns how many candidates go before node, which is one of them.
func (d *Decision) rank(node string) int {
	c, _ := d.candidate(node)
	return election.Rank(d.Addr, c, d.candidates)
}

// outranks reports whether node x keeps the address when y claims it as well: one that may answer goes before one that may
// not, then the rank in the election decides.
func (d *Decision) outranks(x, y string) bool {
	cx, okx := d.candidate(x)
	cy, oky := d.candidate(y)
	if okx != oky {
		return okx
	}
	if !okx {
		cx, cy = election.NewCandidate(x), election.NewCandidate(y)
	}
	return election.Outranks(d.Addr, cx, cy)
}

// Decide returns a decision for every address that a managed Service has, sorted by address. ready are the members that are
// able to answer. From the same inputs, in whatever order, every node decides the same.
func Decide(snap cluster.Snapshot, ready []membership.Member) []Decision {
	nodes := newElectorate(snap, ready)
	byAddr := map[netip.Addr]*claim{}
	for _, s := range snap.Services {
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

func (c *claim) decide(a netip.Addr, cfg *config.Config, nodes *electorate) Decision {
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
	var everywhere bool
	d.candidates, everywhere = nodes.eligible(a, pool)
	wish := ""
	for _, s := range serving {
		if s.TrafficPolicy == cluster.TrafficLocal {
			d.candidates = slices.DeleteFunc(slices.Clone(d.candidates), func(n election.Candidate) bool {
				_, ok := slices.BinarySearch(s.ServingNodes, n.Name())
				return !ok
			})
		}
		if wish == "" {
			wish = s.PreferNode // of Services that share the address the first one's counts
		}
	}
	if i, ok := slices.BinarySearchFunc(d.candidates, wish, byName); ok {
		d.candidates = slices.Clone(d.candidates)
		d.candidates[i] = d.candidates[i].Weighing(wishWeight)
	}
	winner, ok := election.Winner(a, d.candidates)
	if !ok {
		d.Reason, d.Detail = NoEligibleNode, nodes.explain(a, pool)
		return d
	}
	d.Reason, d.Owner, d.Wished, d.Everywhere = Announced, winner.Name(), winner.Name() == wish, everywhere
	return d
}
