package status

import "time"

// Path is the finding of one speaker about the path from its node to an address of Services.
type Path struct {
	// Node is the name of the node that probed.
	Node    string `json:"node"`
	Address string `json:"address"`
	// Holds is true when the node answers for the address itself, and so cannot probe the way that clients take.
	Holds bool `json:"holds,omitempty"`
	// Problem explains why the node has not probed; empty otherwise.
	Problem string `json:"problem,omitempty"`
	// Stations lists the hosts that answered ARP or NDP for the address, in the order of their answers.
	Stations []Station `json:"stations"`
	// Ping is true when the speaker of the answering host answered a ping from the address, and so packets from the
	// address reach this node. NoPing is true when no speaker answers pings in this cluster (layer2: ping: false).
	Ping   bool `json:"ping"`
	NoPing bool `json:"noPing,omitempty"`
	// Probes lists the result for each host that answered and each TCP port.
	Probes []PathProbe `json:"probes"`
}

// Station is a host that answered ARP or NDP.
type Station struct {
	MAC string `json:"mac"`
	// Node is empty when MAC belongs to no node.
	Node      string `json:"node,omitempty"`
	Interface string `json:"interface"`
	// After is the time to the answer in microseconds.
	After int64 `json:"afterMicroseconds"`
}

// PathProbe is the result of a probe of one TCP port through one host.
type PathProbe struct {
	// Service is "namespace/name".
	Service string `json:"service"`
	Port    uint16 `json:"port"`
	// Through is the MAC address of the probed host, and Node its node, if any.
	Through string `json:"through"`
	Node    string `json:"node,omitempty"`
	// Result is "open", "refused", "unreachable" or "silent"; empty when the port was not probed, and Problem explains
	// why.
	Result  string `json:"result,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Cause refines Result "unreachable": "port", "host", "prohibited" or "other".
	Cause string `json:"cause,omitempty"`
	// Type and Code identify the ICMP error, and From is the address of the sender of the error.
	Type uint8  `json:"type,omitempty"`
	Code uint8  `json:"code,omitempty"`
	From string `json:"from,omitempty"`
	// By names the node that the answer came from, if it is another node than Node.
	By string `json:"by,omitempty"`
	// Redirected is true when the host has sent the packet back to the segment: no rule on the host forwards it.
	Redirected bool `json:"redirected,omitempty"`
	// After is the time to the answer in microseconds.
	After int64 `json:"afterMicroseconds,omitempty"`
	// Source is the address that the probe came from. ShutOut is true when loadBalancerSourceRanges do not contain
	// Source.
	Source  string `json:"source,omitempty"`
	ShutOut bool   `json:"shutOut,omitempty"`
}

// The results of a LastProbe besides those of a PathProbe.
const (
	// ProbeOpen is the result of a path that works.
	ProbeOpen = "open"
	// ProbeUnanswered means that no host answered ARP or NDP for the address.
	ProbeUnanswered = "unanswered"
)

// LastProbe is the result of the last probe of the path from a speaker's node to an address that another node answers
// for (layer2: path-probe).
type LastProbe struct {
	Address string    `json:"address"`
	At      time.Time `json:"at"`
	// Node is the node that the probe went through, empty if no node answered, and Port the TCP port.
	Node string `json:"node,omitempty"`
	Port uint16 `json:"port"`
	// Result is a result of a PathProbe, or ProbeUnanswered. After is the time to the answer in microseconds.
	Result string `json:"result"`
	After  int64  `json:"afterMicroseconds,omitempty"`
	// Ping, NoPing and Details are as in Path, for a result other than ProbeOpen.
	Ping    bool       `json:"ping,omitempty"`
	NoPing  bool       `json:"noPing,omitempty"`
	Details *PathProbe `json:"details,omitempty"`
}

// Failed reports whether the probe has found a broken path. Silence proves nothing where loadBalancerSourceRanges shut
// out the prober.
func (p *LastProbe) Failed() bool {
	shutOut := p.Details != nil && p.Details.ShutOut && p.Result == "silent"
	return p.Result != "" && p.Result != ProbeOpen && !shutOut
}
