package status

// AddressState is the state of an address on one node. docs/ownership.md describes the transitions between the states.
type AddressState string

// The states. A node in one of the first three states owns the address.
const (
	StateOwner     AddressState = "Owner"
	StateSuspended AddressState = "Suspended"
	StateDraining  AddressState = "Draining"
	StateStandby   AddressState = "Standby"
	StateBackup    AddressState = "Backup"
	StateProbing   AddressState = "Probing"
	StateDeferred  AddressState = "Deferred"
	StateConflict  AddressState = "Conflict"
)

// Text returns a clause for people, empty for the state of a later version.
func (s AddressState) Text() string {
	switch s {
	case StateOwner:
		return "the node answers"
	case StateSuspended:
		return "the process was stalled; the node answers again when the wire shows that no other node has the address"
	case StateDraining:
		return "the node may not have the address any longer, and answers until the next owner does"
	case StateStandby:
		return "another node should have the address, or no node"
	case StateBackup:
		return "another node should have the address, nobody announces it, and the node asks the wire when its turn comes"
	case StateProbing:
		return "the node should have the address, and asks the wire whether another host answers"
	case StateDeferred:
		return "the node should have the address, and leaves it to the node that answers"
	case StateConflict:
		return "a host that should not have the address answers for it"
	}
	return ""
}
