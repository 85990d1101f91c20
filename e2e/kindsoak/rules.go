package kindsoak

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/soak"
)

const (
	// prompt is for what no client should notice, on two cores that have four nodes on them.
	prompt = 3 * time.Second
	// detected is for what must be noticed first.
	detected = 8 * time.Second
	// heard is for two owners that hear of each other again.
	heard = 5 * time.Second
	// handover is how long the new owner and the old one may both answer while an address moves.
	handover = time.Second
	// lost are the effects of whatever takes a node away altogether.
	lost = soak.Away | soak.Gone | soak.Blind
)

// rules are those of the faults in the cluster.
func rules() soak.Rules {
	return soak.Rules{
		Faults: slices.Concat(nodeFaults(), speakerFaults(), apiFaults(), controllerFaults()),
		Dark:   prompt, Overlap: handover, Settling: 15 * time.Second,
		Serving:  3 * time.Second,
		Leftover: 5 * time.Second, Straying: detected,
		// Watches come back after up to 30 s when their connections were lost without a word.
		Relearn: 30 * time.Second,
		// kube-proxy asks again after up to a minute: client-go's backoff of 30 s, with as much again by chance.
		Reprogram: 75 * time.Second,
		Quickly:   20 * time.Second, Successor: 45 * time.Second, LongestWait: 10 * time.Minute,
		Punctuality: 30 * time.Second,
		Rest:        3 * time.Minute,
	}
}

func nodeFaults() []soak.Rule {
	return []soak.Rule{
		{
			Kind: "node-pause", About: "all processes of a node stand still, and go on; its kernel forwards",
			Scope: soak.Node, Shortest: 3 * time.Second, Longest: 15 * time.Second, Recovery: 5 * time.Second,
			Dark: detected, Overlap: heard, Effects: lost | soak.Idle,
		},
		{
			Kind: "node-kill", About: "a node's container is killed, and started again",
			Scope: soak.Process, Shortest: 3 * time.Second, Longest: 15 * time.Second, Recovery: 20 * time.Second,
			Dark: detected, Overlap: heard, Effects: lost | soak.Idle | soak.Unwired,
		},
		{
			Kind: "node-network", About: "a node's interface is taken away, and given back",
			Scope: soak.Node, Shortest: 3 * time.Second, Longest: 15 * time.Second, Recovery: 15 * time.Second,
			Dark: detected, Overlap: heard, Effects: lost | soak.Idle | soak.Unwired,
		},
		{
			Kind: "node-cut", About: "a node is cut off from the network, with a carrier",
			Scope: soak.Node, Shortest: 3 * time.Second, Longest: 15 * time.Second, Recovery: 10 * time.Second,
			Dark: detected, Overlap: heard, Effects: lost | soak.Idle,
		},
		{
			Kind: "drain", About: "a node is cordoned and drained, and uncordoned",
			Scope: soak.Node, Shortest: 3 * time.Second, Longest: 12 * time.Second, Recovery: 10 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Idle,
		},
	}
}

func speakerFaults() []soak.Rule {
	return []soak.Rule{
		{
			Kind: "speaker-kill", About: "a speaker is killed; the kubelet starts it again",
			Scope: soak.Process, Shortest: time.Second, Longest: time.Second, Recovery: 15 * time.Second,
			Dark: detected, Overlap: handover, Effects: soak.Away | soak.Gone,
		},
		{
			Kind: "speaker-pause", About: "a speaker hangs (SIGSTOP), and goes on",
			Scope: soak.Node, Shortest: time.Second, Longest: 12 * time.Second, Recovery: 5 * time.Second,
			Dark: detected, Overlap: heard, Effects: lost,
		},
		{
			Kind: "speaker-delete", About: "a speaker's pod is deleted; the DaemonSet makes another",
			Scope: soak.Process, Shortest: time.Second, Longest: time.Second, Recovery: 12 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Away | soak.Gone,
		},
		{
			Kind: "rollout", About: "kubectl rollout restart of the DaemonSet",
			Scope: soak.Cluster, Shortest: time.Second, Longest: time.Second, Recovery: 30 * time.Second, Every: 4,
			Dark: prompt, Overlap: handover, Effects: soak.Everywhere,
		},
	}
}

func apiFaults() []soak.Rule {
	return []soak.Rule{
		{
			Kind: "api-node", About: "a node is cut off from the API server",
			Scope: soak.API, Shortest: 3 * time.Second, Longest: 20 * time.Second, Recovery: 10 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Blind | soak.Idle | soak.Single,
		},
		{
			Kind: "api-kill", About: "the API server is killed; the kubelet starts it again",
			Scope: soak.API, Shortest: time.Second, Longest: time.Second, Recovery: 30 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Blind | soak.Idle,
		},
		{
			Kind: "keys", About: "the gossip keys are exchanged, in three steps",
			Scope: soak.API, Shortest: 12 * time.Second, Longest: 12 * time.Second,
			Dark: prompt, Overlap: handover,
		},
		{
			Kind: "config", About: "the ConfigMap changes in what takes nobody's address, and back",
			Scope: soak.API, Shortest: 2 * time.Second, Longest: 10 * time.Second,
			Dark: prompt, Overlap: handover,
		},
		{
			Kind: "config-bad", About: "the ConfigMap is broken, and mended",
			Scope: soak.API, Shortest: 2 * time.Second, Longest: 10 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Idle,
		},
	}
}

func controllerFaults() []soak.Rule {
	return []soak.Rule{
		{
			Kind: "controller-kill", About: "the controller is killed; the kubelet starts it again",
			Scope: soak.Controller, Shortest: time.Second, Longest: time.Second, Recovery: 15 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Idle,
		},
		{
			Kind: "controller-delete", About: "the controller's pod is deleted; the Deployment makes another",
			Scope: soak.Controller, Shortest: time.Second, Longest: time.Second, Recovery: 15 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Idle,
		},
		{
			Kind: "controller-rollout", About: "kubectl rollout restart of the Deployment",
			Scope: soak.Controller, Shortest: time.Second, Longest: time.Second, Recovery: 15 * time.Second,
			Dark: prompt, Overlap: handover, Effects: soak.Idle,
		},
	}
}
