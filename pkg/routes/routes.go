package routes

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Table is the decision for one node.
type Table struct {
	// Peers are the peers of this node, in the order of the configuration. A peer whose node selectors do not fit the node
	// is not among them.
	Peers []Peer
	// Addresses are all addresses of managed Services, sorted by address, without those in a pool that is for layer 2
	// only. Empty when no pool has the protocol bgp.
	Addresses []Address
}

// Peer is a peer with the routes for it.
type Peer struct {
	// Config is the peer of the configuration.
	Config *config.Peer
	// Routes are sorted by prefix, each once. Peers with equal routes share the slice, so the caller must not change it.
	Routes []Route
}

// Route is a prefix with its attributes.
type Route struct {
	Prefix netip.Prefix
	// MED is the MULTI_EXIT_DISC (RFC 4271, 5.1.4); HasMED is false for a route without one.
	MED    uint32
	HasMED bool
	// LocalPref is the LOCAL_PREF for iBGP peers.
	LocalPref uint32
	// Prepend is the number of additional local AS numbers in the AS_PATH to an eBGP peer, 0 to 10.
	Prepend int
	// Communities and LargeCommunities are sorted, each once.
	Communities      []uint32
	LargeCommunities []config.LargeCommunity
	// Addrs are the addresses for which the prefix is announced, sorted; at least one.
	Addrs []netip.Addr
}

// Address is the decision on one address.
type Address struct {
	Addr     netip.Addr
	Services []cluster.Key
	// Reason is reason.Routed when this node announces the address to at least one peer and may go on. While the node
	// shuts down, Reason says why, and Peers names the peers that still have the routes.
	Reason reason.Route
	// Detail explains the reason in a sentence; empty for reason.Routed.
	Detail string
	// Exclusion is why this node is not eligible; reason.Eligible unless Reason is reason.NodeNotEligible.
	Exclusion reason.Exclusion
	// Peers are the names of the peers that the address is announced to, in the order of the configuration.
	Peers []string
	// Rank is the rank of this node among the nodes that announce the address, from 0; -1 when the node is none of them.
	// In a pool without spread all of them are equal and have rank 0; where nodes with endpoints go first, the others
	// have rank 1.
	Rank int
}
