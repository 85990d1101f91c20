package ownership

import "github.com/lanlord/lanlord/pkg/layer2"

// ActionKind says what the caller of Step must do.
type ActionKind uint8

const (
	// Ask: probe the address as Probe says, and return the result in an Event of kind Probed.
	Ask ActionKind = iota
	// Announce: announce the address again.
	Announce
	// Report: record Change.
	Report
	// Refute: end the suspicion of the member Node, which answers. After an Event of kind Claimed, step again with the same event.
	Refute
	// ExchangeVersions: tell the member Node how far this node has seen the cluster.
	ExchangeVersions
	// Dispute: count the claim of another node for an address that this node has.
	Dispute
	// ForeignClaim: count the claim of a foreign host.
	ForeignClaim
	// ForeignHost: tell people about Host.
	ForeignHost
	// Sighted: remember that the host Host answers for the address, as if it had announced it now.
	Sighted
	// Defend: announce the address again, because the foreign host Host has claimed it.
	Defend
	// Unprobed: log that the address cannot be probed.
	Unprobed
	// SuccessorHeard: log that the member Node answers for the address now.
	SuccessorHeard
	// Stopped: log that this node has stopped answering.
	Stopped
	// Free: log that no foreign host answers any longer.
	Free
)

// String returns the action as scenario files write it.
func (k ActionKind) String() string {
	return [...]string{"Ask", "Announce", "Report", "Refute", "ExchangeVersions", "Dispute", "ForeignClaim", "ForeignHost", "Sighted",
		"Defend", "Unprobed", "SuccessorHeard", "Stopped", "Free"}[k]
}

// Action is one thing that the caller of Step must do.
type Action struct {
	Kind   ActionKind
	Node   string
	Change Change
	Probe  Probe
	Host   Host
}

// Probe says how to probe an address.
type Probe struct {
	// Number tells the probe from those before it; the result carries it.
	Number uint64
	// To is the only station to ask; zero asks all.
	To layer2.MAC
	// Linger is true to listen for a second station after the first answer.
	Linger bool
	// Backup is true for a probe in Backup: it asks more often, silence counts only if this node hears another member, and such probes
	// are limited to a rate. The caller returns an Event of kind Throttled for one over the rate.
	Backup bool
}

// Host is a host that answers for an address and should not.
type Host struct {
	MAC layer2.MAC
	// Node is the node that the host is, empty for a foreign host.
	Node string
}
