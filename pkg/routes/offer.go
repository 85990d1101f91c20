package routes

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// offer is a prefix for an address: its length, and a route with its attributes.
type offer struct {
	bits  int
	route Route
}

// offers are the prefixes for an address to a peer, by family: plain for the policy Cluster, local for the policy Local.
// Each length is there once.
type offers struct{ plain, local map[cluster.Family][]offer }

func (o offers) empty() bool { return len(o.plain) == 0 }

// of returns the prefixes for an address.
func (o offers) of(a netip.Addr, local bool) []offer {
	if local {
		return o.local[cluster.FamilyOf(a)]
	}
	return o.plain[cluster.FamilyOf(a)]
}

// newOffers returns the prefixes of the advertisements, none without advertisements.
func newOffers(ads []*config.Advertisement) offers {
	o := offers{map[cluster.Family][]offer{}, map[cluster.Family][]offer{}}
	if len(ads) == 0 {
		return o
	}
	for _, ad := range ads {
		route := Route{
			MED: ad.MED, HasMED: ad.HasMED, LocalPref: ad.LocalPref, Prepend: ad.Prepend,
			Communities: ad.Communities, LargeCommunities: ad.LargeCommunities,
		}
		o.plain[cluster.IPv4] = addOffer(o.plain[cluster.IPv4], offer{ad.AggregationLength, route})
		o.plain[cluster.IPv6] = addOffer(o.plain[cluster.IPv6], offer{ad.AggregationLengthV6, route})
	}
	for family, plain := range o.plain {
		o.local[family] = withHostRoute(plain, hostBits(family))
	}
	return o
}

// addOffer adds an offer to the list, or unites it with the one of its length.
func addOffer(list []offer, more offer) []offer {
	for i := range list {
		if list[i].bits == more.bits {
			list[i].route.unite(&more.route)
			return list
		}
	}
	return append(list, more)
}

// withHostRoute adds the host route to aggregates, unless it is there.
func withHostRoute(plain []offer, bits int) []offer {
	if slices.ContainsFunc(plain, func(o offer) bool { return o.bits == bits }) {
		return plain
	}
	host := offer{bits, plain[0].route}
	for _, o := range plain[1:] {
		host.route.unite(&o.route)
	}
	return append(slices.Clip(plain), host)
}

func hostBits(f cluster.Family) int {
	if f == cluster.IPv4 {
		return 32
	}
	return 128
}

// unite gives r the attributes of both routes: see the package comment.
func (r *Route) unite(o *Route) {
	switch {
	case r.HasMED && o.HasMED:
		r.MED = min(r.MED, o.MED)
	case o.HasMED:
		r.MED, r.HasMED = o.MED, true
	}
	r.LocalPref, r.Prepend = max(r.LocalPref, o.LocalPref), min(r.Prepend, o.Prepend)
	r.Communities = union(r.Communities, o.Communities, cmp.Compare)
	r.LargeCommunities = union(r.LargeCommunities, o.LargeCommunities, compareLarge)
}

func compareLarge(x, y config.LargeCommunity) int { return slices.Compare(x[:], y[:]) }

// union returns the values of both lists, which are sorted. It changes neither list, and may return one of them.
func union[T comparable](x, y []T, compare func(T, T) int) []T {
	if len(y) == 0 || slices.Equal(x, y) {
		return x
	}
	if len(x) == 0 {
		return y
	}
	all := slices.Concat(x, y)
	slices.SortFunc(all, compare)
	return slices.Clip(slices.Compact(all))
}

// class is a group of peers of this node with the same routes.
type class struct {
	// sample is one of the peers.
	sample *config.Peer
	// routes have the MED of the configuration until finish. standings has one entry for each route.
	routes    []Route
	standings []standing
	// last is 1 more than the index of the last route of each prefix length, 0 for none.
	last [129]int
}

// add announces prefix for an address, in a slice of length 1. Addresses come in ascending order, so of all routes of
// this length only the last one can have the prefix already.
func (c *class) add(prefix netip.Prefix, route Route, at standing, addr []netip.Addr) {
	if i := c.last[prefix.Bits()]; i > 0 && c.routes[i-1].Prefix == prefix {
		r := &c.routes[i-1]
		r.unite(&route)
		r.Addrs = append(r.Addrs, addr...)
		c.standings[i-1] = c.standings[i-1].unite(at)
		return
	}
	route.Prefix, route.Addrs = prefix, addr
	c.routes, c.standings = append(c.routes, route), append(c.standings, at)
	c.last[prefix.Bits()] = len(c.routes)
}

// finish completes and sorts the routes.
func (c *class) finish() {
	for i := range c.routes {
		c.standings[i].penalize(&c.routes[i])
	}
	byPrefix := func(x, y Route) int { return x.Prefix.Compare(y.Prefix) }
	if !slices.IsSortedFunc(c.routes, byPrefix) {
		slices.SortFunc(c.routes, byPrefix)
	}
}
