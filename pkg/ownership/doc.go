// Package ownership decides when this node takes, keeps and releases an address.
//
// An [Address] is a state machine for one address on one node. The transition table in table.go defines the state
// machine. [Address.Step] is pure: the caller passes the time, the event and all inputs as values, and carries out the
// returned actions. The package has no clock, logger, metric, client or socket.
//
//	Standby    another node should have the address, or no node
//	Backup     another node should have the address, but nobody announces the address: the node probes in its turn
//	Probing    the node should have the address and probes for other hosts
//	Deferred   the node should have the address, and leaves the address to the answering node until a given time
//	Conflict   a host without a right to the address answers
//	Owner      the node answers for the address
//	Suspended  the process was stalled: the node stops answering until a probe finds no other owner
//	Draining   the node may not have the address any longer, and answers until the successor does
//
// An Address belongs to one goroutine.
package ownership
