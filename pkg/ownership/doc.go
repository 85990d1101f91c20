// Package ownership decides when this node takes, keeps and releases an address.
//
// An [Address] is a state machine for one address on one node. The transition table in table.go defines the state
// machine. [Address.Step] is pure: the caller passes the time, the event and all inputs as values, and carries out the
// actions that Step returns. The package has no clock, logger, metric, client or socket.
//
//	Standby    another node should have the address, or no node
//	Backup     another node should have the address, but nobody announces it: this node probes when its turn comes
//	Probing    this node should have the address and probes whether another host answers
//	Deferred   this node should have the address, and leaves it to the node that answers until a given time
//	Conflict   a host that should not have the address answers for it
//	Owner      this node answers for the address
//	Suspended  this process was stalled: it stops answering until a probe shows that no other node has the address
//	Draining   this node may not have the address any longer, and answers until its successor does
//
// An Address belongs to one goroutine.
package ownership
