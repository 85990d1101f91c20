package routes

import (
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// shutDown returns the table with the attributes of routes that are about to go: GRACEFUL_SHUTDOWN, the lowest
// LOCAL_PREF and a high MED.
func (t Table) shutDown() Table {
	peers := make([]Peer, len(t.Peers))
	for i, p := range t.Peers {
		routes := p.Routes
		if i > 0 && cluster.SameList(routes, t.Peers[i-1].Routes) {
			routes = peers[i-1].Routes
		} else {
			routes = lastChoice(routes)
		}
		peers[i] = Peer{Config: p.Config, Routes: routes}
	}
	return Table{Peers: peers, Addresses: t.Addresses}
}

// Withdrawn returns the table of a node that has left: the same peers without routes. The reason of an address that the
// node could announce is reason.DrainingNode.
func (t Table) Withdrawn() Table {
	peers, addresses := make([]Peer, len(t.Peers)), slices.Clone(t.Addresses)
	for i, p := range t.Peers {
		peers[i] = Peer{Config: p.Config}
	}
	for i := range addresses {
		a := &addresses[i]
		if a.Reason == reason.Routed {
			a.explain(reason.DrainingNode, "")
		}
		a.withdraw()
	}
	return Table{Peers: peers, Addresses: addresses}
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
