package config

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Config is a valid configuration. It is never changed after Parse has returned it.
type Config struct {
	// Pools are in the order in which addresses are taken from them: by Priority, of one
	// priority the Restricted ones first, then by Name.
	Pools []Pool
	// Warnings say what was accepted, but not as written, in the order of the document.
	Warnings []Problem
	// Allocation is the top-level key allocation.
	Allocation Allocation
	// Layer2 is the top-level key layer2.
	Layer2 Layer2
	// Peers are the entries of peers, in the order of the document, each with a name of its own.
	Peers []Peer
	// BGP is the top-level key bgp.
	BGP BGP

	// withdrawAll is true when the document says that it is meant to have no pool.
	withdrawAll bool
	index       index
}

// CheckPools returns a *Problems if the configuration has no pool and does not say that this is meant. Such a configuration
// would withdraw the address of every Service; most often a template has rendered to nothing. A process must not use it.
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
	// Priority is 1 for the pool that is used first, up to 1,000,000; 0 (not given) comes after all others.
	Priority int
	// Ranges are what addresses and exclude leave, ascending (IPv4 before IPv6) and disjoint. At least one.
	Ranges []Range
	// AutoAssign is false for a pool that is used only on request. Default true.
	AutoAssign bool
	// AvoidBuggyIPs leaves out the IPv4 addresses that end in .0 or .255.
	AvoidBuggyIPs bool
	// Disabled means that who has addresses of the pool keeps them, and nobody gets another one.
	Disabled bool
	// Namespaces and NamespaceSelectors say whose Services may use the pool: those of the namespaces that are named or
	// that one of the selectors fits. Both empty for all. Namespaces are sorted.
	Namespaces         []string
	NamespaceSelectors []labels.Selector
	// ServiceSelectors say which of these Services: those that one of the selectors fits. Empty for all.
	ServiceSelectors []labels.Selector
	// Reserve are the addresses that belong to certain Services alone, ascending. The pool Contains each.
	Reserve []Reservation
	// Quotas are the most addresses of the pool that a namespace may have, by namespace; under "" that of each one that
	// is not named. Without an entry there is no limit.
	Quotas map[string]int
	// SeparateNamespaces means that Services of different namespaces may not share an address of the pool. Default false.
	SeparateNamespaces bool
	// NodeSelectors choose the nodes that may announce: those that match one of them. Empty for all nodes.
	NodeSelectors []labels.Selector
	// PreferredNodes say which of these nodes should announce rather than others, in the order of the document; see
	// [Pool.Preference]. Empty to prefer none.
	PreferredNodes []PreferredNodes
	// Interfaces are names or patterns (path.Match) of the interfaces to announce on; empty for all that fit.
	Interfaces []string
	// Layer2 and BGP are the protocols of the pool. At least one is true.
	Layer2, BGP bool
	// Spread is the number of nodes, by rank in the election, that announce an address without an additional MED; 0 for
	// all nodes.
	Spread int
	// Advertisements are the entries of bgp-advertisements. A pool with BGP has at least one; without the key it has
	// the default: host routes to all peers.
	Advertisements []Advertisement
}

// PreferredNodes gives a weight to nodes.
type PreferredNodes struct {
	// Weight is 1 to 100.
	Weight int
	// Selector fits the labels of the nodes.
	Selector labels.Selector
}

// Reservation keeps an address for Services, whatever else the pool says of who may use it.
type Reservation struct {
	Addr netip.Addr
	// Services are those that may have the address, sorted. At least one.
	Services []ServiceName
}

// ServiceName names a Service.
type ServiceName struct{ Namespace, Name string }

// Range is all addresses from From to To, both included and of one family.
type Range struct{ From, To netip.Addr }

// Allocation is what the controller heeds.
type Allocation struct {
	// ReleaseDelay is how long a released address rests before another Service may have it, unless there is no other
	// one left. 0 turns resting off. Default 60 s, at most 24 h.
	ReleaseDelay time.Duration
	// AvoidNetworkAddresses keeps the network and the broadcast addresses of the nodes' subnets from being given. Default
	// true.
	AvoidNetworkAddresses bool
}

// Layer2 is what the speakers heed.
type Layer2 struct {
	// Refresh is how often each address is announced again while its owner keeps it: 10 s to 24 h, 0 for never. Default 90 s.
	Refresh time.Duration
	// Rate is how many frames a second may be sent on an interface to announce addresses: 10 to 1,000,000. Default 5,000.
	Rate int
	// Ping means that an announced address answers echo requests (ICMP and ICMPv6). Default true.
	Ping bool
	// Failback is how long a node waits before it takes an address back that another node answers for, and may go on
	// answering for: 0 to 24 h, or FailbackNever. Default 60 s.
	Failback time.Duration
	// MoveOnCordon means that the addresses leave a node that is cordoned. Default false.
	MoveOnCordon bool
}

// FailbackNever is the Layer2.Failback with which an address stays at the node that has it, as long as that node may
// have it.
const FailbackNever time.Duration = -1

// Problem is one thing wrong with a document, or worth a warning.
type Problem struct {
	// Line is the line of the document, from 1; 0 if it has none.
	Line int
	// Pool is the name of the pool, empty when the problem is in none or the pool has no name.
	Pool string
	// Path is the key's path, like "address-pools[0].addresses[1]".
	Path string
	// Message says what is wrong and what would be right.
	Message string
}
