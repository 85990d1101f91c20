package status

import "time"

// Peer describes a BGP session of a node with a router, or a configured session that does not run yet.
type Peer struct {
	// Name is the name of the peer in the configuration.
	Name string `json:"name"`
	// Router is the address of the router, with the port if the port is not 179; empty while the address is unknown.
	Router string `json:"router,omitempty"`
	// Local is the local address of the session; left out without a connection.
	Local string `json:"local,omitempty"`
	// LocalASN is the local AS number. RemoteASN is the AS number of the router, from the configuration or from the
	// router.
	LocalASN  uint32 `json:"localASN"`
	RemoteASN uint32 `json:"remoteASN,omitempty"`
	// State is a state of RFC 4271, like "Established". Up is true for Established.
	State string `json:"state"`
	Up    bool   `json:"up"`
	// Since is the time at which the session was established or lost.
	Since time.Time `json:"since,omitzero"`
	// Reason and Message explain, as a word and as a sentence, why the session is down.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// HoldTime is the negotiated hold time in seconds.
	HoldTime int `json:"holdTimeSeconds,omitempty"`
	// Announced counts the prefixes sent to the router, and Wanted the prefixes that the router should have.
	Announced int `json:"announced"`
	Wanted    int `json:"wanted"`
	// Refused lists the families ("IPv4", "IPv6") that have prefixes to announce and that the router does not accept.
	Refused []string `json:"refused,omitempty"`
	// BFD is left out without a BFD session.
	BFD *BFD `json:"bfd,omitempty"`
	// Resets counts the losses of the session since the process started.
	Resets int `json:"resets,omitempty"`
}

// BFD describes a BFD session.
type BFD struct {
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	// Interval is the transmit interval in use, and Configured the interval of the profile. Detection is the time
	// without packets after which the session goes down. All are in milliseconds.
	Interval   int `json:"intervalMilliseconds"`
	Configured int `json:"configuredMilliseconds"`
	Detection  int `json:"detectionMilliseconds"`
}

// Route describes the decision of a node about one address of a pool with protocol bgp.
type Route struct {
	Address  string   `json:"address"`
	Services []string `json:"services"`
	// Prefixes are the prefixes announced for the address, like "192.0.2.1/32"; empty when the node announces none.
	Prefixes []string `json:"prefixes"`
	// Peers are the names of the peers to which the node announces the address.
	Peers []string `json:"peers"`
	// Told are the names of the Peers with an established session that have received all prefixes of the address.
	Told []string `json:"told"`
	// Reason is the word of a reason.Route. Message is the same as a sentence.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Exclusion is the word of the reason.Exclusion that makes this node ineligible; left out for an eligible node.
	Exclusion string `json:"exclusion,omitempty"`
	// Rank is the rank of the node among the eligible nodes, from 0; -1 for an ineligible node.
	Rank int `json:"rank"`
}
