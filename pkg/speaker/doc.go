// Package speaker is the loop of one node: it decides with the other nodes which addresses this node announces, and announces them.
//
// Whoever has news sends a wake-up. The loop then takes a snapshot of the cluster, brings the table of peers up to date
// (pkg/peers), decides which node should have each address (pkg/placement), steps the state machine of each address (pkg/ownership),
// hands the announcer the whole set of addresses, and tells people what changed (pkg/notify). One goroutine, Run's, owns all of that;
// the exported methods may be called from any goroutine and never block.
package speaker
