package soak

import "time"

// Kind is a kind of fault.
type Kind string

// scope is what a fault happens to.
type scope int

const (
	// node: one node's speaker or links, any node's.
	node scope = iota
	// process: one node's speaker, which is another process afterwards. The first node's is spared, so that there is one
	// whose memory can be watched for the whole time.
	process
	// api: all processes' way to the API server, or the server.
	api
	// controller: the processes of the controller.
	controller
	// cluster: everybody.
	cluster
)

// rule is what is known of a kind of fault.
type rule struct {
	kind  Kind
	about string
	scope scope
	// shortest and longest are how long a fault lasts.
	shortest, longest time.Duration
	// dark and overlap are how long an address may have no owner, or two, while the fault lasts and for [settling] after it:
	// bounds for a shared machine, far above what is promised and seen.
	dark, overlap time.Duration
	// away says that the node is no use to its clients, so that others are to take over.
	away bool
}

const (
	// prompt is for what no client should notice.
	prompt = 1500 * time.Millisecond
	// detected is for what must be noticed first.
	detected = 5 * time.Second
	// heard is for two owners that hear of each other again.
	heard = 3 * time.Second
	// handover is how long the new owner and the old one may both answer while an address moves.
	handover = 500 * time.Millisecond
	// settling is how long after its end a fault may still be the reason for something.
	settling = 10 * time.Second
)

// rules are all kinds. Two owners are allowed for longer than a handover only where hosts did not hear each other, or were
// not running.
var rules = []rule{
	{"crash", "a node loses power, and comes back", process, 3 * time.Second, 12 * time.Second, detected, handover, true},
	{"kill", "a speaker is killed, and started again", process, 1 * time.Second, 8 * time.Second, detected, handover, true},
	{"stop", "a speaker is told to stop, and started again", process, 1 * time.Second, 8 * time.Second, prompt, handover, true},
	{"rollout", "a second speaker follows the first on its node", process, 1 * time.Second, 2 * time.Second, prompt, handover, false},
	{"pause", "a speaker hangs (SIGSTOP), and goes on", node, 1 * time.Second, 12 * time.Second, detected, heard, true},
	{"gossip", "a node is cut off from gossip", node, 2 * time.Second, 15 * time.Second, prompt, handover, false},
	{"lan", "a node is cut off from the LAN, with a carrier", node, 2 * time.Second, 15 * time.Second, detected, heard, true},
	{"both", "a node is cut off from the LAN and gossip", node, 2 * time.Second, 15 * time.Second, detected, heard, true},
	{"flap", "a node's link to the LAN loses its carrier every second", node, 2 * time.Second, 6 * time.Second, detected, heard, true},
	{"loss", "a node's LAN and gossip lose 20 % of the frames each way", node, 4 * time.Second, 15 * time.Second, detected, heard, true},
	{"delay", "a node's LAN and gossip delay frames by 20 to 60 ms each way", node, 4 * time.Second, 15 * time.Second, detected, heard, true},
	{"log-full", "a speaker starts with a full disk for its log (ENOSPC), and again without", process, 4 * time.Second, 15 * time.Second, detected, handover, true},
	{"log-stuck", "a speaker starts with a log that nobody reads, and again without", process, 4 * time.Second, 15 * time.Second, detected, handover, true},
	{"memory", "a speaker starts with a third of the memory it wants (GOMEMLIMIT), and again without", process, 4 * time.Second, 15 * time.Second, detected, handover, true},
	{"busy", "all CPUs are busy", cluster, 4 * time.Second, 10 * time.Second, detected, heard, false},
	{"api-node", "a node is cut off from the API server", api, 3 * time.Second, 20 * time.Second, prompt, handover, false},
	{"api-all", "all nodes are cut off from the API server", api, 3 * time.Second, 20 * time.Second, prompt, handover, false},
	{"api-restart", "the API server ends, and starts with the same data", api, 1 * time.Second, 8 * time.Second, prompt, handover, false},
	{"api-slow", "the API server takes 0.3 s for each request", api, 3 * time.Second, 15 * time.Second, prompt, handover, false},
	{"api-429", "the API server refuses every second request (429)", api, 3 * time.Second, 15 * time.Second, prompt, handover, false},
	{"api-500", "the API server fails every second request (500)", api, 3 * time.Second, 15 * time.Second, prompt, handover, false},
	{"api-watch", "the API server ends all watches, every second", api, 2 * time.Second, 5 * time.Second, prompt, handover, false},
	{"api-gone", "the API server ends all watches and forgets the past (410)", api, 1 * time.Second, 3 * time.Second, prompt, handover, false},
	{"token", "the API server accepts only a new token, which is in the file", api, 1 * time.Second, 2 * time.Second, prompt, handover, false},
	{"keys", "the gossip keys are exchanged, in three steps", api, 12 * time.Second, 12 * time.Second, prompt, handover, false},
	{"config-bad", "the ConfigMap is broken, and mended", api, 2 * time.Second, 10 * time.Second, prompt, handover, false},
	{"config", "the ConfigMap changes in what takes nobody's address, and back", api, 2 * time.Second, 10 * time.Second, prompt, handover, false},
	{"controller-kill", "the controller is killed, and started again", controller, 1 * time.Second, 4 * time.Second, prompt, handover, false},
	{"controller-stop", "the controller is told to stop, and started again", controller, 1 * time.Second, 4 * time.Second, prompt, handover, false},
	{"controller-two", "a second controller starts, and the first is killed", controller, 3 * time.Second, 10 * time.Second, prompt, handover, false},
	{"controller-pause", "the controller hangs until a second one has its Lease, and goes on", controller, 25 * time.Second, 30 * time.Second, prompt, handover, false},
}

// ruleOf returns the rule of a kind, and that of no fault for any other.
func ruleOf(k Kind) rule {
	for _, r := range rules {
		if r.kind == k {
			return r
		}
	}
	return rule{kind: k, dark: prompt, overlap: handover}
}

// Kinds returns all kinds of faults.
func Kinds() []Kind {
	kinds := make([]Kind, len(rules))
	for i, r := range rules {
		kinds[i] = r.kind
	}
	return kinds
}
