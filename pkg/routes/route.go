package routes

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

const (
	// SpreadPenalty is added to the MED of a node that is not among the first nodes of a pool with spread.
	SpreadPenalty = 100
	// GracefulShutdown is the community GRACEFUL_SHUTDOWN, 65535:0 (RFC 8326, section 5).
	GracefulShutdown uint32 = 0xffff0000
	// ShutdownMED is the MED of a route that is about to go, for routers that do not know the community (RFC 8326,
	// appendix A). The value is one less than the greatest, which some routers take for a route without a MED.
	ShutdownMED uint32 = math.MaxUint32 - 1
	// shutdownLocalPref is the LOCAL_PREF that RFC 8326, section 4, recommends.
	shutdownLocalPref = 0
)

// cover announces prefix for one more address, in a slice of length 1 that r may keep.
func (r *Route) cover(prefix netip.Prefix, addr []netip.Addr) {
	if r.Prefix = prefix; len(r.Addrs) == 0 {
		r.Addrs = addr
		return
	}
	r.Addrs = append(r.Addrs, addr...)
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

// standing is the rank of this node for a prefix. spread is true when the prefix is of a pool with spread. first is
// true when the node is among the first nodes, or the prefix is also of a pool without spread.
type standing struct{ spread, first bool }

func (s standing) unite(o standing) standing {
	return standing{s.spread || o.spread, s.first || o.first}
}

// penalize gives a route of a pool with spread its MED.
func (s standing) penalize(r *Route) {
	if !s.spread {
		return
	}
	r.HasMED = true
	if !s.first {
		r.MED = uint32(min(uint64(r.MED)+SpreadPenalty, math.MaxUint32))
	}
}

// lastChoice returns copies of the routes that routers use only when they have no other.
func lastChoice(routes []Route) []Route {
	marked := make([]Route, len(routes))
	for i, r := range routes {
		r.LocalPref, r.MED, r.HasMED = shutdownLocalPref, ShutdownMED, true
		if i > 0 && cluster.SameList(r.Communities, routes[i-1].Communities) {
			r.Communities = marked[i-1].Communities
		} else {
			r.Communities = union(r.Communities, []uint32{GracefulShutdown}, cmp.Compare)
		}
		marked[i] = r
	}
	return marked
}

// keepRoutes returns the routes for at least one of the kept addresses, with these addresses.
func keepRoutes(routes []Route, kept map[netip.Addr]bool) (left []Route) {
	for _, r := range routes {
		if r.Addrs = keptAddrs(r.Addrs, kept); len(r.Addrs) > 0 {
			left = append(left, r)
		}
	}
	return left
}

// keptAddrs returns the kept ones of addrs, in the same slice if all are.
func keptAddrs(addrs []netip.Addr, kept map[netip.Addr]bool) []netip.Addr {
	gone := func(a netip.Addr) bool { return !kept[a] }
	if !slices.ContainsFunc(addrs, gone) {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), gone)
}
