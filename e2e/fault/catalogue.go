package fault

import "slices"

// Catalogue returns all faults. A schedule depends on their order.
func Catalogue() []Entry {
	return slices.Concat(speakers(), networks(), resources(), apis(), inputs(), controllers())
}

// speakers returns crashes, hangs and restarts of nodes and speakers.
func speakers() []Entry {
	return []Entry{
		{
			Kind: "crash", About: "a node loses power and comes back",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away | Gone,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(3, 12),
				OnKind: lasts(3, 15).recovers(20).also(Blind | Idle | Unwired).overlaps(Heard).
					how("the container of the node is killed and started"),
			},
		},
		{
			Kind: "kill", About: "a speaker is killed and started again",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away | Gone,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(1, 8),
				OnKind:     lasts(1, 1).recovers(15).how("the kubelet starts the speaker"),
			},
		},
		{
			Kind: "stop", About: "a speaker is told to stop and started again",
			Scope: Process, Dark: Prompt, Overlap: Handover, Effects: Away | Gone,
			In: map[Environment]Terms{
				Measured:   lasts(3, 3),
				Namespaces: lasts(1, 8),
				OnKind:     lasts(1, 1).recovers(12).how("the pod is deleted, and the DaemonSet creates another one"),
			},
		},
		{
			Kind: "return", About: "a speaker that was stopped comes back",
			Scope: Process, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Measured: lasts(4, 4),
			},
		},
		{
			Kind: "rollout", About: "a second speaker follows the first",
			Scope: Process, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 2).how("on one node"),
				OnKind: lasts(1, 1).recovers(30).also(Everywhere).hits(Cluster).every(4).
					how("on all nodes, by kubectl rollout restart"),
			},
		},
		{
			Kind: "pause", About: "a speaker hangs (SIGSTOP) and continues",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away | Gone | Blind,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(1, 12),
				OnKind:     lasts(1, 12).recovers(5),
			},
		},
		{
			Kind: "many", About: "the owner of about 700 addresses loses power",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away | Gone,
			In: map[Environment]Terms{
				Measured: lasts(4, 4),
			},
		},
		{
			Kind: "node-pause", About: "all processes of a node hang and continue; the kernel of the node forwards",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away | Gone | Blind | Idle,
			In: map[Environment]Terms{
				OnKind: lasts(3, 15).recovers(5),
			},
		},
		{
			Kind: "drain", About: "a node is cordoned and drained, and uncordoned",
			Scope: Node, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				OnKind: lasts(3, 12).recovers(10),
			},
		},
	}
}

// networks returns cut, lossy and slow links of a node.
func networks() []Entry {
	return []Entry{
		{
			Kind: "gossip", About: "a node is cut off from gossip",
			Scope: Node, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(2, 15),
			},
		},
		{
			Kind: "lan", About: "a node is cut off from the LAN; the link keeps its carrier",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away | Gone,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(2, 15),
			},
		},
		{
			Kind: "both", About: "a node is cut off from the LAN and gossip; the links keep their carrier",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away | Gone,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(2, 15),
				OnKind:     lasts(3, 15).recovers(10).also(Blind | Idle).how("and from the API server, which is in the same network"),
			},
		},
		{
			Kind: "flap", About: "a node's link to the LAN loses its carrier every second",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away | Gone,
			In: map[Environment]Terms{
				Namespaces: lasts(2, 6),
			},
		},
		{
			Kind: "loss", About: "a node's LAN and gossip lose 20 % of the frames each way",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 15),
			},
		},
		{
			Kind: "delay", About: "a node's LAN and gossip delay frames by 20 to 60 ms each way",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 15),
			},
		},
		{
			Kind: "node-network", About: "the interface of a node is removed and comes back",
			Scope: Node, Dark: Detected, Overlap: Heard, Effects: Away | Gone | Blind | Idle | Unwired,
			In: map[Environment]Terms{
				OnKind: lasts(3, 15).recovers(15),
			},
		},
	}
}

// resources returns processes without CPU time, memory or a log.
func resources() []Entry {
	return []Entry{
		{
			Kind: "log-full", About: "a speaker starts with a full disk for its log (ENOSPC), and again without",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 15),
			},
		},
		{
			Kind: "log-stuck", About: "a speaker starts with a log without a reader, and again without",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 15),
			},
		},
		{
			Kind:  "memory",
			About: "a speaker starts with a third of the memory that the speaker wants (GOMEMLIMIT), and again without",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 15),
			},
		},
		{
			Kind:  "squeeze",
			About: "the cgroup of a speaker gets less memory than the speaker uses, so that the kernel reclaims its program all the time",
			Scope: Process, Dark: Detected, Overlap: Heard, Effects: Away | Gone | Blind,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 12),
			},
		},
		{
			Kind:  "oom",
			About: "the kernel kills a speaker because the cgroup has no memory left, and the speaker is started again",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away | Gone,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 8),
			},
		},
		{
			Kind: "busy", About: "all CPUs are busy",
			Scope: Cluster, Dark: Detected, Overlap: Heard, Effects: Blind | Idle,
			In: map[Environment]Terms{
				Measured:   lasts(8, 8),
				Namespaces: lasts(4, 10),
			},
		},
	}
}

// apis returns an API server that is away, slow, or refuses requests.
func apis() []Entry {
	return []Entry{
		{
			Kind: "api-node", About: "a node is cut off from the API server",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Single,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 20),
				OnKind:     lasts(3, 20).recovers(10).also(Idle),
			},
		},
		{
			Kind: "api-all", About: "all nodes are cut off from the API server",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind,
			In: map[Environment]Terms{
				Measured:   lasts(4, 4),
				Namespaces: lasts(3, 20),
			},
		},
		{
			Kind: "api-restart", About: "the API server ends and starts with the same data",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 8),
				OnKind:     lasts(1, 1).recovers(30).how("the API server is killed, and the kubelet starts it"),
			},
		},
		{
			Kind: "api-slow", About: "the API server takes 0.3 s for each request",
			Scope: API, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 15),
			},
		},
		{
			Kind: "api-429", About: "the API server refuses every second request (429)",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 15),
			},
		},
		{
			Kind: "api-500", About: "the API server fails every second request (500)",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 15),
			},
		},
		{
			Kind: "api-watch", About: "the API server ends all watches, every second",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(2, 5),
			},
		},
		{
			Kind: "api-gone", About: "the API server ends all watches and forgets the past (410)",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 3),
			},
		},
		{
			Kind: "token", About: "the API server accepts only a new token, which is in the file",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 2),
			},
		},
		{
			Kind:  "certificate",
			About: "the API server ends and starts with a certificate of a new authority, which is in the file",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 2),
			},
		},
	}
}

// inputs returns changes of the configuration, the gossip keys and other inputs of the nodes.
func inputs() []Entry {
	return []Entry{
		{
			Kind: "keys", About: "the gossip keys are exchanged, in three steps",
			Scope: API, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Namespaces: lasts(12, 12),
				OnKind:     lasts(12, 12),
			},
		},
		{
			Kind: "config-bad", About: "the ConfigMap is broken and fixed",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(2, 10),
				OnKind:     lasts(2, 10),
			},
		},
		{
			Kind: "config", About: "the ConfigMap changes without an effect on addresses, and back",
			Scope: API, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Namespaces: lasts(2, 10),
				OnKind:     lasts(2, 10),
			},
		},
		{
			Kind:  "config-restart",
			About: "the ConfigMap is broken or gone, a speaker is killed and started without it, and the ConfigMap is fixed",
			Scope: API, Dark: Detected, Overlap: Handover, Effects: Away | Idle | Anew,
			In: map[Environment]Terms{
				Namespaces: lasts(6, 12),
			},
		},
		{
			Kind:  "config-rollout",
			About: "the ConfigMap is broken or gone, and a second speaker follows the first on its node",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Idle | Anew,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 10),
			},
		},
		{
			Kind: "secret-gone", About: "the gossip Secret is deleted, and the controller creates another one",
			Scope: API, Dark: Prompt, Overlap: Handover,
			In: map[Environment]Terms{
				Namespaces: lasts(2, 6),
			},
		},
		{
			Kind:  "watch-points",
			About: "the API server ends the watches of one node every second and has forgotten the past (410)",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Blind | Single,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 8),
			},
		},
		{
			Kind:  "kernel-address",
			About: "a node's kernel gets an address of the pool, and a Service asks for the address without success",
			Scope: API, Dark: Prompt, Overlap: Handover, Effects: Single,
			In: map[Environment]Terms{
				Namespaces: lasts(10, 15),
			},
		},
		{
			Kind: "gossip-start", About: "a speaker is killed and starts cut off from gossip",
			Scope: Process, Dark: Detected, Overlap: Handover, Effects: Away,
			In: map[Environment]Terms{
				Namespaces: lasts(4, 15),
			},
		},
	}
}

// controllers returns crashes, hangs and restarts of the controller.
func controllers() []Entry {
	return []Entry{
		{
			Kind: "controller-kill", About: "the controller is killed and started again",
			Scope: Controller, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 4),
				OnKind:     lasts(1, 1).recovers(15).how("the kubelet starts the controller"),
			},
		},
		{
			Kind: "controller-stop", About: "the controller is told to stop and started again",
			Scope: Controller, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(1, 4),
				OnKind:     lasts(1, 1).recovers(15).how("the pod is deleted, and the Deployment creates another one"),
			},
		},
		{
			Kind: "controller-two", About: "a second controller starts, and the first is killed",
			Scope: Controller, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(3, 10),
			},
		},
		{
			Kind: "controller-pause", About: "the controller hangs until a second one has its Lease, and continues",
			Scope: Controller, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				Namespaces: lasts(25, 30),
			},
		},
		{
			Kind: "controller-rollout", About: "a second controller starts, and the first is told to stop",
			Scope: Controller, Dark: Prompt, Overlap: Handover, Effects: Idle,
			In: map[Environment]Terms{
				OnKind: lasts(1, 1).recovers(15),
			},
		},
	}
}
