package ownership

import "github.com/lanlord/lanlord/pkg/layer2"

// ActionKind selects the task for the caller of Step.
type ActionKind uint8

const (
	// Ask requests the probe in Probe. The caller returns the result in an Event of kind Probed.
	Ask ActionKind = iota
	// Announce requests another announcement of the address.
	Announce
	// Report requests a record of Change.
	Report
	// Refute ends the suspicion of the member Node, because Node answers. After an Event of kind Claimed, the caller
	// steps again with the same event.
	Refute
	// ExchangeVersions sends the versions of this node to the member Node.
	ExchangeVersions
	// Dispute counts the claim of another node for an address of this node.
	Dispute
	// ForeignClaim counts the claim of a foreign host.
	ForeignClaim
	// ForeignHost notifies people of Host.
	ForeignHost
	// Sighted records that Host answers for the address, as if Host had announced the address now.
	Sighted
	// Defend requests another announcement of the address, because the foreign host Host has claimed it.
	Defend
	// Unprobed logs that the address cannot be probed.
	Unprobed
	// SuccessorHeard logs that the member Node answers for the address now.
	SuccessorHeard
	// Stopped logs that this node has stopped answering.
	Stopped
	// Free logs that no foreign host answers any longer.
	Free
)

// String returns the name of the action in scenario files.
func (k ActionKind) String() string {
	return [...]string{"Ask", "Announce", "Report", "Refute", "ExchangeVersions", "Dispute", "ForeignClaim",
		"ForeignHost", "Sighted", "Defend", "Unprobed", "SuccessorHeard", "Stopped", "Free"}[k]
}

// Action is one task for the caller of Step.
type Action struct {
	Kind   ActionKind
	Node   string
	Change Change
	Probe  Probe
	Host   Host
}

// Probe describes a probe of an address.
type Probe struct {
	// Number identifies the probe; the result carries the same number.
	Number uint64
	// To is the only station to ask; zero asks all stations.
	To layer2.MAC
	// Linger makes the probe listen for a second station after the first answer.
	Linger bool
	// Backup marks a probe in Backup: the probe asks more often, silence counts only if this node hears another member,
	// and the rate is limited. The caller returns an Event of kind Throttled for a probe over the rate.
	Backup bool
}

// Host describes a host that answers for an address and should not.
type Host struct {
	MAC layer2.MAC
	// Node names the host if it is a node; Node is empty for a foreign host.
	Node string
}
