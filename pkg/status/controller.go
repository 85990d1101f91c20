package status

import "time"

// Format is the number of the shape. It changes when a field is renamed, removed or given another meaning.
const Format = 1

// The kinds of process that tell of themselves.
const (
	KindController = "controller"
	KindSpeaker    = "speaker"
)

// Process is what both binaries begin with.
type Process struct {
	// Kind is KindController or KindSpeaker.
	Kind string `json:"kind"`
	// Format is the number of the shape.
	Format int `json:"format"`
	// Time is when this was put together, by the clock of the process.
	Time time.Time `json:"time"`
	// Version is what the binary was built from, as --version prints it.
	Version string `json:"version"`
	// Pod is the name of the process's Pod, empty when it is not told.
	Pod string `json:"pod,omitempty"`
	// Node is the name of the Node that it runs on, empty when it is not told.
	Node string `json:"node,omitempty"`
	// Started is when the process began.
	Started time.Time `json:"started,omitzero"`
	// Connected is true when the last list or watch got through to the API server. Otherwise what follows may be out of date.
	Connected bool `json:"connected"`
	// Configuration is what this process knows of the ConfigMap.
	Configuration Configuration `json:"configuration"`
}

// SourceKind is the kind of objects that hold the configuration.
type SourceKind string

// The kinds of sources.
const (
	// FromConfigMap is for a ConfigMap.
	FromConfigMap SourceKind = "configmap"
	// FromMetalLB is for MetalLB's custom resources in a namespace.
	FromMetalLB SourceKind = "metallb"
)

// Origin names the source in a sentence, like "the ConfigMap lanlord-system/config".
func (c *Configuration) Origin() string {
	if c.Kind == FromMetalLB {
		return "the set of MetalLB's resources in the namespace " + c.Source
	}
	return "the ConfigMap " + c.Source
}

// Configuration says what became of the ConfigMap.
type Configuration struct {
	// Source is "namespace/name" of the ConfigMap, or the namespace of MetalLB's resources.
	Source string `json:"source"`
	// Kind is the kind of the source. Empty, from a process of an earlier version, means FromConfigMap.
	Kind SourceKind `json:"kind,omitempty"`
	// Version is the resourceVersion of the newest ConfigMap seen, empty while there is none.
	Version string `json:"version,omitempty"`
	// Hash is the first 48 bits of the SHA-256 of the document in use, in hexadecimal: where it is the same, the configuration is.
	// It is the number of lanlord_config_hash. Empty without a configuration.
	Hash string `json:"hash,omitempty"`
	// Loaded is when the configuration in use was read.
	Loaded time.Time `json:"loaded,omitzero"`
	// Stale is true when the newest ConfigMap is not the one in use: it is not valid, or gone.
	Stale bool `json:"stale"`
	// Problems say why it is stale, or why there is no configuration at all.
	Problems []string `json:"problems"`
	// Warnings say what was accepted, but not as written.
	Warnings []string `json:"warnings"`
}

// Controller is what a controller tells.
type Controller struct {
	Process
	// Role is whether it decides.
	Role Role `json:"role"`
	// Since is when it got the role.
	Since time.Time `json:"since,omitzero"`
	// Decided is when it looked at the cluster last and decided; never for a standby.
	Decided time.Time `json:"decided,omitzero"`
	// Pools are in the order in which addresses are taken from them.
	Pools []Pool `json:"pools"`
	// Services are those that are Lanlord's, sorted by namespace and name.
	Services []Service `json:"services"`
	// HeldBack are addresses of pools that are not given, sorted, at most 10,000 of them.
	HeldBack []HeldBack `json:"heldBack"`
}

// Role is what a controller does.
type Role string

// The roles.
const (
	// Leader holds the Lease and decides.
	Leader Role = "leader"
	// Standby waits for the Lease.
	Standby Role = "standby"
)

// Pool is one pool of the configuration.
type Pool struct {
	Name string `json:"name"`
	// Addresses are its ranges as text, what is excluded left out.
	Addresses string `json:"addresses"`
	// Protocols are "layer2", "bgp" or both: how the addresses are made reachable.
	Protocols []string `json:"protocols"`
	// Priority is 1 for the pool that is used first; 0 comes last.
	Priority int `json:"priority"`
	// AutoAssign is false for a pool that is used only on request.
	AutoAssign bool `json:"autoAssign"`
	// Disabled means that nobody gets another address of it.
	Disabled bool `json:"disabled"`
	// Restricted means that it is for certain namespaces or Services only.
	Restricted bool `json:"restricted"`
	// Families are what it has of each family, IPv4 before IPv6; no entry for a family without addresses.
	Families []Stock `json:"families"`
}

// Stock is what a pool has of one family.
type Stock struct {
	// Family is "IPv4" or "IPv6".
	Family string `json:"family"`
	// Size is how many addresses there are, and Free how many of these a Service could be given now; both as decimal numbers,
	// which may have 39 digits.
	Size string `json:"size"`
	Free string `json:"free"`
	// Used are held by Services.
	Used int `json:"used"`
	// Resting were released a short while ago.
	Resting int `json:"resting"`
	// Quarantined are answered for by a host that is no node.
	Quarantined int `json:"quarantined"`
	// Reserved are kept for certain Services, and held by none.
	Reserved int `json:"reserved"`
	// Withheld are those of Nodes and gateways, and the ends of subnets, which nobody is given.
	Withheld int `json:"withheld"`
}

// ServiceState says in one word how a Service stands.
type ServiceState string

// The states of a Service.
const (
	// Assigned: it has every address that it needs.
	Assigned ServiceState = "assigned"
	// Waiting: it lacks one, and Reason and Message say why.
	Waiting ServiceState = "waiting"
	// Pending: it is decided what it gets, and that is not in its status yet.
	Pending ServiceState = "pending"
	// Undecided: nothing has been decided about it yet.
	Undecided ServiceState = "undecided"
)

// Service is a Service of type LoadBalancer.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Wants is what it asks for.
	Wants Wants `json:"wants"`
	// Addresses are those that it has.
	Addresses []Assignment `json:"addresses"`
	State     ServiceState `json:"state"`
	// Reason is the word of its condition and of the Event, like "Assigned" or "NoFreeAddress"; empty while undecided.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Since is when it got what it needs, or began to wait.
	Since time.Time `json:"since,omitzero"`
	// Conflict tells of strangers that answer for its addresses too; empty when there are none.
	Conflict string `json:"conflict,omitempty"`
}

// Wants is what a Service asks for. Empty fields mean any.
type Wants struct {
	// Families are "IPv4", "IPv6" or both, in the Service's order; Policy is its ipFamilyPolicy.
	Families []string `json:"families"`
	Policy   string   `json:"policy"`
	// Addresses and Pool are those that it requests.
	Addresses []string `json:"addresses,omitempty"`
	Pool      string   `json:"pool,omitempty"`
	// SharingKey is what Services that share an address have in common.
	SharingKey string `json:"sharingKey,omitempty"`
	// PreferNode is the node that should rather announce.
	PreferNode string `json:"preferNode,omitempty"`
	// TrafficPolicy is its externalTrafficPolicy.
	TrafficPolicy string `json:"trafficPolicy"`
}

// Assignment is an address and the pool that it is of; the pool is empty when no pool contains it any more.
type Assignment struct {
	Address string `json:"address"`
	Pool    string `json:"pool,omitempty"`
}

// HeldBack is an address of a pool that is not given.
type HeldBack struct {
	Address string `json:"address"`
	Pool    string `json:"pool"`
	// Why is what keeps it back.
	Why HeldBackWhy `json:"why"`
	// By is the Service that it rests for ("namespace/name"), the Node that has it or whose gateway it is, the stranger's MAC
	// address, or the object that claims it, with its kind ("Service shop/web").
	By string `json:"by"`
	// Until is when it stops resting.
	Until time.Time `json:"until,omitzero"`
}

// HeldBackWhy says why an address is not given.
type HeldBackWhy string

// What keeps an address back.
const (
	// Resting: a Service held it until a short while ago, and gets it back if it returns.
	Resting HeldBackWhy = "Resting"
	// Quarantine: a host that is no node answers for it.
	Quarantine HeldBackWhy = "Quarantine"
	// NodeAddress: it is an address of a Node.
	NodeAddress HeldBackWhy = "NodeAddress"
	// Gateway: it is a default gateway of a Node.
	Gateway HeldBackWhy = "Gateway"
	// Claimed: another object of the API server has it: a Service of another class, spec.externalIPs, an ExternalIP of a Node, or a
	// Gateway.
	Claimed HeldBackWhy = "Claimed"
)
