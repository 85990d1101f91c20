package reason

// Route tells whether a node announces an address to routers, and if not, the reason.
type Route uint8

// The reasons of a route. When several apply, the first in the following order counts.
const (
	// Routed: the node announces the address to at least one router.
	Routed Route = iota
	// RouteNotInPool: no pool with protocol bgp contains the address.
	RouteNotInPool
	// RouteNodeAddress: the address is a Node's own, which the configuration allows. Routers know the way to the node.
	RouteNodeAddress
	// RouteNoEndpoints: no endpoint of the address's Services is ready or serving.
	RouteNoEndpoints
	// NoLocalEndpoint: the node has no ready endpoint, and the Service has externalTrafficPolicy Local.
	NoLocalEndpoint
	// NodeNotEligible: the node is excluded.
	NodeNotEligible
	// RulesNotReady: the service proxy of the node does not have the rules of a new address yet.
	RulesNotReady
	// DrainingNode: the node is about to stop, or may not serve any longer.
	DrainingNode
	// NoPeer: the configuration has no peer for this node and this address.
	NoPeer

	// RouteCount is the number of Route values.
	RouteCount = int(NoPeer) + 1
)

var (
	routeWords = [RouteCount]string{
		"Routed", "RouteNotInPool", "RouteNodeAddress", "RouteNoEndpoints", "NoLocalEndpoint", "NodeNotEligible",
		"RulesNotReady", "DrainingNode", "NoPeer",
	}
	routeTexts = [RouteCount]string{
		"the node announces the address to at least one router",
		"no pool with protocol bgp contains the address",
		"the address is a node's own, and the node's network leads to it",
		"no endpoint of the Service can serve",
		"the node has no ready endpoint (externalTrafficPolicy Local)",
		"the node is not eligible",
		"the service proxy of the node does not have the rules of the new address yet",
		"the node is about to stop",
		"no peer of the configuration is for this node and this address",
	}
)

// String returns the word.
func (r Route) String() string { return word(routeWords[:], r) }

// Text returns a clause for people.
func (r Route) Text() string { return word(routeTexts[:], r) }

// Routes returns all values in their order.
func Routes() []Route { return all[Route](routeWords[:]) }

// ParseRoute returns the value for a word. ok is false for any other text.
func ParseRoute(text string) (r Route, ok bool) { return parse[Route](routeWords[:], text) }
