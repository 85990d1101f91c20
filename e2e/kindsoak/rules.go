package kindsoak

import (
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/soak"
)

// rules are the rules on the cluster.
func rules() soak.Rules {
	const e = fault.OnKind
	return soak.Rules{
		Faults: e.Rules(), Dark: e.Time(fault.Prompt), Overlap: e.Time(fault.Handover), Settling: 15 * time.Second,
		Serving:  3 * time.Second,
		Leftover: 5 * time.Second, Straying: e.Time(fault.Detected),
		// Watches come back after up to 30 s when their connections were lost without a word.
		Relearn: 30 * time.Second,
		// kube-proxy asks again after up to a minute: client-go's backoff of 30 s, with as much again by chance.
		Reprogram: 75 * time.Second,
		Quickly:   20 * time.Second, Successor: 45 * time.Second, LongestWait: 10 * time.Minute,
		Punctuality: 30 * time.Second,
		Rest:        3 * time.Minute,
	}
}
