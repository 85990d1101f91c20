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

// self holds the state of this node.
type self struct {
	opt *Options
	// state is the published state of this node. lacks lists the missing conditions for being ready.
	state membership.State
	lacks []string
	// changed is the time of the last change of state. ready is the time at which this process or the previous one
	// became ready.
	changed, ready time.Time
	// wasReady is true once this process was ready.
	wasReady bool
	// settled, informed and leaving have the meaning of the fields in ownership.Self.
	settled, informed, leaving bool
	// config is the configuration in use, nil for none.
	config *config.Config
	// stalls is the number of stalls after which this node has suspended its addresses.
	stalls uint64
	// kernel lists the addresses of the kernel, sorted.
	kernel []netip.Addr
	// told remembers what people were told of this node's network.
	told told
	// report is the last report of this node, reduced to the part visible to the other members.
	report membership.Report
}

func newSelf(o *Options) *self {
	// The previous process answers for the inherited addresses: stalls before now do not matter.
	return &self{opt: o, stalls: o.Announcer.Standstills(), ready: o.Predecessor.Since}
}

// assess computes the state of this node.
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
	s.wasReady = s.wasReady || state == membership.Ready
	if state == membership.Ready && s.ready.IsZero() {
		s.ready = now
	}
}

// leave starts the leaving of this node.
func (s *self) leave() { s.leaving = true }

// stalled reports whether this process was stalled since the last call, and returns the number of stalls.
func (s *self) stalled() (stalls uint64, is bool) {
	stalls = s.opt.Announcer.Standstills()
	is = stalls != s.stalls
	s.stalls = stalls
	return stalls, is
}

// lacking returns the missing conditions for being ready, nil for none.
func (s *self) lacking() (lacks []string) {
	if !s.opt.Announcer.Ready() {
		lacks = append(lacks, "no socket is open on any interface yet")
	}
	if s.opt.Predecessor.Succeeds {
		return lacks // the previous process has waited for the rest
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

// facts returns the inputs of the state machines about this node.
func (s *self) facts() ownership.Self {
	return ownership.Self{
		Name: s.opt.Self, Ready: s.ready, Settled: s.settled, Configured: s.config != nil, Informed: s.informed,
		Leaving: s.leaving,
	}
}

// failback returns the failback delay in force.
func (s *self) failback() ownership.Failback {
	if s.config == nil {
		return ownership.Failback{Delay: defaultFailback}
	}
	return ownership.Failback{Delay: s.config.Layer2.Failback, Never: s.config.Layer2.Failback == config.FailbackNever}
}

// configure passes the settings in the configuration to the announcer. Without a valid configuration the announcer
// keeps its settings.
func (s *self) configure(cfg *config.Config) {
	if cfg == s.config {
		return
	}
	if s.config = cfg; cfg == nil {
		return
	}
	var ranges []layer2.Range
	for _, r := range layer2Ranges(cfg) {
		ranges = append(ranges, layer2.Range(r))
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

// member returns this node as seen by the other members, so every node decides from the same values.
func (s *self) member(addrs *addressSet) membership.Member {
	r := membership.Fit(s.describe(addrs))
	return membership.Member{Name: s.opt.Self, State: s.state, Since: r.Since, Configured: r.Configured, Links: r.Links,
		MACs: r.MACs}
}

// describe returns the report of this node.
func (s *self) describe(addrs *addressSet) membership.Report {
	links := s.links(addrs)
	r := membership.Report{State: s.state, Since: s.ready, Configured: s.config != nil, Links: links}
	for _, mac := range s.opt.Announcer.MACs() {
		if !slices.ContainsFunc(links, func(link membership.Link) bool { return link.MAC == membership.MAC(mac) }) {
			r.MACs = append(r.MACs, membership.MAC(mac))
		}
	}
	return r
}

// tell publishes the report of this node on the first call and after a change.
func (s *self) tell(addrs *addressSet, first bool) {
	r := s.describe(addrs)
	seen := membership.Fit(r)
	if !first && seen.Equal(s.report) {
		return
	}
	s.report = seen
	if err := s.opt.Peers.SetState(r); err != nil {
		s.opt.Log.Error("cannot publish the state of this speaker", "err", err)
	}
}

// links returns the interfaces that are up, the most important first: interfaces in a subnet with addresses of a layer2 pool,
// then the others by name. Each link names an address for probes of the other nodes: an answer shows that this node is
// alive. The probe address stays the same while this node answers for it.
func (s *self) links(addrs *addressSet) []membership.Link {
	var links []membership.Link
	list := s.opt.Announcer.Interfaces()
	for _, i := range list {
		if !i.Up {
			continue
		}
		link := membership.Link{Name: i.Name, MAC: membership.MAC(i.MAC)}
		for _, p := range slices.Concat(i.Prefixes, i.OnLink) {
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

// importance is greater for a link in a subnet with addresses of a pool with protocol layer2, because other nodes must
// know about such a link.
func importance(cfg *config.Config, link membership.Link) int {
	if cfg == nil {
		return 0
	}
	for _, r := range layer2Ranges(cfg) {
		if slices.ContainsFunc(link.Subnets, func(p netip.Prefix) bool { return overlap(p, r) }) {
			return 1
		}
	}
	return 0
}

// layer2Ranges returns the ranges of the pools with protocol layer2: no frame is read or sent for other addresses.
func layer2Ranges(cfg *config.Config) (ranges []config.Range) {
	add := func(pools []config.Pool) {
		for _, pool := range pools {
			if pool.Layer2 {
				ranges = append(ranges, pool.Ranges...)
			}
		}
	}
	add(cfg.Pools)
	add(cfg.Leaving())
	return ranges
}

// overlap reports whether the subnet and the range have an address in common.
func overlap(p netip.Prefix, r config.Range) bool {
	return p.Contains(r.From) || p.Contains(r.To) ||
		r.From.BitLen() == p.Addr().BitLen() && r.From.Compare(p.Addr()) <= 0 && p.Addr().Compare(r.To) <= 0
}

// probeAddress returns an address that this node answers for on i: the previous probe address if possible, else the
// lowest; invalid if none exists.
func (s *self) probeAddress(i layer2.Interface, list []layer2.Interface, addrs *addressSet) netip.Addr {
	shared := func(a netip.Addr) bool {
		return slices.ContainsFunc(list, func(o layer2.Interface) bool { return o.Index != i.Index && o.Holds(a) })
	}
	answers := func(a netip.Addr) bool {
		if !addrs.owns(a) || !i.Holds(a) {
			return false
		}
		// another interface answers instead
		return !shared(a) || slices.Contains(s.opt.Announcer.Serving(a, nil), i.Name)
	}
	for _, old := range s.report.Links {
		if old.Name == i.Name && answers(old.Beacon) {
			return old.Beacon
		}
	}
	if at := slices.IndexFunc(addrs.held, answers); at >= 0 {
		return addrs.held[at]
	}
	return netip.Addr{}
}
