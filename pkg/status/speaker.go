package status

import "time"

// SpeakerStandby is the state of a new speaker process that waits, during an update, to take over from the present
// process of its node.
const SpeakerStandby = "standby"

// Speaker is the status of the speaker on a node. Each speaker reports its own view; the views may differ.
type Speaker struct {
	Process
	// State is the state that the speaker has sent to the other speakers: "joining", "ready" or "leaving"; or
	// SpeakerStandby.
	State string `json:"state"`
	// Since is the time at which the speaker entered the state.
	Since time.Time `json:"since,omitzero"`
	// Ready is true when the speaker can answer for addresses. NotReady explains why the speaker cannot.
	Ready    bool   `json:"ready"`
	NotReady string `json:"notReady,omitempty"`
	// Owned lists the addresses that this node owns, sorted.
	Owned []Owned `json:"owned"`
	// Watched lists all other addresses of Services, sorted.
	Watched []Watched `json:"watched"`
	// Changes lists the last changes of ownership on this node, the newest first, at most 100.
	Changes []Change `json:"changes"`
	// Interfaces lists the interfaces of the node by name, and the use of each.
	Interfaces []Interface `json:"interfaces"`
	// Members lists all known speakers by name, including this speaker.
	Members []Member `json:"members"`
	// Conflicts lists the foreign hosts that answer for addresses of Services, sorted by address.
	Conflicts []Conflict `json:"conflicts"`
	// Unreached lists the nodes that gossip has not reached for at least ten seconds, by name.
	Unreached []Unreached `json:"unreached"`
	// Peers lists the BGP sessions of the node, in the order of the configuration.
	Peers []Peer `json:"peers"`
	// Routes lists all addresses of pools with protocol bgp, sorted, whether this node announces them or not.
	Routes []Route `json:"routes"`
	// Probes lists the last probes of the paths to addresses of other nodes (layer2: path-probe), sorted by address, at
	// most 1,000: the failed probes, and then the newest probes.
	Probes []LastProbe `json:"probes,omitempty"`
}

// Owned describes an address that this node owns.
type Owned struct {
	Address string `json:"address"`
	// State is StateOwner, StateSuspended or StateDraining. In StateSuspended the node does not answer for the address.
	State AddressState `json:"state,omitempty"`
	// Services are the Services with the address, each as "namespace/name".
	Services []string `json:"services"`
	// Since is the time at which this process took the address; left out when an earlier process took the address.
	Since time.Time `json:"since,omitzero"`
	// Reason is the cause of the takeover, a word like "new" or "crash" as in lanlord_speaker_ownership_changes_total;
	// "inherited" for an address from the earlier process. From is the previous owner, if any.
	Reason string `json:"reason"`
	From   string `json:"from,omitempty"`
	// Elected is the elected node. If another node is elected, that node may take the address after the failback delay.
	Elected string `json:"elected,omitempty"`
	// Interfaces are the names of the interfaces on which the node answers now.
	Interfaces []string `json:"interfaces"`
	// Leaving is true while the node answers only until it hears the next owner.
	Leaving bool `json:"leaving,omitempty"`
}

// Watched describes an address that this node does not own.
type Watched struct {
	Address string `json:"address"`
	// State is one of the states of a node that does not own the address.
	State    AddressState `json:"state,omitempty"`
	Services []string     `json:"services"`
	// Elected is the elected node, empty for none.
	Elected string `json:"elected,omitempty"`
	// Answers describes the host that this node last heard to answer; left out if this node has heard no host.
	Answers *Sighting `json:"answers,omitempty"`
	// Reason is the reason why this node does not answer: the word of a reason.Announcement when no node should answer,
	// otherwise the word of a reason.Watch. Message is the same as a sentence.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Exclusion is the word of the reason.Exclusion that makes this node ineligible; left out unless Reason is
	// "NotEligible".
	Exclusion string `json:"exclusion,omitempty"`
	// Exclusions counts the nodes by the word of the reason.Exclusion; left out unless Reason is "NoEligibleNode".
	Exclusions map[string]int `json:"exclusions,omitempty"`
}

// Sighting describes a host that was heard to have an address.
type Sighting struct {
	// Node is empty when MAC belongs to no node.
	Node string    `json:"node,omitempty"`
	MAC  string    `json:"mac"`
	At   time.Time `json:"at"`
}

// Change describes one change of ownership.
type Change struct {
	At      time.Time `json:"at"`
	Address string    `json:"address"`
	// Change is "gained", "yielded" or "withdrawn", and Reason is a word like "crash", both as in
	// lanlord_speaker_ownership_changes_total.
	Change string `json:"change"`
	Reason string `json:"reason"`
	// Peer is the previous owner of a gained address or the next owner of a released address, if known.
	Peer string `json:"peer,omitempty"`
	// After is the time in milliseconds between the last sign of the previous owner and the takeover; only after a
	// crash.
	After int64 `json:"afterMilliseconds,omitempty"`
}

// Interface describes a network interface of the node.
type Interface struct {
	Name string `json:"name"`
	MAC  string `json:"mac,omitempty"`
	// Subnets are the addresses of the interface with their prefix lengths.
	Subnets []string `json:"subnets"`
	// Carrier is true when the interface is up and has a carrier.
	Carrier bool `json:"carrier"`
	// Used is true when the speaker announces addresses on the interface while the interface has a carrier. Otherwise
	// NotUsed is the reason in one word, like "excludedByName".
	Used    bool   `json:"used"`
	NotUsed string `json:"notUsed,omitempty"`
	// BondMode is the kernel's name for the mode of the bond that a used interface is, or that is below the interface.
	BondMode string `json:"bondMode,omitempty"`
}

// Member describes a speaker, as this speaker knows it.
type Member struct {
	// Node is the name of the member's Node.
	Node string `json:"node"`
	// State is the state that the member has sent: "joining", "ready", "leaving" or "unknown"; or "gone" when gossip
	// has lost the member.
	State string `json:"state"`
	// Address is the address on which the member listens for gossip.
	Address string `json:"address,omitempty"`
	// Links are the interfaces from which the member announces.
	Links []Link `json:"links"`
	// Suspected is true while this node hears nothing from the member.
	Suspected bool `json:"suspected"`
	// LastHeard is the time of the last sign from a member that is suspected or gone, and of the last answer from a
	// neighbour that this node watches.
	LastHeard time.Time `json:"lastHeard,omitzero"`
	// Self is true for this node.
	Self bool `json:"self,omitempty"`
}

// Link describes an interface from which a member announces.
type Link struct {
	Name    string   `json:"name"`
	MAC     string   `json:"mac"`
	Subnets []string `json:"subnets"`
	// Beacon is the probe address, empty without one. Neighbours ask for this address to check that the member is
	// alive.
	Beacon string `json:"beacon,omitempty"`
}

// Conflict describes a foreign host that answers for an address of a Service.
type Conflict struct {
	Address string `json:"address"`
	MAC     string `json:"mac"`
	// Quarantine is true when the address was new, so that no Service gets the address. Otherwise the owner defends the
	// address.
	Quarantine bool `json:"quarantine"`
	// LastHeard is the time at which the host last answered for the address or claimed the address.
	LastHeard time.Time `json:"lastHeard,omitzero"`
}

// Unreached describes a node that gossip does not reach.
type Unreached struct {
	Node string `json:"node"`
	// Address is the address that gossip tries first, with the port; empty when the Node has none.
	Address string `json:"address,omitempty"`
	// Message explains the problem and the fix in a sentence.
	Message string `json:"message"`
	// Blocked is true when gossip does not pass although the node runs, as far as this node knows: gossip never reached
	// the node, or the node answers on the wire. Otherwise the node may be off.
	Blocked bool `json:"blocked"`
	// Port is the TCP and UDP port to open; left out when an open port does not help.
	Port uint16 `json:"port,omitempty"`
}
