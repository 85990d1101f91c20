package speaker

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
)

// defaultFailback is the failback delay without a configuration.
const defaultFailback = time.Minute

// self is what this node knows about itself.
type self struct {
	opt *Options
	// state is what the others know. lacks says what keeps this node from being ready.
	state membership.State
	lacks []string
	// changed is when state became what it is; ready is when this node, or the process before this one, became ready.
	changed, ready time.Time
	// settled, informed and leaving are those of ownership.Self.
	settled, informed, leaving bool
	// config is the configuration in use, nil for none.
	config *config.Config
	// stalls is the number of stalls of this process after which its addresses were suspended.
	stalls uint64
	// kernel are the addresses that the kernel has, sorted.
	kernel []netip.Addr
	// report is what this node said of itself last, as far as the other members can see it.
	report membership.Report
}

func newSelf(o *Options) *self {
	// The process before this one answers for what this one inherits: a stall before now concerns nothing.
	return &self{opt: o, stalls: o.Announcer.Standstills(), ready: o.Predecessor.Since}
}

// assess works out the state of this node.
func (s *self) assess(now time.Time) {
	s.settled, s.informed = s.opt.Peers.Settled(), s.opt.Informed()
	s.kernel = s.opt.Announcer.KernelAddrs()
	s.lacks = s.lacking()
	state := membership.Joining
	switch {
	case s.leaving:
		state = membership.Leaving
	case len(s.lacks) == 0:
		state = membership.Ready
	}
	if state != s.state {
		s.opt.Log.Info("state of this speaker", "state", state, "was", s.state)
		s.state, s.changed = state, now
	}
	if state == membership.Ready && s.ready.IsZero() {
		s.ready = now
	}
}

// leave makes this node leave.
func (s *self) leave() { s.leaving = true }

// stalled reports whether this process was stalled since the last call, and returns the number of stalls.
func (s *self) stalled() (stalls uint64, is bool) {
	stalls = s.opt.Announcer.Standstills()
	is = stalls != s.stalls
	s.stalls = stalls
	return stalls, is
}

// lacking returns what keeps this node from being ready, nil for nothing.
func (s *self) lacking() (lacks []string) {
	if !s.opt.Announcer.Ready() {
		lacks = append(lacks, "no socket is open on any interface yet")
	}
	if s.opt.Predecessor.Succeeds {
		return lacks // the process before this one has waited for the rest
	}
	if !s.settled {
		lacks = append(lacks, "the speakers of the other nodes have not been reached by gossip yet")
	}
	if !s.opt.Forwards() {
		lacks = append(lacks, "kube-proxy has no rules on this node yet")
	}
	return lacks
}

func (s *self) kernelHas(a netip.Addr) bool {
	_, has := slices.BinarySearchFunc(s.kernel, a, netip.Addr.Compare)
	return has
}

// facts returns what an address needs to know of this node.
func (s *self) facts() ownership.Self {
	return ownership.Self{
		Name: s.opt.Self, Ready: s.ready, Settled: s.settled, Configured: s.config != nil, Informed: s.informed, Leaving: s.leaving,
	}
}

// failback returns the failback delay in force.
func (s *self) failback() ownership.Failback {
	if s.config == nil {
		return ownership.Failback{Delay: defaultFailback}
	}
	return ownership.Failback{Delay: s.config.Layer2.Failback, Never: s.config.Layer2.Failback == config.FailbackNever}
}

// configure passes to the announcer what the configuration says about it. Without a valid one the announcer keeps its settings.
func (s *self) configure(cfg *config.Config) {
	if cfg == s.config {
		return
	}
	if s.config = cfg; cfg == nil {
		return
	}
	var ranges []layer2.Range
	for _, pool := range cfg.Pools {
		for _, r := range pool.Ranges {
			ranges = append(ranges, layer2.Range(r))
		}
	}
	refresh := cfg.Layer2.Refresh
	if refresh == 0 {
		refresh = -1 // 0 means never in the configuration, and the default in the announcer
	}
	s.opt.Announcer.SetRanges(ranges)
	s.opt.Announcer.SetRefresh(refresh)
	s.opt.Announcer.SetRate(cfg.Layer2.Rate)
	s.opt.Announcer.SetPing(cfg.Layer2.Ping)
}

// member returns this node as the other members see it, so that it decides from the same values as they do. owns reports whether this node
// has an address and means to keep it.
func (s *self) member(addrs addressSet) membership.Member {
	r := membership.Fit(s.describe(addrs))
	return membership.Member{Name: s.opt.Self, State: s.state, Since: r.Since, Configured: r.Configured, Links: r.Links, MACs: r.MACs}
}

// describe returns what this node says of itself.
func (s *self) describe(addrs addressSet) membership.Report {
	links := s.links(addrs)
	r := membership.Report{State: s.state, Since: s.ready, Configured: s.config != nil, Links: links}
	for _, mac := range s.opt.Announcer.MACs() {
		if !slices.ContainsFunc(links, func(link membership.Link) bool { return link.MAC == membership.MAC(mac) }) {
			r.MACs = append(r.MACs, membership.MAC(mac))
		}
	}
	return r
}

// tell tells the others of this node when that has changed, or is the first time.
func (s *self) tell(addrs addressSet, first bool) {
	r := s.describe(addrs)
	seen := membership.Fit(r)
	if !first && equalReports(seen, s.report) {
		return
	}
	s.report = seen
	if err := s.opt.Peers.SetState(r); err != nil {
		s.opt.Log.Error("the other speakers cannot be told of this one", "err", err)
	}
}

func equalReports(x, y membership.Report) bool {
	return x.State == y.State && x.Since.Equal(y.Since) && x.Configured == y.Configured &&
		slices.EqualFunc(x.Links, y.Links, membership.Link.Equal) && slices.Equal(x.MACs, y.MACs)
}

// links returns the interfaces that are up, the most important first: those in a subnet with addresses of a pool, then the others by name.
// Each names an address that the other nodes can probe to see that this node lives; it stays the same while this node answers for it.
func (s *self) links(addrs addressSet) []membership.Link {
	var links []membership.Link
	list := s.opt.Announcer.Interfaces()
	for _, i := range list {
		if !i.Up {
			continue
		}
		link := membership.Link{Name: i.Name, MAC: membership.MAC(i.MAC)}
		for _, p := range i.Prefixes {
			link.Subnets = append(link.Subnets, p.Masked())
		}
		slices.SortFunc(link.Subnets, netip.Prefix.Compare)
		link.Subnets = slices.Compact(link.Subnets)
		link.Beacon = s.probeAddress(i, list, addrs)
		links = append(links, link)
	}
	slices.SortFunc(links, func(x, y membership.Link) int {
		return cmp.Or(cmp.Compare(importance(s.config, y), importance(s.config, x)), strings.Compare(x.Name, y.Name))
	})
	return links
}

// importance is greater for a link that other nodes must know about: one with a subnet that has addresses of a pool.
func importance(cfg *config.Config, link membership.Link) int {
	if cfg == nil {
		return 0
	}
	for _, pool := range cfg.Pools {
		for _, r := range pool.Ranges {
			if slices.ContainsFunc(link.Subnets, func(p netip.Prefix) bool { return overlap(p, r) }) {
				return 1
			}
		}
	}
	return 0
}

// overlap reports whether the subnet and the range have an address in common.
func overlap(p netip.Prefix, r config.Range) bool {
	return p.Contains(r.From) || p.Contains(r.To) ||
		r.From.BitLen() == p.Addr().BitLen() && r.From.Compare(p.Addr()) <= 0 && p.Addr().Compare(r.To) <= 0
}

// probeAddress returns an address that this node answers for on i, invalid if there is none: the one that it named last, else the lowest.
func (s *self) probeAddress(i layer2.Interface, list []layer2.Interface, addrs addressSet) (lowest netip.Addr) {
	shared := func(a netip.Addr) bool {
		return slices.ContainsFunc(list, func(o layer2.Interface) bool { return o.Index != i.Index && o.Holds(a) })
	}
	answers := func(a netip.Addr) bool {
		if !addrs.owns(a) || !i.Holds(a) {
			return false
		}
		return !shared(a) || slices.Contains(s.opt.Announcer.Serving(a, nil), i.Name) // the other interface stands by
	}
	for _, old := range s.report.Links {
		if old.Name == i.Name && answers(old.Beacon) {
			return old.Beacon
		}
	}
	for a := range addrs {
		if (!lowest.IsValid() || a.Less(lowest)) && answers(a) {
			lowest = a
		}
	}
	return lowest
}
