package soak

import (
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// Rules are the faults of an environment, and the longest permitted times of other states there.
type Rules struct {
	Faults []fault.Rule
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
