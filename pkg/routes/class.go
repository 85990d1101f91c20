package routes

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/config"
)

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
		c.routes[i-1].unite(&route)
		c.routes[i-1].cover(prefix, addr)
		c.standings[i-1] = c.standings[i-1].unite(at)
		return
	}
	route.cover(prefix, addr)
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
