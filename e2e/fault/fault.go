package fault

import "time"

// Kind is the name of a fault.
type Kind string

// Scope is the part of a cluster that a fault happens to. Two faults of one scope do not happen at the same time.
type Scope int

const (
	// Node: one node, its speaker, or its links.
	Node Scope = iota + 1
	// Process: the speaker of one node, which is another process afterwards. The speaker of the first node is spared, so
	// that its memory can be watched for the whole time.
	Process
	// API: the way of all processes to the API server, or the API server.
	API
	// Controller: the processes of the controller.
	Controller
	// Cluster: all nodes.
	Cluster
	// Scopes is greater than all scopes.
	Scopes
)

// String returns the word for a table.
func (s Scope) String() string {
	return [Scopes]string{Node: "node", Process: "speaker", API: "API server", Controller: "controller", Cluster: "cluster"}[s]
}

// Effect is a set of the effects of a fault on nodes and controllers.
type Effect uint

const (
	// Away: the node is of little or no use to its clients, so that other nodes are to take over.
	Away Effect = 1 << iota
	// Gone: the node is of no use at all, so that an address which no other node may have has no owner.
	Gone
	// Blind: the node, or every node, does not hear of changes in the API server, or does not act on them.
	Blind
	// Idle: no controller reaches the API server, has the Lease and knows the configuration.
	Idle
	// Single: the fault happens to one node, although its scope is larger.
	Single
	// Unwired: the pod network creates the node's routes to pods again afterwards, and no program waits for these routes.
	Unwired
	// Anew: the fault happens to one node, although its scope is larger, and the node's speaker is another process
	// afterwards.
	Anew
	// Everywhere: the speakers of all nodes are other processes afterwards.
	Everywhere
)

// Bound names the longest permitted time of a state. The times are those of an Environment.
type Bound int

const (
	// Prompt is for an address without an owner, where no client should notice the fault.
	Prompt Bound = iota + 1
	// Detected is for an address without an owner, until the other nodes notice the fault.
	Detected
	// Handover is for the old and the new owner of an address that moves: both may answer.
	Handover
	// Heard is for two owners that did not hear each other, or did not run.
	Heard
)

// Environment is a test environment for faults.
type Environment int

const (
	// Measured: network namespaces, in which one fault at a time happens to the owner of an address (package wire).
	Measured Environment = iota
	// Namespaces: network namespaces, in which random faults happen (package soak).
	Namespaces
	// OnKind: a kind cluster, in which random faults happen (package kindsoak).
	OnKind
)

// Entry describes a fault.
type Entry struct {
	Kind  Kind
	About string
	Scope Scope
	// Dark is the bound for addresses without an owner, Overlap the bound for two owners.
	Dark, Overlap Bound
	Effects       Effect
	// In has the environments with the fault.
	In map[Environment]Terms
}

// Terms are the properties of a fault in one environment.
type Terms struct {
	// Shortest and Longest are the limits of the duration.
	Shortest, Longest time.Duration
	// Recovery is the time after the end in which the broken part usually becomes ready again.
	Recovery time.Duration
	// Every is greater than 1 for a fault that happens only once while each other fault happens so often.
	Every int
	// Also are effects in addition to those of the Entry.
	Also Effect
	// Scope and Overlap replace those of the Entry. Zero keeps them.
	Scope   Scope
	Overlap Bound
	// How adds to the description of the Entry.
	How string
}

// lasts returns the terms of a fault that lasts so many seconds.
func lasts(shortest, longest time.Duration) Terms {
	return Terms{Shortest: shortest * time.Second, Longest: longest * time.Second}
}

func (t Terms) recovers(seconds time.Duration) Terms {
	t.Recovery = seconds * time.Second
	return t
}

func (t Terms) also(e Effect) Terms    { t.Also = e; return t }
func (t Terms) overlaps(b Bound) Terms { t.Overlap = b; return t }
func (t Terms) hits(s Scope) Terms     { t.Scope = s; return t }
func (t Terms) every(times int) Terms  { t.Every = times; return t }
func (t Terms) how(text string) Terms  { t.How = text; return t }

// Rule is an Entry in one environment, with the times of that environment.
type Rule struct {
	Kind              Kind
	Scope             Scope
	Shortest, Longest time.Duration
	Recovery          time.Duration
	Every             int
	// Dark and Overlap are the longest times for which an address may have no owner, or two owners, during the fault and
	// some time after the fault. The times are for a shared machine, far above what is promised and observed.
	Dark, Overlap time.Duration
	Effects       Effect
}

// Has reports whether a fault has an effect.
func (r Rule) Has(e Effect) bool { return r.Effects&e != 0 }

// Time returns the time of a bound in an environment.
func (e Environment) Time(b Bound) time.Duration {
	times := map[Bound]time.Duration{
		Prompt: 1500 * time.Millisecond, Detected: 5 * time.Second, Handover: 500 * time.Millisecond, Heard: 3 * time.Second,
	}
	if e == OnKind { // four nodes share two cores
		times = map[Bound]time.Duration{
			Prompt: 3 * time.Second, Detected: 8 * time.Second, Handover: time.Second, Heard: 5 * time.Second,
		}
	}
	return times[b]
}

// Rules returns the faults of an environment, in the order of the catalogue.
func (e Environment) Rules() (rules []Rule) {
	for _, entry := range Catalogue() {
		if terms, ok := entry.In[e]; ok {
			rules = append(rules, entry.rule(e, terms))
		}
	}
	return rules
}

func (f Entry) rule(e Environment, t Terms) Rule {
	if t.Scope == 0 {
		t.Scope = f.Scope
	}
	if t.Overlap == 0 {
		t.Overlap = f.Overlap
	}
	return Rule{
		Kind: f.Kind, Scope: t.Scope, Shortest: t.Shortest, Longest: t.Longest, Recovery: t.Recovery, Every: t.Every,
		Dark: e.Time(f.Dark), Overlap: e.Time(t.Overlap), Effects: f.Effects | t.Also,
	}
}
