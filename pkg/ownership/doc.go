// Package ownership decides when this node takes, keeps and releases an address.
//
// An [Address] is a state machine for one address on one node. Its heart is the transition table in table.go. [Address.Step] is pure: it
// gets the time, what has happened and all inputs as values, and returns actions for the caller to carry out. The package has no clock,
// logger, metric, client or socket.
//
//	Standby    another node should have the address, or no node
//	Backup     another node should have it, but nobody announces it: this node asks the wire when its turn comes
//	Probing    this node should have the address and asks the wire whether another host answers
//	Deferred   this node should have it, and leaves it to the node that answers until a given time
//	Conflict   a host that should not have the address answers for it
//	Owner      this node answers for the address
//	Suspended  this process was stalled: it answers for nothing until the wire shows that the address is still its own
//	Draining   this node may not have the address any longer, and answers until its successor does
//
// An Address belongs to one goroutine.
package ownership
