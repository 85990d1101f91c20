package routes

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// naive answers each question from scratch, by the sentences of the package comment. It shares nothing with Decide but
// the election.
type naive struct{ in Input }

// routes returns the routes of Self to each of its peers, by name.
func (n naive) routes() map[string][]Route {
	all := map[string][]Route{}
	for _, peer := range n.in.Snapshot.Config.Peers {
		if !n.any(peer.NodeSelectors, n.labels(n.in.Self)) {
			continue
		}
		all[peer.Name] = nil
		for _, prefix := range n.prefixes() {
			if r, ok := n.route(peer, prefix); ok {
				all[peer.Name] = append(all[peer.Name], r)
			}
		}
	}
	return all
}

// prefixes returns every prefix around every address, sorted, down to the shortest that random clusters have.
func (n naive) prefixes() (all []netip.Prefix) {
	for _, a := range n.addresses() {
		for bits := a.BitLen() - 8; bits <= a.BitLen(); bits++ {
			all = append(all, netip.PrefixFrom(a, bits).Masked())
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

func (n naive) addresses() (all []netip.Addr) {
	for _, s := range n.in.Snapshot.Services {
		all = append(all, s.Ingress...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// route returns the route for a prefix to a peer of Self.
func (n naive) route(peer config.Peer, prefix netip.Prefix) (r Route, ok bool) {
	r = Route{Prefix: prefix, Prepend: math.MaxInt}
	spread, first := false, false
	for _, a := range n.addresses() {
		pool := n.pool(a)
		if !prefix.Contains(a) || !n.announces(n.in.Self, a) || n.in.Pending != nil && n.in.Pending(a) {
			continue
		}
		for _, ad := range n.adsFor(prefix, a, peer) {
			ok = true
			r.Addrs = append(r.Addrs, a)
			r.LocalPref = max(r.LocalPref, ad.LocalPref)
			r.Prepend = min(r.Prepend, ad.Prepend)
			if ad.HasMED && (!r.HasMED || ad.MED < r.MED) {
				r.MED, r.HasMED = ad.MED, true
			}
			r.Communities = append(r.Communities, ad.Communities...)
			r.LargeCommunities = append(r.LargeCommunities, ad.LargeCommunities...)
			if prefix.IsSingleIP() && pool.Spread == 0 && n.apart(a) {
				spread, first = true, first || n.isNear(n.in.Self, a)
				continue
			}
			spread = spread || pool.Spread > 0
			first = first || pool.Spread == 0 || n.rankFor(prefix, a) < pool.Spread
		}
	}
	r.Addrs = slices.Compact(r.Addrs)
	slices.Sort(r.Communities)
	r.Communities = slices.Compact(r.Communities)
	slices.SortFunc(r.LargeCommunities, func(x, y config.LargeCommunity) int {
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]))
	})
	r.LargeCommunities = slices.Compact(r.LargeCommunities)
	r.HasMED = r.HasMED || spread
	if spread && !first {
		r.MED += SpreadPenalty
	}
	if n.in.Draining {
		r.LocalPref, r.MED, r.HasMED = 0, ShutdownMED, true
		r.Communities = append(r.Communities, GracefulShutdown)
		slices.Sort(r.Communities)
		r.Communities = slices.Compact(r.Communities)
	}
	return r, ok
}

// adsFor returns the advertisements that give the prefix for the address to a peer of Self.
func (n naive) adsFor(prefix netip.Prefix, a netip.Addr, peer config.Peer) (ads []config.Advertisement) {
	all := n.ads(n.in.Self, a, peer)
	length := func(ad config.Advertisement) int {
		if a.Is4() {
			return ad.AggregationLength
		}
		return ad.AggregationLengthV6
	}
	for _, ad := range all {
		if length(ad) == prefix.Bits() {
			ads = append(ads, ad)
		}
	}
	if len(ads) == 0 && prefix.Bits() == a.BitLen() && (n.isLocal(a) || n.isNear(n.in.Self, a)) {
		return all // the host route beside aggregates
	}
	return ads
}

// ads returns the advertisements of an address on a node to a peer of the node.
func (n naive) ads(node string, a netip.Addr, peer config.Peer) (ads []config.Advertisement) {
	pool := n.pool(a)
	if len(peer.AddressPools) > 0 && !slices.Contains(peer.AddressPools, pool.Name) ||
		!n.any(peer.NodeSelectors, n.labels(node)) {
		return nil
	}
	for _, ad := range pool.Advertisements {
		forService := slices.ContainsFunc(n.serving(a),
			func(s *cluster.Service) bool { return n.any(ad.ServiceSelectors, s.Labels) })
		forPeer := len(ad.Peers) == 0 || slices.Contains(ad.Peers, peer.Name)
		if forService && forPeer && n.any(ad.NodeSelectors, n.labels(node)) {
			ads = append(ads, ad)
		}
	}
	return ads
}

// announces reports whether a node announces an address to any peer, apart from missing rules.
func (n naive) announces(node string, a netip.Addr) bool {
	pool := n.pool(a)
	if pool == nil || !pool.BGP || len(n.serving(a)) == 0 || !n.any(pool.NodeSelectors, n.labels(node)) {
		return false
	}
	uses := func(p config.Pool) bool { return p.BGP && p.UseExcluded.BGP }
	switch why := n.exclusion(node, pool); {
	case why == reason.Eligible:
	case !n.in.Draining || node != n.in.Self:
		return false
	case why == reason.NetworkUnavailable || why == reason.NoConfiguration:
		return false
	case why == reason.ExcludedByLabel && slices.ContainsFunc(n.in.Snapshot.Config.Pools, uses):
		return false // the node has not announced the address before
	}
	for _, s := range n.serving(a) {
		if s.TrafficPolicy != cluster.TrafficLocal {
			continue
		}
		if len(s.ReadyNodes) > 0 && !slices.Contains(s.ReadyNodes, node) || !slices.Contains(s.ServingNodes, node) {
			return false
		}
	}
	return slices.ContainsFunc(n.in.Snapshot.Config.Peers, func(p config.Peer) bool { return len(n.ads(node, a, p)) > 0 })
}

// isNear reports whether a node has a ready endpoint of the first Service with the address that prefers such nodes.
func (n naive) isNear(node string, a netip.Addr) bool {
	for _, s := range n.serving(a) {
		if s.AnnounceFrom == cluster.FromEndpoints || s.AnnounceFrom == cluster.FromPool && n.pool(a).FromEndpoints {
			return slices.Contains(s.ReadyNodes, node)
		}
	}
	return false
}

// apart reports whether Self or another node that announces the address is near.
func (n naive) apart(a netip.Addr) bool {
	return n.isNear(n.in.Self, a) || slices.ContainsFunc(n.in.Snapshot.Nodes, func(x cluster.Node) bool {
		return n.isNear(x.Name, a) && n.exclusion(x.Name, n.pool(a)) == reason.Eligible && n.announces(x.Name, a)
	})
}

// exclusion returns the exclusion of a node from all addresses of a pool; nil for any pool.
func (n naive) exclusion(name string, pool *config.Pool) reason.Exclusion {
	i := slices.IndexFunc(n.in.Snapshot.Nodes, func(x cluster.Node) bool { return x.Name == name })
	if i < 0 {
		return reason.NotANode
	}
	node := n.in.Snapshot.Nodes[i]
	member := slices.IndexFunc(n.in.Ready, func(m membership.Member) bool { return m.Name == name })
	configured := slices.ContainsFunc(n.in.Ready, func(m membership.Member) bool { return m.Configured })
	switch {
	case node.Deleting:
		return reason.Deleting
	case node.OutOfService:
		return reason.OutOfService
	case node.Excluded && (pool == nil || !pool.UseExcluded.BGP):
		return reason.ExcludedByLabel
	case node.NetworkUnavailable:
		return reason.NetworkUnavailable
	case node.Unschedulable && n.in.Snapshot.Config.Layer2.MoveOnCordon:
		return reason.Cordoned
	case member < 0:
		return reason.NoSpeaker
	case configured && !n.in.Ready[member].Configured:
		return reason.NoConfiguration
	}
	return reason.Eligible
}

// rankFor returns the rank of Self for a host route of a, or for an aggregate of the pool of a.
func (n naive) rankFor(prefix netip.Prefix, a netip.Addr) int {
	if prefix.IsSingleIP() {
		return n.rank(a)
	}
	return n.rankAmong(prefix.Addr(), func(node string) bool {
		return slices.ContainsFunc(n.addresses(), func(b netip.Addr) bool {
			return prefix.Contains(b) && n.pool(b) == n.pool(a) && n.announces(node, b)
		})
	}, n.pool(a), "", func(string) bool { return false })
}

func (n naive) rank(a netip.Addr) int {
	preferred := ""
	for _, s := range n.serving(a) {
		preferred = cmp.Or(preferred, s.PreferNode)
	}
	near := func(node string) bool { return n.isNear(node, a) }
	return n.rankAmong(a, func(node string) bool { return n.announces(node, a) }, n.pool(a), preferred, near)
}

func (n naive) rankAmong(
	a netip.Addr, announces func(string) bool, pool *config.Pool, preferred string, near func(string) bool,
) int {
	var candidates []election.Candidate
	for _, node := range n.in.Snapshot.Nodes {
		if n.exclusion(node.Name, pool) != reason.Eligible || !announces(node.Name) {
			continue
		}
		weight := pool.Preference(node.Labels)
		if near(node.Name) {
			weight += 1000
		}
		if node.Name == preferred {
			weight = math.MaxInt
		}
		candidates = append(candidates, election.NewCandidate(node.Name).Weighing(weight))
	}
	return slices.IndexFunc(election.Ranked(a, candidates), func(c election.Candidate) bool { return c.Name() == n.in.Self })
}

// serving returns the Services of an address with a serving endpoint, sorted.
func (n naive) serving(a netip.Addr) (all []*cluster.Service) {
	for _, s := range n.in.Snapshot.Services {
		if s.Managed && s.AllocatedFrom != "" && s.HasServing && slices.Contains(s.Ingress, a) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
	return all
}

func (n naive) isLocal(a netip.Addr) bool {
	return slices.ContainsFunc(n.serving(a), func(s *cluster.Service) bool { return s.TrafficPolicy == cluster.TrafficLocal })
}

func (n naive) pool(a netip.Addr) *config.Pool {
	for i, p := range n.in.Snapshot.Config.Pools {
		if p.Contains(a) {
			return &n.in.Snapshot.Config.Pools[i]
		}
	}
	return nil
}

func (n naive) labels(node string) labels.Set {
	for _, x := range n.in.Snapshot.Nodes {
		if x.Name == node {
			return x.Labels
		}
	}
	return nil
}

func (naive) any(selectors []labels.Selector, has labels.Set) bool {
	for _, s := range selectors {
		if s.Matches(has) {
			return true
		}
	}
	return len(selectors) == 0
}
