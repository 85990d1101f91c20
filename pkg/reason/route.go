package reason

// Route is the reason why a node does not announce an address to routers, or Routed.
type Route uint8

// The reasons of a route. When several apply, the first in the following order counts. As an exception,
// RouteNodeAddress counts before all others except RouteNotInPool.
const (
	// Routed: the node announces the address to at least one router.
	Routed Route = iota
	// RouteNotInPool: no pool with protocol bgp contains the address.
	RouteNotInPool
	// RouteNoEndpoints: no endpoint of the address's Services is ready or serving.
	RouteNoEndpoints
	// NoLocalEndpoint: the node has no ready endpoint, and the Service has externalTrafficPolicy Local.
	NoLocalEndpoint
	// NodeNotEligible: the node is excluded.
	NodeNotEligible
	// RulesNotReady: the service proxy of the node does not have the rules of a new address yet.
	RulesNotReady
	// DrainingNode: the node is about to stop, or may not serve the address any longer.
	DrainingNode
	// NoPeer: the configuration has no peer for this node and this address.
	NoPeer
	// RouteNodeAddress: the address belongs to a Node, and the configuration allows such addresses. Routers know the
	// way to the node.
	RouteNodeAddress

	// RouteCount is the number of Route values.
	RouteCount = int(RouteNodeAddress) + 1
)

var (
	routeWords = [RouteCount]string{
		"Routed", "RouteNotInPool", "RouteNoEndpoints", "NoLocalEndpoint", "NodeNotEligible", "RulesNotReady",
		"DrainingNode", "NoPeer", "RouteNodeAddress",
	}
	routeTexts = [RouteCount]string{
		"the node announces the address to at least one router",
		"no pool with protocol bgp contains the address",
		"no endpoint of the Service can serve",
		"the node has no ready endpoint (externalTrafficPolicy Local)",
		"the node is not eligible",
		"the service proxy of the node does not have the rules of the new address yet",
		"the node is about to stop",
		"no peer of the configuration is for this node and this address",
		"the address is a node's own, and the node's network leads to it",
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
