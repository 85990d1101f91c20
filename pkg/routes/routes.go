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
	// Addresses are all addresses of managed Services in pools with protocol bgp, sorted by address.
	Addresses []Address
}

// Peer is a peer with the routes for it.
type Peer struct {
	// Config is the peer of the configuration.
	Config *config.Peer
	// Routes are sorted by prefix, each once.
	Routes []Route
}

// Route is a prefix with its attributes.
type Route struct {
	Prefix           netip.Prefix
	MED              uint32
	HasMED           bool
	LocalPref        uint32
	Prepend          int
	Communities      []uint32
	LargeCommunities []config.LargeCommunity
	// Addrs are the addresses for which the prefix is announced, sorted; at least one.
	Addrs []netip.Addr
}

// Address is the decision on one address.
type Address struct {
	Addr     netip.Addr
	Services []cluster.Key
	// Reason is reason.Routed when this node announces the address to at least one peer.
	Reason reason.Route
	// Detail explains the reason in a sentence; empty for reason.Routed.
	Detail string
	// Exclusion is why this node is not eligible; reason.Eligible unless Reason is reason.NodeNotEligible.
	Exclusion reason.Exclusion
	// Peers are the names of the peers that the address is announced to, in the order of the configuration.
	Peers []string
	// Rank is the rank of this node among the eligible nodes, from 0; -1 when the node is not eligible.
	Rank int
}
