package status

import "time"

// Format is the version of the JSON format. A new version renames or removes a field, or changes the meaning of a
// field.
const Format = 1

// The kinds of process that report a status.
const (
	KindController = "controller"
	KindSpeaker    = "speaker"
)

// Process holds the part of the status that both binaries share.
type Process struct {
	// Kind is KindController or KindSpeaker.
	Kind string `json:"kind"`
	// Format is the version of the JSON format.
	Format int `json:"format"`
	// Time is the time of the report by the clock of the process.
	Time time.Time `json:"time"`
	// Version is the version of the binary, as --version prints it.
	Version string `json:"version"`
	// Pod is the name of the process's Pod, empty if the process was not given the name.
	Pod string `json:"pod,omitempty"`
	// Node is the name of the Node on which the process runs, empty if the process was not given the name.
	Node string `json:"node,omitempty"`
	// Started is the time at which the process started.
	Started time.Time `json:"started,omitzero"`
	// Connected is true when the last list or watch request reached the API server. Otherwise the rest of the status
	// may be out of date.
	Connected bool `json:"connected"`
	// Configuration describes the configuration of this process.
	Configuration Configuration `json:"configuration"`
}

// SourceKind is the kind of the objects that hold the configuration.
type SourceKind string

// The kinds of sources.
const (
	// FromConfigMap means a ConfigMap.
	FromConfigMap SourceKind = "configmap"
	// FromMetalLB means MetalLB's custom resources in a namespace.
	FromMetalLB SourceKind = "metallb"
)

// Origin names the source as a part of a sentence, like "the ConfigMap lanlord-system/config".
func (c *Configuration) Origin() string {
	if c.Kind == FromMetalLB {
		return "the set of MetalLB's resources in the namespace " + c.Source
	}
	return "the ConfigMap " + c.Source
}

// Configuration describes the configuration in use, and the newest version of the source.
type Configuration struct {
	// Source is "namespace/name" of the ConfigMap, or the namespace of MetalLB's resources.
	Source string `json:"source"`
	// Kind is the kind of the source. Empty, from a process of an earlier version, means FromConfigMap.
	Kind SourceKind `json:"kind,omitempty"`
	// Version is the resourceVersion of the newest ConfigMap, or the highest of MetalLB's resources; empty without a
	// ConfigMap.
	Version string `json:"version,omitempty"`
	// Hash is the first 48 bits of the SHA-256 hash of the document in use, in hexadecimal; empty without a
	// configuration. Equal hashes mean equal configurations. lanlord_config_hash is the same number.
	Hash string `json:"hash,omitempty"`
	// Loaded is the time at which the process began to use the configuration.
	Loaded time.Time `json:"loaded,omitzero"`
	// Stale is true when the newest version of the source is not in use, because that version is invalid or the source
	// is gone.
	Stale bool `json:"stale"`
	// Problems explain why the configuration is stale or missing.
	Problems []string `json:"problems"`
	// Warnings list the settings that were accepted, but not as written.
	Warnings []string `json:"warnings"`
}

// Controller is the status of a controller.
type Controller struct {
	Process
	// Role is Leader when this controller assigns addresses.
	Role Role `json:"role"`
	// Since is the time at which the controller got the role.
	Since time.Time `json:"since,omitzero"`
	// Decided is the time of the controller's last decision about the cluster; left out for a standby.
	Decided time.Time `json:"decided,omitzero"`
	// Pools are sorted in the order in which the controller takes addresses from them.
	Pools []Pool `json:"pools"`
	// Services are the Services that Lanlord manages, sorted by namespace and name.
	Services []Service `json:"services"`
	// HeldBack lists the addresses of pools that the controller does not assign now, sorted, at most 10,000.
	HeldBack []HeldBack `json:"heldBack"`
}

// Role is the role of a controller in leader election.
type Role string

// The roles.
const (
	// Leader holds the Lease and assigns addresses.
	Leader Role = "leader"
	// Standby waits for the Lease.
	Standby Role = "standby"
)

// Pool describes one pool of the configuration.
type Pool struct {
	Name string `json:"name"`
	// Addresses lists the ranges of the pool as text, without the excluded addresses.
	Addresses string `json:"addresses"`
	// Protocols are "layer2", "bgp" or both: the protocols that announce the addresses.
	Protocols []string `json:"protocols"`
	// Priority is 1 for the pool that the controller uses first; 0 comes last.
	Priority int `json:"priority"`
	// AutoAssign is false for a pool that the controller uses only on request.
	AutoAssign bool `json:"autoAssign"`
	// Disabled is true for a pool that assigns no further addresses.
	Disabled bool `json:"disabled"`
	// Restricted is true for a pool that only certain namespaces or Services may use.
	Restricted bool `json:"restricted"`
	// Families counts the addresses of each family, IPv4 before IPv6. A family without addresses has no entry.
	Families []Stock `json:"families"`
}

// Stock counts the addresses of one family in a pool.
type Stock struct {
	// Family is "IPv4" or "IPv6".
	Family string `json:"family"`
	// Size is the number of all addresses, and Free the number of addresses that the controller could assign now. Both
	// are decimal numbers of up to 39 digits.
	Size string `json:"size"`
	Free string `json:"free"`
	// Used counts the addresses that Services have.
	Used int `json:"used"`
	// Resting counts the addresses in cool-down: a Service released them a short time ago.
	Resting int `json:"resting"`
	// Quarantined counts the addresses for which a foreign host answers.
	Quarantined int `json:"quarantined"`
	// Reserved counts the addresses that are reserved for certain Services and that no Service has.
	Reserved int `json:"reserved"`
	// Withheld counts the addresses that no Service gets: addresses of Nodes, of gateways and of other objects, and the
	// ends of subnets.
	Withheld int `json:"withheld"`
}

// ServiceState is the state of a Service in one word.
type ServiceState string

// The states of a Service.
const (
	// Assigned: the Service has all required addresses.
	Assigned ServiceState = "assigned"
	// Waiting: the Service lacks an address. Reason and Message explain the cause.
	Waiting ServiceState = "waiting"
	// Pending: the controller has decided on the addresses, and the status of the Service does not show them yet.
	Pending ServiceState = "pending"
	// Undecided: the controller has not decided on the Service yet.
	Undecided ServiceState = "undecided"
)

// Service describes a Service of type LoadBalancer.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Wants is the request of the Service.
	Wants Wants `json:"wants"`
	// Addresses are the addresses in the status of the Service.
	Addresses []Assignment `json:"addresses"`
	State     ServiceState `json:"state"`
	// Reason is the word of the Service's condition and Event, like "Assigned" or "NoFreeAddress"; empty in state
	// Undecided.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Since is the time at which the Service got all required addresses, or began to wait.
	Since time.Time `json:"since,omitzero"`
	// Conflict describes the foreign hosts that also answer for addresses of the Service; empty without such a host.
	Conflict string `json:"conflict,omitempty"`
}

// Wants is the request of a Service. An empty field allows any value.
type Wants struct {
	// Families are "IPv4", "IPv6" or both, in the order of the Service. Policy is the ipFamilyPolicy.
	Families []string `json:"families"`
	Policy   string   `json:"policy"`
	// Addresses and Pool are the addresses and the pool that the Service requests.
	Addresses []string `json:"addresses,omitempty"`
	Pool      string   `json:"pool,omitempty"`
	// SharingKey is the sharing key. Services with the same key may share an address.
	SharingKey string `json:"sharingKey,omitempty"`
	// PreferNode is the node that the Service prefers for its announcement.
	PreferNode string `json:"preferNode,omitempty"`
	// TrafficPolicy is the externalTrafficPolicy.
	TrafficPolicy string `json:"trafficPolicy"`
}

// Assignment is an address and its pool. Pool is empty when no pool contains the address any longer.
type Assignment struct {
	Address string `json:"address"`
	Pool    string `json:"pool,omitempty"`
}

// HeldBack describes an address of a pool that the controller does not assign now.
type HeldBack struct {
	Address string `json:"address"`
	Pool    string `json:"pool"`
	// Why is the reason.
	Why HeldBackWhy `json:"why"`
	// By is the Service for which the address is in cool-down ("namespace/name"), the Node that has the address or uses
	// the gateway, the MAC address of the foreign host, or the object that claims the address, with the kind ("Service
	// shop/web").
	By string `json:"by"`
	// Until is the end of the cool-down.
	Until time.Time `json:"until,omitzero"`
}

// HeldBackWhy is the reason why the controller does not assign an address now.
type HeldBackWhy string

// The reasons why the controller does not assign an address.
const (
	// Resting: the address is in cool-down. A Service had the address until a short time ago, and gets it back on its
	// return.
	Resting HeldBackWhy = "Resting"
	// Quarantine: a foreign host answers for the address.
	Quarantine HeldBackWhy = "Quarantine"
	// NodeAddress: a Node has the address.
	NodeAddress HeldBackWhy = "NodeAddress"
	// Gateway: the address is a default gateway of a Node.
	Gateway HeldBackWhy = "Gateway"
	// Claimed: another object of the API server has the address: a Service of another class, spec.externalIPs, an
	// ExternalIP of a Node, or a Gateway.
	Claimed HeldBackWhy = "Claimed"
)
