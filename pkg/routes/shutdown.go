package routes

import (
	"cmp"
	"math"

	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// GracefulShutdown is the community GRACEFUL_SHUTDOWN, 65535:0 (RFC 8326, section 5).
	GracefulShutdown uint32 = 0xffff0000
	// ShutdownMED is the MED of a route that is about to go, for routers that do not know the community (RFC 8326,
	// appendix A.2). It is not the greatest value, which some routers take for a route without a MED.
	ShutdownMED uint32 = math.MaxUint32 - 1
	// shutdownLocalPref is the LOCAL_PREF that RFC 8326, section 4.2, recommends.
	shutdownLocalPref = 0
)

// shutDown returns the table with the attributes of routes that are about to go: GRACEFUL_SHUTDOWN, the lowest
// LOCAL_PREF and a high MED.
func (t Table) shutDown() Table {
	peers := make([]Peer, len(t.Peers))
	for i, p := range t.Peers {
		peers[i] = p
		if i > 0 && sameSlice(p.Routes, t.Peers[i-1].Routes) {
			peers[i].Routes = peers[i-1].Routes
			continue
		}
		peers[i].Routes = lastChoice(p.Routes)
	}
	t.Peers = peers
	return t
}

// lastChoice returns copies of the routes that routers use only when they have no other.
func lastChoice(routes []Route) []Route {
	marked := make([]Route, len(routes))
	for i, r := range routes {
		r.LocalPref, r.MED, r.HasMED = shutdownLocalPref, ShutdownMED, true
		if i > 0 && sameSlice(r.Communities, routes[i-1].Communities) {
			r.Communities = marked[i-1].Communities
		} else {
			r.Communities = union(r.Communities, []uint32{GracefulShutdown}, cmp.Compare)
		}
		marked[i] = r
	}
	return marked
}

func sameSlice[T any](x, y []T) bool { return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0]) }

// Withdrawn returns the table of a node that has left: the same peers without routes. The reason of an address that the
// node could announce is reason.DrainingNode.
func (t Table) Withdrawn() Table {
	left := Table{Peers: make([]Peer, len(t.Peers)), Addresses: make([]Address, len(t.Addresses))}
	for i, p := range t.Peers {
		left.Peers[i] = Peer{Config: p.Config}
	}
	for i, a := range t.Addresses {
		if a.Reason == reason.Routed {
			a.Reason, a.Detail = reason.DrainingNode, reason.DrainingNode.Text()
		}
		a.Peers = nil
		left.Addresses[i] = a
	}
	return left
}

// hasRoutes reports whether the table announces anything.
func (t Table) hasRoutes() bool {
	for _, p := range t.Peers {
		if len(p.Routes) > 0 {
			return true
		}
	}
	return false
}
