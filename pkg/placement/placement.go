package placement

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// preferredWeight is the election weight of the node in a Service's annotation. The weight exceeds any sum of the
// weights of a pool's preferred nodes.
const preferredWeight = 1 << 30

// Placement is the decision on one address.
type Placement struct {
	Addr netip.Addr
	// Services lists the Services with the address, sorted; at least one.
	Services []cluster.Key
	// Reason is Announced when a node should announce the address; otherwise no node may.
	Reason reason.Announcement
	// Owner is the elected node; empty unless Reason is Announced. Another node that already announces the address
	// keeps the address while eligible.
	Owner string
	// Preferred is true when a Service asks for Owner by annotation.
	Preferred bool
	// NearEndpoint is true when Owner goes first because it has a ready endpoint (announce-from: endpoints).
	NearEndpoint bool
	// Interfaces lists names or patterns of the interfaces to announce on; empty means every interface that fits.
	Interfaces []string
	// Everywhere is true when the address is outside the subnets of all nodes, so the owner announces the address on
	// all interfaces.
	Everywhere bool
	// Detail explains in a sentence why no node may announce the address; empty when Reason is Announced.
	Detail string

	// candidates lists the eligible nodes, sorted by name. Placements of one round share the slice; nobody changes it.
	candidates []election.Candidate
}

// Decide returns a placement for every address of a managed Service, sorted by address. An address of a pool without
// protocol layer2 has no placement: routers learn the address from all nodes. ready lists the members able to answer now.
func Decide(snap cluster.Snapshot, ready []membership.Member) []*Placement {
	nodes := NewNodes(snap, ready)
	byAddr := map[netip.Addr][]*cluster.Service{}
	for s := range Announceable(&snap) {
		for _, a := range s.Ingress {
			byAddr[a] = append(byAddr[a], s)
		}
	}
	placements := make([]*Placement, 0, len(byAddr))
	for _, a := range slices.SortedFunc(maps.Keys(byAddr), netip.Addr.Compare) {
		if p := nodes.decide(&snap, a, Holders(byAddr[a])); p != nil {
			placements = append(placements, p)
		}
	}
	return placements
}

// decide returns the placement of an address of the Services, which are the Holders of the address; nil for none.
func (n *Nodes) decide(snap *cluster.Snapshot, a netip.Addr, services []*cluster.Service) *Placement {
	pool, own := n.pool(a), snap.OwnAddress(a)
	switch {
	case pool == nil && !services[0].Managed: // the address is none of Lanlord's
		return nil
	case pool != nil && !pool.Layer2:
		return nil
	case own != nil:
		return ownPlacement(a, services, own)
	}
	return n.place(a, services)
}

// Find returns the placement of addr in a sorted list, nil if there is none.
func Find(placements []*Placement, addr netip.Addr) *Placement {
	i, ok := slices.BinarySearchFunc(placements, addr, func(p *Placement, a netip.Addr) int { return p.Addr.Compare(a) })
	if !ok {
		return nil
	}
	return placements[i]
}

func newPlacement(a netip.Addr, services []*cluster.Service) *Placement {
	p := &Placement{Addr: a, Services: make([]cluster.Key, 0, len(services))}
	for _, s := range services {
		p.Services = append(p.Services, s.Key)
	}
	return p
}

// ownPlacement returns the placement of an address that node has as its own.
func ownPlacement(a netip.Addr, services []*cluster.Service, node *cluster.Node) *Placement {
	p := newPlacement(a, services)
	p.Reason, p.Detail = reason.NodeAddress, OwnAddressText(node)
	return p
}

func (n *Nodes) place(a netip.Addr, services []*cluster.Service) *Placement {
	p := newPlacement(a, services)
	pool := n.pool(a)
	// Without a configuration the pools are unknown, and earlier assignments of the controller keep working.
	if n.config != nil {
		if pool == nil {
			p.Reason, p.Detail = reason.NotInPool, reason.NotInPool.Text()
			return p
		}
		p.Interfaces = pool.Interfaces
	}
	// A Service without endpoints has no influence: the node must suit the Services with serving endpoints.
	serving := slices.DeleteFunc(slices.Clone(services), func(s *cluster.Service) bool { return !s.HasServing })
	if len(serving) == 0 {
		p.Reason, p.Detail = reason.NoEndpoints, reason.NoEndpoints.Text()
		return p
	}
	preferred, winner, ok := "", election.Candidate{}, false
	// A node without a configuration goes after all others. Such a node announces addresses that no other node may
	// announce, because a bad configuration withdraws nothing. If this node has no configuration, this node cannot
	// judge the others, and counts itself as a candidate.
	for _, lenient := range []bool{false, true} {
		if !ok && (lenient || n.config != nil) {
			p.candidates, p.Everywhere = n.eligible(a, pool, lenient)
			preferred = p.apply(serving, pool)
			winner, ok = election.Winner(a, p.candidates)
		}
	}
	if !ok {
		p.Reason, p.Everywhere, p.Detail = reason.NoEligibleNode, false, n.explain(a)
		return p
	}
	p.Reason, p.Owner, p.Preferred = reason.Announced, winner.Name(), winner.Name() == preferred
	p.NearEndpoint = !p.Preferred && winner.Weight()&endpointWeight != 0
	return p
}

// apply removes the candidates excluded by Services with the policy Local, weighs the nodes with endpoints and the node
// that a Service prefers, and returns the name of the preferred node. Among Services with a shared address the first
// preference counts.
func (p *Placement) apply(serving []*cluster.Service, pool *config.Pool) (preferred string) {
	for _, s := range serving {
		if s.TrafficPolicy == cluster.TrafficLocal {
			p.candidates = slices.DeleteFunc(slices.Clone(p.candidates), func(c election.Candidate) bool {
				_, ok := slices.BinarySearch(s.ServingNodes, c.Name())
				return !ok
			})
		}
		if preferred == "" {
			preferred = s.PreferNode
		}
	}
	p.candidates = Prefer(PreferEndpoints(p.candidates, Near(serving, pool)), preferred)
	return preferred
}

// Candidates returns the number of nodes that may announce the address.
func (p *Placement) Candidates() int { return len(p.candidates) }

// Prefer returns the candidates, sorted by name, with the weight of the node that a Service prefers for the named one. It
// returns the same slice when no candidate has the name, and otherwise a new one.
func Prefer(candidates []election.Candidate, name string) []election.Candidate {
	i, ok := slices.BinarySearchFunc(candidates, name, byName)
	if !ok {
		return candidates
	}
	candidates = slices.Clone(candidates)
	candidates[i] = candidates[i].Weighing(preferredWeight)
	return candidates
}

func (p *Placement) candidate(node string) (election.Candidate, bool) {
	i, ok := slices.BinarySearchFunc(p.candidates, node, byName)
	if !ok {
		return election.Candidate{}, false
	}
	return p.candidates[i], true
}

// Eligible reports whether node may announce the address.
func (p *Placement) Eligible(node string) bool {
	_, ok := p.candidate(node)
	return ok
}

// Rank returns the number of eligible nodes placed before node by the election. node must be eligible. The owner has
// rank 0.
func (p *Placement) Rank(node string) int {
	c, _ := p.candidate(node)
	return election.Rank(p.Addr, c, p.candidates)
}

// KeepsNear reports whether holder keeps the address although another node goes first in the election: both have a ready
// endpoint, and the pool prefers neither of them. A move would break connections and save no hop.
func (p *Placement) KeepsNear(holder string) bool {
	h, eligible := p.candidate(holder)
	if !p.NearEndpoint || !eligible {
		return false
	}
	owner, _ := p.candidate(p.Owner)
	return h.Weight() == owner.Weight()
}

// Outranks reports whether node x keeps the address when y claims the address too: an eligible node goes before an
// excluded node, then the rank in the election decides.
func (p *Placement) Outranks(x, y string) bool {
	cx, okx := p.candidate(x)
	cy, oky := p.candidate(y)
	switch {
	case okx != oky:
		return okx
	case !okx:
		return OutranksByName(p.Addr, x, y)
	}
	return election.Outranks(p.Addr, cx, cy)
}

// OutranksByName implements Outranks for two nodes known only by name. Every node gets the same result.
func OutranksByName(addr netip.Addr, x, y string) bool {
	return election.Outranks(addr, election.NewCandidate(x), election.NewCandidate(y))
}
