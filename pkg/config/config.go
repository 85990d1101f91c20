package config

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Config is a valid configuration. No code changes a Config after Parse has returned the Config.
type Config struct {
	// Pools is in the order in which the allocator tries the pools: by Priority, then Restricted pools first, then by
	// Name.
	Pools []Pool
	// Warnings lists the accepted parts of the document that have another meaning than written, or no effect, in the
	// order of the document.
	Warnings []Problem
	// Allocation holds the top-level key allocation.
	Allocation Allocation
	// Layer2 holds the top-level key layer2.
	Layer2 Layer2
	// Peers holds the entries of peers, in the order of the document. Each peer has a different name.
	Peers []Peer
	// BGP holds the top-level key bgp.
	BGP BGP
	// AnnounceClasses lists the load-balancer classes of the Services that get their addresses from other controllers,
	// sorted. Lanlord announces these addresses and writes nothing to the Services. The empty class means Services
	// without a class.
	AnnounceClasses []string

	// Past lists the configurations with addresses that stay for a withdraw-delay, the newest first. Parse leaves Past
	// empty.
	Past []Past

	// withdrawAll is true when the document declares that an empty list of pools is intended.
	withdrawAll bool
	index       index
}

// CheckPools returns a *Problems if the configuration has no pool and the document does not declare the empty list as
// intended. Such a configuration would withdraw the address of every Service; the usual cause is a template that
// renders to nothing. A process must not use such a configuration.
func (c *Config) CheckPools() error {
	if len(c.Pools) > 0 || c.withdrawAll {
		return nil
	}
	return &Problems{List: []Problem{{Line: 1, Path: "address-pools", Message: "there is no pool, which would withdraw the address " +
		"of every Service; add a pool, or write address-pools: [] and allocation: {withdraw-all: true} to withdraw all addresses"}}}
}

// Pool is one entry of address-pools.
type Pool struct {
	// Name is any non-empty text.
	Name string
	// Priority is 1 for the pool to use first, up to 1,000,000; 0 (not given) comes after all others.
	Priority int
	// Ranges holds the addresses under addresses without the addresses under exclude, ascending (IPv4 before IPv6) and
	// disjoint. At least one range.
	Ranges []Range
	// AutoAssign is false for a pool that gives addresses only on request. Default true.
	AutoAssign bool
	// AvoidBuggyIPs leaves out the IPv4 addresses that end in .0 or .255.
	AvoidBuggyIPs bool
	// Disabled means that Services keep their addresses of the pool, and no Service gets a further address.
	Disabled bool
	// Namespaces and NamespaceSelectors choose the namespaces with access to the pool: the namespaces in the list, and
	// the namespaces that match a selector. Both are empty for all namespaces. Namespaces is sorted.
	Namespaces         []string
	NamespaceSelectors []labels.Selector
	// ServiceSelectors restricts the access to Services that match a selector. Empty for all Services.
	ServiceSelectors []labels.Selector
	// Reserve lists the addresses reserved for certain Services, ascending. The pool Contains each address.
	Reserve []Reservation
	// Quotas maps a namespace to the greatest number of addresses of the pool for the namespace. The key "" stands for
	// each namespace without an entry. Without either entry, no limit applies.
	Quotas map[string]int
	// SeparateNamespaces means that Services of different namespaces may not share an address of the pool. Default
	// false.
	SeparateNamespaces bool
	// NodeSelectors chooses the nodes that may announce: the nodes that match a selector. Empty for all nodes.
	NodeSelectors []labels.Selector
	// PreferredNodes gives some of these nodes preference for announcing, in the order of the document; see
	// [Pool.Preference]. Empty for no preference.
	PreferredNodes []PreferredNodes
	// Interfaces lists names or patterns (path.Match) of the interfaces for announcements; empty for all suitable
	// interfaces.
	Interfaces []string
	// FromEndpoints means that nodes with a ready endpoint of the Service have preference for announcing, unless the
	// Service's own annotation sets another preference. Default false.
	FromEndpoints bool
	// UseExcluded gives the protocols for which nodes with the label
	// node.kubernetes.io/exclude-from-external-load-balancers may announce.
	UseExcluded Use
	// Layer2 and BGP give the protocols of the pool. At least one is true.
	Layer2, BGP bool
	// Spread is the number of nodes, by rank in the election, that announce an address without an additional MED; 0 for
	// all nodes.
	Spread int
	// Advertisements holds the entries of bgp-advertisements. A pool with BGP has at least one; without the key, the
	// pool has the default: host routes to all peers.
	Advertisements []Advertisement
}

// Use gives the protocols to which a permission applies.
type Use struct{ Layer2, BGP bool }

// PreferredNodes gives a weight to nodes.
type PreferredNodes struct {
	// Weight is 1 to 100.
	Weight int
	// Selector matches the labels of the nodes.
	Selector labels.Selector
}

// Reservation keeps an address for certain Services, without regard to the access rules of the pool.
type Reservation struct {
	Addr netip.Addr
	// Services lists the Services that may have the address, sorted. At least one.
	Services []ServiceName
}

// ServiceName names a Service.
type ServiceName struct{ Namespace, Name string }

// Range contains all addresses from From to To, both included and of one family.
type Range struct{ From, To netip.Addr }

// Allocation holds the settings of the controller.
type Allocation struct {
	// ReleaseDelay is the cool-down of a released address: another Service may have the address only after the delay,
	// or when no other address is left. 0 turns the cool-down off. Default 60 s, at most 24 h.
	ReleaseDelay time.Duration
	// AvoidNetworkAddresses excludes the network and the broadcast addresses of the nodes' subnets from assignment.
	// Default true.
	AvoidNetworkAddresses bool
	// AllowNodeAddresses means that Services may have the InternalIPs and ExternalIPs of Nodes. Lanlord does not
	// announce such an address, because the kernel of the node answers. Default false.
	AllowNodeAddresses bool
	// WithdrawDelay is the time for which a Service keeps an address that a new configuration no longer gives to the
	// Service: 0 to 24 h. Default 0. WithdrawDelayGiven is true when the document has the key; see
	// [Config.WithdrawDelayAfter].
	WithdrawDelay      time.Duration
	WithdrawDelayGiven bool
}

// Layer2 holds the settings for announcements by ARP and NDP.
type Layer2 struct {
	// Refresh is the interval of repeated announcements of an address by its owner: 10 s to 24 h, 0 for never. Default
	// 90 s.
	Refresh time.Duration
	// Rate limits the frames for announcements on an interface, in frames per second: 10 to 1,000,000. Default 5,000.
	Rate int
	// Ping means that an announced address answers echo requests (ICMP and ICMPv6). Default true.
	Ping bool
	// Failback is the delay before a node takes an address back from another node that answers for the address and may
	// go on answering: 0 to 24 h, or FailbackNever. Default 60 s.
	Failback time.Duration
	// MoveOnCordon means that the addresses move away from a cordoned node. Default false.
	MoveOnCordon bool
	// PathProbe is the period in which nodes probe the paths to the addresses of other nodes: 10 s to 24 h, 0 for never.
	// The period grows with the number of addresses, see docs/path.md. Default 0.
	PathProbe time.Duration
}

// FailbackNever is the Layer2.Failback that leaves an address at its present node, as long as the node may have the
// address.
const FailbackNever time.Duration = -1

// Problem is an error in a document, or a reason for a warning.
type Problem struct {
	// Line is the line of the document, from 1; 0 for no line.
	Line int
	// Pool is the name of the pool; empty for a problem outside of pools, or in a pool without a name.
	Pool string
	// Path is the key's path, like "address-pools[0].addresses[1]".
	Path string
	// Message names the error and the fix.
	Message string
}
