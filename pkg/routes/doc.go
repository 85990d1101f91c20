// Package routes decides which routes a node announces to each router, and why not others.
//
// Decide is pure. It has no election for Services with the policy Cluster: every eligible node announces their addresses.
//
// # Prefixes
//
// Each advertisement of the address's pool gives a prefix with the advertisement's aggregation length. A node announces
// an aggregate while it announces at least one address in the aggregate.
//
// An address of a serving Service with the policy Local also gets a host route (/32 or /128), to every peer that gets an
// aggregate for the address and that no advertisement gives the host route. The host route has the attributes of these
// aggregates. Only nodes with an endpoint announce the host route, and routers prefer the longer prefix; so a node that
// announces the aggregate for another address draws no traffic for the Local one.
//
// # Attributes
//
// Several advertisements may give one prefix to one peer, also those of two pools with one aggregate. The route then has
// the communities of all of them, the highest LOCAL_PREF, the lowest MED of those with a MED, and the fewest prepended AS
// numbers: the most attractive value of each.
//
// A pool with spread N ranks the nodes by the election of pkg/election, with the weights of layer 2: preferred nodes of
// the pool, and the node that a Service prefers. The candidates are the nodes that announce the address to any peer, in
// the whole cluster. The first N nodes announce the MED of the advertisements (0 without one), the others a MED that is
// SpreadPenalty higher. For an aggregate the candidates are the nodes that announce any of its addresses in this pool,
// and the network address stands for the address. For an aggregate of several pools, the node is among the first nodes
// when it is in one of the pools, or when one of the pools has no spread.
//
// # Leaving
//
// A node that stops, or that may not serve any longer, first announces its routes as the last choice (RFC 8326): with the
// community GRACEFUL_SHUTDOWN, LOCAL_PREF 0 and MED ShutdownMED. After the drain time of the configuration the node
// withdraws them. Planner keeps the state of that:
//
//	Announcing --leaves, has routes--> ShuttingDown --drain time is over--> Withdrawn
//	Announcing --leaves, has no routes, or the drain time is 0--> Withdrawn
//	ShuttingDown, Withdrawn --may serve again--> Announcing
package routes
