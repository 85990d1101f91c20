package status

import "time"

// SpeakerStandby is the state of a speaker that answers beside the process of its node which it is to follow in an update.
const SpeakerStandby = "standby"

// Speaker is what the speaker of a node tells. Each speaker tells what it knows itself; the others may know it differently.
type Speaker struct {
	Process
	// State is what it has told the other speakers of itself: "joining", "ready" or "leaving"; or SpeakerStandby.
	State string `json:"state"`
	// Since is when it got into that state.
	Since time.Time `json:"since,omitzero"`
	// Ready is true when it can answer for addresses, and NotReady says why it cannot.
	Ready    bool   `json:"ready"`
	NotReady string `json:"notReady,omitempty"`
	// Owned are the addresses that this node answers for, sorted.
	Owned []Owned `json:"owned"`
	// Watched are all other addresses of Services, sorted.
	Watched []Watched `json:"watched"`
	// Changes are the last changes of ownership on this node, the newest first, at most 100.
	Changes []Change `json:"changes"`
	// Interfaces are those of the node, by name, and what they are used for.
	Interfaces []Interface `json:"interfaces"`
	// Members are the speakers that are known, this one among them, by name.
	Members []Member `json:"members"`
	// Conflicts are the hosts that are no nodes and answer for addresses of Services, sorted by address.
	Conflicts []Conflict `json:"conflicts"`
	// Unreached are the nodes that gossip has not reached for at least ten seconds, by name.
	Unreached []Unreached `json:"unreached"`
	// Peers are the BGP sessions of the node, in the order of the configuration.
	Peers []Peer `json:"peers"`
	// Routes are the addresses of pools with protocol bgp, sorted, announced by this node or not.
	Routes []Route `json:"routes"`
}

// Owned is an address that this node answers for.
type Owned struct {
	Address string `json:"address"`
	// State is StateOwner, StateSuspended or StateDraining. A suspended address is not answered for.
	State AddressState `json:"state,omitempty"`
	// Services are those that have it, each as "namespace/name".
	Services []string `json:"services"`
	// Since is when this node took it; left out when a process before this one did.
	Since time.Time `json:"since,omitzero"`
	// Reason is why it took it, a word like "new" or "crash" as in lanlord_speaker_ownership_changes_total; "inherited" from the
	// process before this one. From is the node that had it before, if any.
	Reason string `json:"reason"`
	From   string `json:"from,omitempty"`
	// Elected is the node that the election names. Another one than this may have it back after the failback delay.
	Elected string `json:"elected,omitempty"`
	// Interfaces are the names of those that it is answered on now.
	Interfaces []string `json:"interfaces"`
	// Leaving is true while it is answered for only until its next owner is heard.
	Leaving bool `json:"leaving,omitempty"`
}

// Watched is an address that this node does not answer for.
type Watched struct {
	Address string `json:"address"`
	// State is one of the states of a node that does not own the address.
	State    AddressState `json:"state,omitempty"`
	Services []string     `json:"services"`
	// Elected is the node that the election names, empty for none.
	Elected string `json:"elected,omitempty"`
	// Answers is who was heard to answer last; left out when nobody was.
	Answers *Sighting `json:"answers,omitempty"`
	// Reason says in one word why this node does not answer: the word of a reason.Announcement when no node is to answer, else
	// that of a reason.Watch. Message says it in a sentence.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Exclusion is the word of the reason.Exclusion for which this node is not eligible; left out unless Reason is "NotEligible".
	Exclusion string `json:"exclusion,omitempty"`
	// Exclusions counts the nodes by the word of their reason.Exclusion; left out unless Reason is "NoEligibleNode".
	Exclusions map[string]int `json:"exclusions,omitempty"`
}

// Sighting is who was heard to have an address.
type Sighting struct {
	// Node is empty when MAC is no node's.
	Node string    `json:"node,omitempty"`
	MAC  string    `json:"mac"`
	At   time.Time `json:"at"`
}

// Change is one change of ownership.
type Change struct {
	At      time.Time `json:"at"`
	Address string    `json:"address"`
	// Change is "gained", "yielded" or "withdrawn", and Reason a word like "crash": both as in
	// lanlord_speaker_ownership_changes_total.
	Change string `json:"change"`
	Reason string `json:"reason"`
	// Peer is the node that it was taken from or goes to, as far as that is known.
	Peer string `json:"peer,omitempty"`
	// After is how many milliseconds the node that had it had been silent when this one took it; only after a crash.
	After int64 `json:"afterMilliseconds,omitempty"`
}

// Interface is a network interface of the node.
type Interface struct {
	Name string `json:"name"`
	MAC  string `json:"mac,omitempty"`
	// Subnets are its addresses with the length of their subnet.
	Subnets []string `json:"subnets"`
	// Carrier is true when it is switched on and has a carrier.
	Carrier bool `json:"carrier"`
	// Used is true when addresses are announced on it while it has a carrier. Otherwise NotUsed says why not in one word, like
	// "excludedByName".
	Used    bool   `json:"used"`
	NotUsed string `json:"notUsed,omitempty"`
}

// Member is a speaker as this one knows it.
type Member struct {
	// Node is its name, the Node's.
	Node string `json:"node"`
	// State is "joining", "ready", "leaving" or "unknown", as it says of itself, or "gone" when gossip has lost it.
	State string `json:"state"`
	// Address is where it listens for gossip.
	Address string `json:"address,omitempty"`
	// Links are the interfaces that it announces from.
	Links []Link `json:"links"`
	// Suspected is true while nothing is heard from it.
	Suspected bool `json:"suspected"`
	// LastHeard is the last sign of one that is suspected or gone, and the last answer of a neighbour that this node watches.
	LastHeard time.Time `json:"lastHeard,omitzero"`
	// Self is true for this very node.
	Self bool `json:"self,omitempty"`
}

// Link is an interface that a member announces from.
type Link struct {
	Name    string   `json:"name"`
	MAC     string   `json:"mac"`
	Subnets []string `json:"subnets"`
	// Beacon is the address that its neighbours ask for to see that it lives, empty when it has none.
	Beacon string `json:"beacon,omitempty"`
}

// Conflict is a host that is no node and answers for an address of a Service.
type Conflict struct {
	Address string `json:"address"`
	MAC     string `json:"mac"`
	// Quarantine is true when the address was new, so that nobody gets it; otherwise it is defended.
	Quarantine bool `json:"quarantine"`
	// LastHeard is when the host answered or claimed it last.
	LastHeard time.Time `json:"lastHeard,omitzero"`
}

// Unreached is a node that gossip does not reach.
type Unreached struct {
	Node string `json:"node"`
	// Address is the address that gossip tries first, with the port; empty when the Node has none.
	Address string `json:"address,omitempty"`
	// Message says in a sentence what is wrong and what to do.
	Message string `json:"message"`
	// Blocked is true when gossip does not pass although the node runs, as far as this node knows: gossip never reached
	// the node, or the node answers on the wire. Otherwise the node may be off.
	Blocked bool `json:"blocked"`
	// Port is the TCP and UDP port to open; left out when an open port does not help.
	Port uint16 `json:"port,omitempty"`
}
