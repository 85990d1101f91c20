package config

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Peer is one entry of peers: one router, or, for a gateway or an interface, one router for each node.
type Peer struct {
	// Name identifies the peer in advertisements, metrics, Events and status. Default: the peer-address or the
	// peer-interface, with the port unless the port is 179, and with a suffix "#2", "#3", ... if another peer has the
	// same name.
	Name string
	// LocalASN is my-asn, 1 to 4294967295 (RFC 6793).
	LocalASN uint32
	// RemoteASN is the peer-asn; 0 when RemoteAS is not RemoteExact.
	RemoteASN uint32
	RemoteAS  RemoteAS
	// Address is the peer-address. Address is not valid when Gateway is true or Interface is set. A link-local address
	// may have a zone.
	Address netip.Addr
	// Gateway means the default gateways of each node, with one session for each family in which the node has a
	// gateway.
	Gateway bool
	// Interface is the name or the pattern (path.Match) of the interfaces with an unnumbered session. The peer is the
	// router that sends router advertisements on the interface (RFC 8950, RFC 4861).
	Interface string
	// Port is 1 to 65535. Default 179.
	Port uint16
	// SourceAddress is the local address of the session; not valid if the kernel chooses the address.
	SourceAddress netip.Addr
	// SourceInterface is the name of the interface that provides the local address; empty if the kernel chooses the
	// address.
	SourceInterface string
	// RouterID is the BGP identifier, an IPv4 address; not valid for the node's own identifier.
	RouterID netip.Addr
	// HoldTime is 0, or 3 s to 65535 s, in whole seconds. Default 90 s. KeepaliveTime is 0 with a HoldTime of 0, else 1
	// s to HoldTime. Default a third of HoldTime.
	HoldTime, KeepaliveTime time.Duration
	// Password is the TCP MD5 password (RFC 2385), at most 80 bytes; empty for none, and when PasswordSecret is set. No
	// verb of fmt and no JSON shows the password.
	Password string `json:"-"`
	// PasswordSecret names the Secret with the password and the key in the Secret; the zero value for none. The Secret
	// is in the namespace of the ConfigMap.
	PasswordSecret SecretKey
	// NodeSelectors chooses the nodes with the session: the nodes that match a selector. Empty for all nodes.
	NodeSelectors []labels.Selector
	// BFD is the profile of the BFD session; nil for none.
	BFD *BFDProfile
	// Multihop means that an eBGP peer may be more than one hop away.
	Multihop bool
	// TTLSecurity is the greatest number of hops to the peer (RFC 5082), 1 to 254; 0 turns the check off.
	TTLSecurity int
	// GracefulRestart is the time for which the peer keeps the routes of a crashed speaker (RFC 4724), 1 s to 4095 s; 0
	// turns graceful restart off. Default 15 s with a BFD profile, else 0.
	GracefulRestart time.Duration
	// AddressPools lists the names of the pools announced to the peer, sorted; empty for all pools.
	AddressPools []string
}

// SecretKey names a key of a Secret.
type SecretKey struct{ Secret, Key string }

// RemoteAS classifies the accepted AS numbers of a peer.
type RemoteAS uint8

const (
	// RemoteExact accepts RemoteASN only.
	RemoteExact RemoteAS = iota
	// RemoteExternal accepts every number except LocalASN.
	RemoteExternal
	// RemoteInternal accepts LocalASN only.
	RemoteInternal
)

// String returns the word of the ConfigMap for RemoteExternal and RemoteInternal, else "exact".
func (r RemoteAS) String() string { return [...]string{"exact", "external", "internal"}[r] }

// BFDProfile is one entry of bfd-profiles.
type BFDProfile struct {
	Name string
	// ReceiveInterval and TransmitInterval are 10 ms to 60 s. Default 300 ms.
	ReceiveInterval, TransmitInterval time.Duration
	// DetectMultiplier is 2 to 255. Default 3.
	DetectMultiplier int
	// Passive means that the session sends nothing before the peer does (RFC 5880, section 6.1).
	Passive bool
	// MinimumTTL is the least TTL of a received packet of a multihop session (RFC 5883), 1 to 254. Default 254.
	MinimumTTL int
}

// Advertisement is one entry of bgp-advertisements.
type Advertisement struct {
	// AggregationLength and AggregationLengthV6 are the lengths of the announced prefixes, in bits. Default 32 and 128.
	AggregationLength, AggregationLengthV6 int
	// LocalPref is the LOCAL_PREF sent to iBGP peers. Default 0 when the key is missing.
	LocalPref uint32
	// Communities holds standard communities (RFC 1997), sorted, without duplicates.
	Communities []uint32
	// LargeCommunities holds large communities (RFC 8092), sorted, without duplicates.
	LargeCommunities []LargeCommunity
	// Peers lists names of peers, sorted; empty for all peers.
	Peers []string
	// NodeSelectors chooses the nodes that announce; empty for all nodes.
	NodeSelectors []labels.Selector
	// ServiceSelectors chooses the Services with announced addresses; empty for all Services.
	ServiceSelectors []labels.Selector
	// MED is the MULTI_EXIT_DISC (RFC 4271, 5.1.4); HasMED is false when the key is missing.
	MED    uint32
	HasMED bool
	// Prepend is the number of additional copies of LocalASN in the AS_PATH to an eBGP peer, 0 to 10.
	Prepend int
}

// LargeCommunity is a large community (RFC 8092): the global administrator and two local parts.
type LargeCommunity [3]uint32

// BGP holds the top-level key bgp.
type BGP struct {
	// Drain is the time for which routes carry the community GRACEFUL_SHUTDOWN (RFC 8326) before a stopping node
	// withdraws the routes: 0 to 10 s. Default 2 s.
	Drain time.Duration
}
