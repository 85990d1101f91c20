// Package routes decides which routes a node announces to each router, and why not others.
//
// Decide is pure. Services with the policy Cluster need no election: every eligible node announces their addresses.
//
// # Prefixes
//
// Each advertisement of the address's pool gives a prefix with the advertisement's aggregation length. A node announces
// an aggregate while the node announces at least one address of the aggregate.
//
// The policy Local adds host routes (/32 and /128). An address of a serving Service with the policy Local gets a host
// route to each peer that gets an aggregate for the address, unless an advertisement gives the host route to the peer
// already. The host route has the united attributes of these aggregates. Only nodes with an endpoint announce the host
// route, and routers prefer the longer prefix. So a node without an endpoint draws no traffic for the address, although
// the node may announce the aggregate for other addresses.
//
// # Attributes
//
// Several advertisements may give one prefix to one peer; two pools may even have an aggregate in common. The
// attributes are then united: all communities, the highest LOCAL_PREF, the lowest MED among the advertisements with a
// MED, and the fewest prepended AS numbers. So each attribute has the most attractive of the values.
//
// A pool with spread N ranks the nodes by the election of pkg/election, with the weights of layer 2: the preferred
// nodes of the pool, and the node that a Service prefers. The candidates are all nodes of the cluster that announce
// the address to any peer. The first N nodes announce the MED of the advertisements (0 without a MED), the other
// nodes a MED that is SpreadPenalty higher. The rank for an aggregate is the rank for its network address, among the
// nodes that announce any address of the pool in the aggregate. An aggregate of several pools has the better MED when
// the node is among the first nodes of one of the pools, or when one of the pools has no spread.
//
// # Leaving
//
// A node that stops, or that may not serve any longer, first announces its routes as the last choice (RFC 8326): with
// the community GRACEFUL_SHUTDOWN, LOCAL_PREF 0 and MED ShutdownMED. After the drain time of the configuration the
// node withdraws the routes. Planner keeps the phase:
//
//	Announcing --leaves, has routes--> ShuttingDown --drain time is over--> Withdrawn
//	Announcing --leaves, has no routes, or the drain time is 0--> Withdrawn
//	ShuttingDown, Withdrawn --may serve again--> Announcing
package routes
