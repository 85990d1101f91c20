package soak

import (
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// Rules are the faults of an environment, and the longest permitted times of other states there.
type Rules struct {
	Faults []fault.Rule
	// Dark and Overlap have the meaning of those of a fault.Rule, for the time without a fault.
	Dark, Overlap time.Duration
	// Settling is the time after the end of a fault in which the fault may still be the cause of a state.
	Settling time.Duration
	// Serving is added to the longest time without an owner: requests to an address may fail for the sum.
	Serving time.Duration
	// Leftover is the longest time in which a node answers for an address that no Service has any more. Straying is the
	// longest time in which a node answers for an address that only another node may have now; the node goes on until
	// the other node answers.
	Leftover, Straying time.Duration
	// Relearn is the time after the end of a blinding fault in which the fault is an excuse. A fault that lasted longer
	// is an excuse for as long as the fault lasted.
	Relearn time.Duration
	// Reprogram is the time after the end of a blinding fault in which nodes may not forward to Services that came during
	// the fault. After a fault with fault.Unwired, nodes may not forward to any Service for that time.
	Reprogram time.Duration
	// The longest waits of a Service for an address: Quickly while a controller works, Successor from the end of a fault
	// during which no controller worked, and LongestWait in any case.
	Quickly, Successor, LongestWait time.Duration
	// Punctuality is the longest delay of a fault that waits for the end of other faults. A fault with a longer delay is
	// left out. Zero sets no limit.
	Punctuality time.Duration
	// Rest is the longest time until the cluster is at rest, before the first fault and after the last.
	Rest time.Duration
}

// Of returns the rule of a kind, and that of no fault for any other.
func (r Rules) Of(k fault.Kind) fault.Rule {
	for _, rule := range r.Faults {
		if rule.Kind == k {
			return rule
		}
	}
	return fault.Rule{Kind: k, Dark: r.Dark, Overlap: r.Overlap}
}

// Kinds returns all kinds of faults.
func (r Rules) Kinds() []fault.Kind {
	kinds := make([]fault.Kind, len(r.Faults))
	for i, rule := range r.Faults {
		kinds[i] = rule.Kind
	}
	return kinds
}

// namespaceRules are the rules in network namespaces.
func namespaceRules() Rules {
	const e = fault.Namespaces
	return Rules{
		Faults: e.Rules(), Dark: e.Time(fault.Prompt), Overlap: e.Time(fault.Handover), Settling: 10 * time.Second,
		Leftover: 2 * time.Second, Straying: e.Time(fault.Detected),
		// A refused client asks again after up to 12 s, and TCP after the time without an answer.
		Relearn: 15 * time.Second,
		// A killed controller has the Lease for 5 s.
		Quickly: 10 * time.Second, Successor: 30 * time.Second, LongestWait: 90 * time.Second,
		Rest: 90 * time.Second,
	}
}
