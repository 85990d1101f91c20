package routes

import (
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

// offers are the prefixes for an address to a peer, by family: plain for the policy Cluster, local for the policy
// Local. Each length is there once.
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
