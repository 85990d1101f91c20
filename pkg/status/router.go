package status

import "time"

// Peer is a BGP session of a node with a router, or a session that the configuration asks for.
type Peer struct {
	// Name is the name of the peer in the configuration.
	Name string `json:"name"`
	// Router is the address of the router, with the port if it is not 179; empty while it is not known.
	Router string `json:"router,omitempty"`
	// Local is the address of this end; left out without a connection.
	Local string `json:"local,omitempty"`
	// LocalASN is the AS number of this end. RemoteASN is that of the router: the configured one, or what the router said.
	LocalASN  uint32 `json:"localASN"`
	RemoteASN uint32 `json:"remoteASN,omitempty"`
	// State is a state of RFC 4271, like "Established". Up is true for Established.
	State string `json:"state"`
	Up    bool   `json:"up"`
	// Since is when the session was established or lost.
	Since time.Time `json:"since,omitzero"`
	// Reason says in one word and Message in a sentence why the session is down.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// HoldTime is the negotiated hold time in seconds.
	HoldTime int `json:"holdTimeSeconds,omitempty"`
	// Announced counts the prefixes that the router was told, Wanted those that it should be told.
	Announced int `json:"announced"`
	Wanted    int `json:"wanted"`
	// Refused are the families, "IPv4" and "IPv6", that have prefixes to announce and that the router does not accept.
	Refused []string `json:"refused,omitempty"`
	// BFD is left out without a BFD session.
	BFD *BFD `json:"bfd,omitempty"`
	// Resets counts the losses of the session since the process started.
	Resets int `json:"resets,omitempty"`
}

// BFD is a BFD session.
type BFD struct {
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	// Interval is the transmit interval in use and Configured the one of the profile, Detection the time without packets
	// after which the session goes down, all in milliseconds.
	Interval   int `json:"intervalMilliseconds"`
	Configured int `json:"configuredMilliseconds"`
	Detection  int `json:"detectionMilliseconds"`
}

// Route is the decision of a node on one address of a pool with protocol bgp.
type Route struct {
	Address  string   `json:"address"`
	Services []string `json:"services"`
	// Prefixes are the prefixes announced for the address, like "192.0.2.1/32"; empty when the node announces none.
	Prefixes []string `json:"prefixes"`
	// Peers are the names of the peers that the node announces the address to.
	Peers []string `json:"peers"`
	// Told are the names of those Peers whose session is up and that were told all prefixes of the address.
	Told []string `json:"told"`
	// Reason is the word of a reason.Route, and Message says it in a sentence.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Exclusion is the word of the reason.Exclusion for which this node is not eligible; left out when it is eligible.
	Exclusion string `json:"exclusion,omitempty"`
	// Rank is the rank of the node among the eligible nodes, from 0; -1 when the node is not eligible.
	Rank int `json:"rank"`
}
