package soak

import "time"

const (
	// prompt is for what no client should notice.
	prompt = 1500 * time.Millisecond
	// detected is for what must be noticed first.
	detected = 5 * time.Second
	// heard is for two owners that hear of each other again.
	heard = 3 * time.Second
	// handover is how long the new owner and the old one may both answer while an address moves.
	handover = 500 * time.Millisecond
)

// namespaceRules are those of the faults in namespaces.
func namespaceRules() Rules {
	return Rules{
		Faults: namespaceFaults(), Dark: prompt, Overlap: handover, Settling: 10 * time.Second,
		Leftover: 2 * time.Second, Straying: detected,
		// Who was refused asks again after up to 12 s, and TCP after the time for which it was not answered.
		Relearn: 15 * time.Second,
		// A controller that was killed has a Lease for 5 s.
		Quickly: 10 * time.Second, Successor: 30 * time.Second, LongestWait: 90 * time.Second,
		Rest: 90 * time.Second,
	}
}

// namespaceFaults are all kinds. Two owners are allowed for longer than a handover only where hosts did not hear each other, or were
// not running.
func namespaceFaults() (faults []Rule) {
	for _, r := range []struct {
		kind                             Kind
		about                            string
		scope                            Scope
		shortest, longest, dark, overlap time.Duration
		effects                          Effect
	}{
		{"crash", "a node loses power, and comes back", Process, 3 * time.Second, 12 * time.Second, detected, handover, Away | Gone},
		{"kill", "a speaker is killed, and started again", Process, 1 * time.Second, 8 * time.Second, detected, handover, Away | Gone},
		{"stop", "a speaker is told to stop, and started again", Process, 1 * time.Second, 8 * time.Second, prompt, handover, Away | Gone},
		{"rollout", "a second speaker follows the first on its node", Process, 1 * time.Second, 2 * time.Second, prompt, handover, 0},
		{"pause", "a speaker hangs (SIGSTOP), and goes on", Node, 1 * time.Second, 12 * time.Second, detected, heard, Away | Gone | Blind},
		{"gossip", "a node is cut off from gossip", Node, 2 * time.Second, 15 * time.Second, prompt, handover, 0},
		{"lan", "a node is cut off from the LAN, with a carrier", Node, 2 * time.Second, 15 * time.Second, detected, heard, Away | Gone},
		{"both", "a node is cut off from the LAN and gossip", Node, 2 * time.Second, 15 * time.Second, detected, heard, Away | Gone},
		{"flap", "a node's link to the LAN loses its carrier every second", Node, 2 * time.Second, 6 * time.Second, detected, heard, Away | Gone},
		{"loss", "a node's LAN and gossip lose 20 % of the frames each way", Node, 4 * time.Second, 15 * time.Second, detected, heard, Away},
		{"delay", "a node's LAN and gossip delay frames by 20 to 60 ms each way", Node, 4 * time.Second, 15 * time.Second, detected, heard, Away},
		{"log-full", "a speaker starts with a full disk for its log (ENOSPC), and again without", Process, 4 * time.Second, 15 * time.Second, detected, handover, Away},
		{"log-stuck", "a speaker starts with a log that nobody reads, and again without", Process, 4 * time.Second, 15 * time.Second, detected, handover, Away},
		{"memory", "a speaker starts with a third of the memory it wants (GOMEMLIMIT), and again without", Process, 4 * time.Second, 15 * time.Second, detected, handover, Away},
		{"squeeze", "the cgroup of a speaker gets less memory than it uses: its program is reclaimed all the time", Process, 4 * time.Second, 12 * time.Second, detected, heard, Away | Gone | Blind},
		{"oom", "the kernel kills a speaker for want of memory in its cgroup, and it is started again", Process, 3 * time.Second, 8 * time.Second, detected, handover, Away | Gone},
		{"busy", "all CPUs are busy", Cluster, 4 * time.Second, 10 * time.Second, detected, heard, Blind | Idle},
		{"api-node", "a node is cut off from the API server", API, 3 * time.Second, 20 * time.Second, prompt, handover, Blind | Single},
		{"api-all", "all nodes are cut off from the API server", API, 3 * time.Second, 20 * time.Second, prompt, handover, Blind},
		{"api-restart", "the API server ends, and starts with the same data", API, 1 * time.Second, 8 * time.Second, prompt, handover, Blind | Idle},
		{"api-slow", "the API server takes 0.3 s for each request", API, 3 * time.Second, 15 * time.Second, prompt, handover, 0},
		{"api-429", "the API server refuses every second request (429)", API, 3 * time.Second, 15 * time.Second, prompt, handover, Idle},
		{"api-500", "the API server fails every second request (500)", API, 3 * time.Second, 15 * time.Second, prompt, handover, Idle},
		{"api-watch", "the API server ends all watches, every second", API, 2 * time.Second, 5 * time.Second, prompt, handover, Blind | Idle},
		{"api-gone", "the API server ends all watches and forgets the past (410)", API, 1 * time.Second, 3 * time.Second, prompt, handover, Blind | Idle},
		{"token", "the API server accepts only a new token, which is in the file", API, 1 * time.Second, 2 * time.Second, prompt, handover, Blind | Idle},
		{"certificate", "the API server ends, and starts with a certificate of a new authority, which is in the file", API, 1 * time.Second, 2 * time.Second, prompt, handover, Blind | Idle},
		{"keys", "the gossip keys are exchanged, in three steps", API, 12 * time.Second, 12 * time.Second, prompt, handover, 0},
		{"config-bad", "the ConfigMap is broken, and mended", API, 2 * time.Second, 10 * time.Second, prompt, handover, Idle},
		{"config", "the ConfigMap changes in what takes nobody's address, and back", API, 2 * time.Second, 10 * time.Second, prompt, handover, 0},
		{"config-restart", "the ConfigMap is broken or gone, a speaker is killed and started without it, and the ConfigMap is mended", API, 6 * time.Second, 12 * time.Second, detected, handover, Away | Idle | Anew},
		{"config-rollout", "the ConfigMap is broken or gone, and a second speaker follows the first on its node", API, 4 * time.Second, 10 * time.Second, prompt, handover, Idle | Anew},
		{"secret-gone", "the gossip Secret is deleted, and the controller makes another one", API, 2 * time.Second, 6 * time.Second, prompt, handover, 0},
		{"watch-points", "the API server ends the watches of one node every second, and has forgotten the past (410)", API, 3 * time.Second, 8 * time.Second, prompt, handover, Blind | Single},
		{"kernel-address", "a node's kernel gets an address of the pool, and a Service asks for it in vain", API, 10 * time.Second, 15 * time.Second, prompt, handover, Single},
		{"gossip-start", "a speaker is killed, and starts cut off from gossip", Process, 4 * time.Second, 15 * time.Second, detected, handover, Away},
		{"controller-kill", "the controller is killed, and started again", Controller, 1 * time.Second, 4 * time.Second, prompt, handover, Idle},
		{"controller-stop", "the controller is told to stop, and started again", Controller, 1 * time.Second, 4 * time.Second, prompt, handover, Idle},
		{"controller-two", "a second controller starts, and the first is killed", Controller, 3 * time.Second, 10 * time.Second, prompt, handover, Idle},
		{"controller-pause", "the controller hangs until a second one has its Lease, and goes on", Controller, 25 * time.Second, 30 * time.Second, prompt, handover, Idle},
	} {
		faults = append(faults, Rule{
			Kind: r.kind, About: r.about, Scope: r.scope, Shortest: r.shortest, Longest: r.longest, Dark: r.dark, Overlap: r.overlap, Effects: r.effects,
		})
	}
	return faults
}
