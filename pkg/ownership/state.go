package ownership

// State is the state of an address on this node.
type State uint8

// The possible states; doc.go describes them.
const (
	Standby State = iota
	Backup
	Probing
	Deferred
	Conflict
	Owner
	Suspended
	Draining

	// StateCount is the number of states.
	StateCount = int(Draining) + 1
)

// String returns the state as one word, for logs, metrics and the status.
func (s State) String() string {
	return [...]string{"Standby", "Backup", "Probing", "Deferred", "Conflict", "Owner", "Suspended", "Draining"}[s]
}

// Answers reports whether this node answers for an address in the state.
func (s State) Answers() bool { return s == Owner || s == Draining }

// Holds reports whether this node counts the address as owned. Another node may have taken a suspended address.
func (s State) Holds() bool { return s == Owner || s == Suspended || s == Draining }

// states is a set of states.
type states uint16

func of(list ...State) (s states) {
	for _, x := range list {
		s |= 1 << x
	}
	return s
}

func (s states) has(x State) bool { return s&(1<<x) != 0 }
