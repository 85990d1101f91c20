package routes

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// announce adds the routes of an address, in a slice of length 1, to the classes. rank is the rank of this node for the
// address.
func (d *decider) announce(v *variant, it *item, rank int, addr []netip.Addr) {
	near, apart := d.nearness(it)
	local := it.local() || near
	for i := range d.classes {
		for _, o := range v.offers[i].of(it.addr, local) {
			prefix, err := it.addr.Prefix(o.bits)
			if err != nil {
				continue // the configuration has no such length
			}
			at := standing{first: true}
			if spread := v.pool.Spread; spread > 0 {
				at = standing{spread: true, first: rank < spread}
				if !prefix.IsSingleIP() {
					at.first = d.isFirst(aggregate{v.pool, prefix})
				}
			}
			if apart && prefix.IsSingleIP() && v.pool.Spread == 0 {
				at = standing{spread: true, first: near}
			}
			d.classes[i].add(prefix, o.route, at, addr)
		}
	}
}

// rank returns the rank of this node for an address that it announces, and -1 when the node is not a candidate because it
// shuts down. In a pool without spread the rank is 0, or 1 for a node that goes after the nodes with endpoints.
func (d *decider) rank(v *variant, it *item) int {
	if v.pool.Spread == 0 {
		if d.exclusion != reason.Eligible {
			return -1
		}
		if near, apart := d.nearness(it); apart && !near {
			return 1
		}
		return 0
	}
	candidates := placement.PreferEndpoints(d.candidates(it), it.near())
	preferred := ""
	for s := range it.serving {
		if preferred = s.PreferNode; preferred != "" {
			break
		}
	}
	return rankOf(d.in.Self, it.addr, placement.Prefer(candidates, preferred))
}

// nearness compares this node with the other nodes that announce the address, by announce-from: endpoints. here is true
// when this node goes first because of a ready endpoint, and anywhere is true when some node does. If no node has a
// ready endpoint, all nodes are equal.
func (d *decider) nearness(it *item) (here, anywhere bool) {
	near := it.near()
	if len(near) == 0 {
		return false, false
	}
	_, here = slices.BinarySearch(near, d.in.Self)
	return here, here || len(among(d.candidates(it), near)) > 0
}

// rankOf returns the rank of a node among candidates, which are sorted by name; -1 if it is none of them.
func rankOf(node string, a netip.Addr, candidates []election.Candidate) int {
	i, ok := slices.BinarySearchFunc(candidates, node, compareName)
	if !ok {
		return -1
	}
	return election.Rank(a, candidates[i], candidates)
}

func compareName(c election.Candidate, name string) int { return strings.Compare(c.Name(), name) }

// candidates returns the nodes that announce the address, sorted by name: none without a serving endpoint.
func (d *decider) candidates(it *item) []election.Candidate {
	var all []election.Candidate
	serves := false
	for s := range it.serving {
		if !serves {
			serves, all = true, d.reachable(d.variant(d.plan(it.pool), it))
		}
		if s.TrafficPolicy == cluster.TrafficLocal {
			all = among(all, localNodes(s))
		}
	}
	return all
}

// among returns the candidates with one of the names; both are sorted by name.
func among(candidates []election.Candidate, names []string) (some []election.Candidate) {
	for _, name := range names {
		if i, ok := slices.BinarySearchFunc(candidates, name, compareName); ok {
			some = append(some, candidates[i])
		}
	}
	return some
}

// isFirst reports whether this node is among the first nodes of the aggregate.
func (d *decider) isFirst(a aggregate) bool {
	is, known := d.first[a]
	if !known {
		var candidates []election.Candidate
		first := sort.Search(len(d.items), func(i int) bool { return d.items[i].addr.Compare(a.prefix.Addr()) >= 0 })
		for i := first; i < len(d.items) && a.prefix.Contains(d.items[i].addr); i++ {
			if d.items[i].pool == a.pool {
				candidates = both(candidates, d.candidates(&d.items[i]))
			}
		}
		is = rankOf(d.in.Self, a.prefix.Addr(), candidates) < a.pool.Spread
		d.first[a] = is
	}
	return is
}

// both returns the candidates of both lists, sorted by name, as the lists are. It may return one of the lists: the
// lists of Services with the policy Cluster are one and the same.
func both(x, y []election.Candidate) []election.Candidate {
	switch {
	case cluster.SameList(x, y) || covers(x, y):
		return x
	case covers(y, x):
		return y
	}
	all := make([]election.Candidate, 0, len(x)+len(y))
	for len(x) > 0 && len(y) > 0 {
		switch c := strings.Compare(x[0].Name(), y[0].Name()); {
		case c < 0:
			all, x = append(all, x[0]), x[1:]
		case c > 0:
			all, y = append(all, y[0]), y[1:]
		default:
			all, x, y = append(all, x[0]), x[1:], y[1:]
		}
	}
	return append(append(all, x...), y...)
}

// covers reports whether all candidates of some are in all; both are sorted by name.
func covers(all, some []election.Candidate) bool {
	for _, c := range some {
		i, ok := slices.BinarySearchFunc(all, c.Name(), compareName)
		if !ok {
			return false
		}
		all = all[i+1:]
	}
	return true
}
