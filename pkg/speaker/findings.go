package speaker

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/pathprobe"
)

const (
	// A round of a probe for another member asks provingRound questions. In the first second the questions are
	// proofInterval apart and a round takes provingWait, because the rules of most service proxies come within a second.
	// Afterwards the questions are lateInterval apart and a round takes lateWait.
	provingRound   = 6
	proofInterval  = 50 * time.Millisecond
	provingWait    = 400 * time.Millisecond
	lateInterval   = 200 * time.Millisecond
	lateWait       = 1200 * time.Millisecond
	provingEagerly = time.Second
	// comparing is the time for a probe of the path through the present owner of an address.
	comparing = 500 * time.Millisecond
)

// provingOptions returns the options of the next round of a probe that began some time ago.
func provingOptions(ctx context.Context, ago time.Duration) pathprobe.Options {
	o := pathprobe.Options{Questions: provingRound, Interval: proofInterval, Wait: provingWait, Certain: true}
	if ago > provingEagerly {
		o.Interval, o.Wait = lateInterval, lateWait
	}
	if until, ok := ctx.Deadline(); ok {
		o.Wait = max(min(o.Wait, time.Until(until)), time.Millisecond)
	}
	return o
}

// answered reports whether the packets of a probe have reached a Pod.
func answered(f layer2.PathFinding) bool {
	return f.Outcome == pathprobe.Open || f.Outcome == pathprobe.Refused
}

// lacksRules reports whether the station has no rules for the Service, as far as this node can tell: the station sends
// the packets back to the segment, or nothing comes. A rejection comes from a service proxy or a firewall.
func lacksRules(f layer2.PathFinding, service *cluster.Service) bool {
	switch f.Outcome {
	case pathprobe.Silent:
		return f.Redirected || admits(service, f.Source)
	case pathprobe.Unreachable:
		return f.HostUnreachable()
	}
	return false
}

// admits reports whether the source ranges of a Service include an address.
func admits(s *cluster.Service, a netip.Addr) bool {
	return len(s.SourceRanges) == 0 ||
		slices.ContainsFunc(s.SourceRanges, func(r netip.Prefix) bool { return r.Contains(a) })
}
