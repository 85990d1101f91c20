// Package speaker runs the loop of one node: the loop decides with the other nodes which addresses this node announces,
// and announces them.
//
// Each source of changes sends a wake-up. The loop then takes a snapshot of the cluster, updates the peer table
// (pkg/peers), elects an owner for each address (pkg/placement), steps the state machine of each address
// (pkg/ownership), hands the complete set of addresses to the announcer, and reports the changes to people
// (pkg/notify). The goroutine of Run owns all of this state. Any goroutine may call the exported methods; they never
// block.
package speaker
