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
	effects       effect
}

// effect is what else a fault does, beside what its bounds say.
type effect uint

const (
	// away: the node is no use to its clients, or hardly any, so that others are to take over.
	away effect = 1 << iota
	// gone: it is none at all, so that an address which no other node may have has no owner.
	gone
	// blind: the node, or every node, does not hear of what is written to the API server, or does not act on it.
	blind
	// idle: there is no controller that reaches the API server, has the Lease and knows the configuration.
	idle
)

func (r rule) has(e effect) bool { return r.effects&e != 0 }

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
	{"crash", "a node loses power, and comes back", process, 3 * time.Second, 12 * time.Second, detected, handover, away | gone},
	{"kill", "a speaker is killed, and started again", process, 1 * time.Second, 8 * time.Second, detected, handover, away | gone},
	{"stop", "a speaker is told to stop, and started again", process, 1 * time.Second, 8 * time.Second, prompt, handover, away | gone},
	{"rollout", "a second speaker follows the first on its node", process, 1 * time.Second, 2 * time.Second, prompt, handover, 0},
	{"pause", "a speaker hangs (SIGSTOP), and goes on", node, 1 * time.Second, 12 * time.Second, detected, heard, away | gone | blind},
	{"gossip", "a node is cut off from gossip", node, 2 * time.Second, 15 * time.Second, prompt, handover, 0},
	{"lan", "a node is cut off from the LAN, with a carrier", node, 2 * time.Second, 15 * time.Second, detected, heard, away | gone},
	{"both", "a node is cut off from the LAN and gossip", node, 2 * time.Second, 15 * time.Second, detected, heard, away | gone},
	{"flap", "a node's link to the LAN loses its carrier every second", node, 2 * time.Second, 6 * time.Second, detected, heard, away | gone},
	{"loss", "a node's LAN and gossip lose 20 % of the frames each way", node, 4 * time.Second, 15 * time.Second, detected, heard, away},
	{"delay", "a node's LAN and gossip delay frames by 20 to 60 ms each way", node, 4 * time.Second, 15 * time.Second, detected, heard, away},
	{"log-full", "a speaker starts with a full disk for its log (ENOSPC), and again without", process, 4 * time.Second, 15 * time.Second, detected, handover, away},
	{"log-stuck", "a speaker starts with a log that nobody reads, and again without", process, 4 * time.Second, 15 * time.Second, detected, handover, away},
	{"memory", "a speaker starts with a third of the memory it wants (GOMEMLIMIT), and again without", process, 4 * time.Second, 15 * time.Second, detected, handover, away},
	{"squeeze", "the cgroup of a speaker gets less memory than it uses: its program is reclaimed all the time", process, 4 * time.Second, 12 * time.Second, detected, heard, away | gone | blind},
	{"oom", "the kernel kills a speaker for want of memory in its cgroup, and it is started again", process, 3 * time.Second, 8 * time.Second, detected, handover, away | gone},
	{"busy", "all CPUs are busy", cluster, 4 * time.Second, 10 * time.Second, detected, heard, blind | idle},
	{"api-node", "a node is cut off from the API server", api, 3 * time.Second, 20 * time.Second, prompt, handover, blind},
	{"api-all", "all nodes are cut off from the API server", api, 3 * time.Second, 20 * time.Second, prompt, handover, blind},
	{"api-restart", "the API server ends, and starts with the same data", api, 1 * time.Second, 8 * time.Second, prompt, handover, blind | idle},
	{"api-slow", "the API server takes 0.3 s for each request", api, 3 * time.Second, 15 * time.Second, prompt, handover, 0},
	{"api-429", "the API server refuses every second request (429)", api, 3 * time.Second, 15 * time.Second, prompt, handover, idle},
	{"api-500", "the API server fails every second request (500)", api, 3 * time.Second, 15 * time.Second, prompt, handover, idle},
	{"api-watch", "the API server ends all watches, every second", api, 2 * time.Second, 5 * time.Second, prompt, handover, blind | idle},
	{"api-gone", "the API server ends all watches and forgets the past (410)", api, 1 * time.Second, 3 * time.Second, prompt, handover, blind | idle},
	{"token", "the API server accepts only a new token, which is in the file", api, 1 * time.Second, 2 * time.Second, prompt, handover, blind | idle},
	{"certificate", "the API server ends, and starts with a certificate of a new authority, which is in the file", api, 1 * time.Second, 2 * time.Second, prompt, handover, blind | idle},
	{"keys", "the gossip keys are exchanged, in three steps", api, 12 * time.Second, 12 * time.Second, prompt, handover, 0},
	{"config-bad", "the ConfigMap is broken, and mended", api, 2 * time.Second, 10 * time.Second, prompt, handover, idle},
	{"config", "the ConfigMap changes in what takes nobody's address, and back", api, 2 * time.Second, 10 * time.Second, prompt, handover, 0},
	{"controller-kill", "the controller is killed, and started again", controller, 1 * time.Second, 4 * time.Second, prompt, handover, idle},
	{"controller-stop", "the controller is told to stop, and started again", controller, 1 * time.Second, 4 * time.Second, prompt, handover, idle},
	{"controller-two", "a second controller starts, and the first is killed", controller, 3 * time.Second, 10 * time.Second, prompt, handover, idle},
	{"controller-pause", "the controller hangs until a second one has its Lease, and goes on", controller, 25 * time.Second, 30 * time.Second, prompt, handover, idle},
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
