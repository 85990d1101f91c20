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

// self is what this node knows about itself.
type self struct {
	state membership.State
	// lacks says what keeps this node from being ready.
	lacks []string
	// changed is when state became what it is; ready is when this node, or the process before this one, became ready.
	changed, ready time.Time
	// settled, informed and leaving are those of ownership.Self.
	settled, informed, leaving bool
	// config is the configuration that the announcer works with.
	config *config.Config
	// stalls is the number of stalls of this process after which its addresses were suspended.
	stalls uint64
	// kernel are the addresses that the kernel has, sorted.
	kernel []netip.Addr
	// report is what this node said of itself last, as far as the other members can see it.
	report membership.Report
}

// assess works out the state of this node and what the others should know about it.
func (l *loop) assess(now time.Time) {
	s := &l.self
	s.settled, s.informed = l.opt.Peers.Settled(), l.opt.Informed()
	s.kernel = l.opt.Announcer.KernelAddrs()
	s.lacks = l.lacking()
	state := membership.Joining
	switch {
	case s.leaving:
		state = membership.Leaving
	case len(s.lacks) == 0:
		state = membership.Ready
	}
	if state != s.state {
		l.opt.Log.Info("state of this speaker", "state", state, "was", s.state)
		s.state, s.changed = state, now
	}
	if state == membership.Ready && s.ready.IsZero() {
		s.ready = now
	}
}

// lacking returns what keeps this node from being ready, nil for nothing.
func (l *loop) lacking() (lacks []string) {
	if !l.opt.Announcer.Ready() {
		lacks = append(lacks, "no socket is open on any interface yet")
	}
	if l.opt.Predecessor.Succeeds {
		return lacks // the process before this one has waited for the rest
	}
	if !l.self.settled {
		lacks = append(lacks, "the speakers of the other nodes have not been reached by gossip yet")
	}
	if !l.opt.Forwards() {
		lacks = append(lacks, "kube-proxy has no rules on this node yet")
	}
	return lacks
}

func (s *self) kernelHas(a netip.Addr) bool {
	_, has := slices.BinarySearchFunc(s.kernel, a, netip.Addr.Compare)
	return has
}

// member returns this node as the other members see it. It decides from the same values as they do.
func (s *self) member(l *loop) membership.Member {
	r := membership.Fit(l.describe())
	return membership.Member{Name: l.opt.Self, State: s.state, Since: r.Since, Configured: r.Configured, Links: r.Links, MACs: r.MACs}
}

// describe returns what this node says of itself.
func (l *loop) describe() membership.Report {
	links := l.links()
	r := membership.Report{State: l.self.state, Since: l.self.ready, Configured: l.snapshot.Config != nil, Links: links}
	for _, mac := range l.opt.Announcer.MACs() {
		if !slices.ContainsFunc(links, func(link membership.Link) bool { return link.MAC == membership.MAC(mac) }) {
			r.MACs = append(r.MACs, membership.MAC(mac))
		}
	}
	return r
}

// report tells the others of this node when that has changed.
func (l *loop) report() {
	r := l.describe()
	seen := membership.Fit(r)
	first := l.status.Load() == nil
	if !first && equalReports(seen, l.self.report) {
		return
	}
	l.self.report = seen
	if err := l.opt.Peers.SetState(r); err != nil {
		l.opt.Log.Error("the other speakers cannot be told of this one", "err", err)
	}
	if first {
		close(l.reported)
	}
}

func equalReports(x, y membership.Report) bool {
	return x.State == y.State && x.Since.Equal(y.Since) && x.Configured == y.Configured &&
		slices.EqualFunc(x.Links, y.Links, membership.Link.Equal) && slices.Equal(x.MACs, y.MACs)
}

// links returns the interfaces that are up, the most important first: those in a subnet with addresses of a pool, then the others by name.
// Each names an address that the other nodes can probe to see that this node lives; it stays the same while this node answers for it.
func (l *loop) links() []membership.Link {
	var links []membership.Link
	list := l.opt.Announcer.Interfaces()
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
		link.Beacon = l.probeAddress(i, list)
		links = append(links, link)
	}
	slices.SortFunc(links, func(x, y membership.Link) int {
		return cmp.Or(cmp.Compare(l.importance(y), l.importance(x)), strings.Compare(x.Name, y.Name))
	})
	return links
}

// importance is greater for a link that other nodes must know about.
func (l *loop) importance(link membership.Link) int {
	if l.snapshot.Config == nil {
		return 0
	}
	for _, pool := range l.snapshot.Config.Pools {
		for _, r := range pool.Ranges {
			for _, p := range link.Subnets {
				if p.Contains(r.From) || p.Contains(r.To) || r.From.BitLen() == p.Addr().BitLen() &&
					r.From.Compare(p.Addr()) <= 0 && p.Addr().Compare(r.To) <= 0 {
					return 1
				}
			}
		}
	}
	return 0
}

// probeAddress returns an address that this node answers for on i, invalid if there is none: the one that it named last, else the lowest.
func (l *loop) probeAddress(i layer2.Interface, list []layer2.Interface) (lowest netip.Addr) {
	shared := func(a netip.Addr) bool {
		return slices.ContainsFunc(list, func(o layer2.Interface) bool { return o.Index != i.Index && o.Holds(a) })
	}
	answers := func(a netip.Addr) bool {
		x := l.addrs[a]
		if x == nil || x.State() != ownership.Owner || !i.Holds(a) {
			return false
		}
		return !shared(a) || slices.Contains(l.opt.Announcer.Serving(a, nil), i.Name) // the other interface stands by
	}
	for _, old := range l.self.report.Links {
		if old.Name == i.Name && answers(old.Beacon) {
			return old.Beacon
		}
	}
	for a := range l.addrs {
		if (!lowest.IsValid() || a.Less(lowest)) && answers(a) {
			lowest = a
		}
	}
	return lowest
}
