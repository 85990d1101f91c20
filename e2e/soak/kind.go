package soak

import "time"

// Kind is a kind of fault.
type Kind string

// Scope is what a fault happens to.
type Scope int

const (
	// Node: one node, or its speaker or links, any node's.
	Node Scope = iota
	// Process: one node's speaker, which is another process afterwards. The first node's is spared, so that there is one
	// whose memory can be watched for the whole time.
	Process
	// API: all processes' way to the API server, or the server.
	API
	// Controller: the processes of the controller.
	Controller
	// Cluster: everybody.
	Cluster
)

// Rule is what is known of a kind of fault.
type Rule struct {
	Kind  Kind
	About string
	Scope Scope
	// Shortest and Longest are how long a fault lasts.
	Shortest, Longest time.Duration
	// Dark and Overlap are how long an address may have no owner, or two, while the fault lasts and for Settling after it:
	// bounds for a shared machine, far above what is promised and seen.
	Dark, Overlap time.Duration
	Effects       Effect
	// Recovery is how long after it what it broke is usually back, before which nothing is planned that needs it.
	Recovery time.Duration
	// Every says that it happens only once while all others happen so often; zero is as one.
	Every int
}

// Effect is what else a fault does, beside what its bounds say.
type Effect uint

const (
	// Away: the node is no use to its clients, or hardly any, so that others are to take over.
	Away Effect = 1 << iota
	// Gone: it is none at all, so that an address which no other node may have has no owner.
	Gone
	// Blind: the node, or every node, does not hear of what is written to the API server, or does not act on it.
	Blind
	// Idle: there is no controller that reaches the API server, has the Lease and knows the configuration.
	Idle
	// Single: it happens to one node, although that is not its scope.
	Single
	// Unwired: the node's way to pods is made anew afterwards, by others than Lanlord, who wait for nobody.
	Unwired
	// Anew: it happens to one node, although that is not its scope, and the node's speaker is another process afterwards.
	Anew
	// Everywhere: the speakers of all nodes are other processes afterwards.
	Everywhere
)

func (r Rule) has(e Effect) bool { return r.Effects&e != 0 }

// Rules are the kinds of faults that can happen somewhere, and how long what must not be may be there.
type Rules struct {
	Faults []Rule
	// Dark and Overlap are as a Rule's, where no fault is happening.
	Dark, Overlap time.Duration
	// Settling is how long after its end a fault may still be the reason for something.
	Settling time.Duration
	// Serving is how much longer than without an owner an address may be without an answer to requests.
	Serving time.Duration
	// Leftover is how long an address may still be answered for that is no Service's any more, and Straying how long by a node that may
	// not have it any more, which goes on until another one has it.
	Leftover, Straying time.Duration
	// Relearn is for how long after its end a blinding fault is an excuse, or for as long as it lasted if that is longer.
	Relearn time.Duration
	// Reprogram is how long after the end of a blinding fault nodes may not forward to a Service that they had not heard of, and after
	// that of one which unwires, to any.
	Reprogram time.Duration
	// Quickly is how long a Service may wait for its address while there is a controller, Successor how long from the end of a
	// fault on by which there was none, and LongestWait how long whatever happens.
	Quickly, Successor, LongestWait time.Duration
	// Punctuality is how late a fault may begin that has to wait for the end of others; one that is later is left out. Zero is for any.
	Punctuality time.Duration
	// Rest is how long the cluster may take to be at rest, before the first fault and after the last.
	Rest time.Duration
}

// Of returns the rule of a kind, and that of no fault for any other.
func (r Rules) Of(k Kind) Rule {
	for _, rule := range r.Faults {
		if rule.Kind == k {
			return rule
		}
	}
	return Rule{Kind: k, Dark: r.Dark, Overlap: r.Overlap}
}

// Kinds returns all kinds of faults.
func (r Rules) Kinds() []Kind {
	kinds := make([]Kind, len(r.Faults))
	for i, rule := range r.Faults {
		kinds[i] = rule.Kind
	}
	return kinds
}
