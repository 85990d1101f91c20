package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// inheritedReason is the reason of an address that an earlier process of the node announced.
	inheritedReason = "inherited"
	// goneState is the state of a member that gossip has lost.
	goneState = "gone"
)

// Describe returns the addresses, the interfaces and the members of the last round, for the status page. Describe does
// not stop the loop. The caller adds the facts about the process.
func (s *Speaker) Describe() status.Speaker {
	st := s.Status()
	d := status.Speaker{
		State: st.State.String(), Since: st.Since.UTC(),
		Owned: []status.Owned{}, Watched: []status.Watched{}, Changes: []status.Change{}, Conflicts: []status.Conflict{},
		Interfaces: Interfaces(s.opt.Announcer), Members: s.describeMembers(&st), Unreached: s.describeUnreached(),
		Probes: s.patroller.last(),
	}
	if s.status.Load() == nil {
		d.State = membership.Joining.String()
	}
	var now []bgp.Status
	if s.opt.Routing.Routers != nil {
		now = s.opt.Routing.Routers.Status()
	}
	d.Peers, d.Routes = st.routing.describe(now)
	w := watcher{&st, s.opt.Self, placement.NewNodes(st.snapshot, st.members), s.opt.Announcer.Proxied}
	for _, p := range st.Placements {
		if f := st.facts(p.Addr); f.State.Holds() {
			d.Owned = append(d.Owned, s.owned(p, f))
		} else {
			d.Watched = append(d.Watched, w.watched(p, s.sightings.of(p.Addr)))
		}
	}
	for _, c := range slices.Backward(st.Changes) {
		d.Changes = append(d.Changes, status.Change{
			At: c.At.UTC(), Address: c.Addr.String(), Change: c.Kind.String(), Reason: c.Cause.String(), Peer: c.Peer,
			After: c.After.Milliseconds(),
		})
	}
	for _, x := range st.Foreign {
		d.Conflicts = append(d.Conflicts, status.Conflict{
			Address: x.Addr.String(), MAC: x.MAC, Quarantine: x.Quarantine, LastHeard: st.facts(x.Addr).Foreign.LastHeard.UTC(),
		})
	}
	return d
}

func (s *Speaker) owned(p *placement.Placement, f ownership.Facts) status.Owned {
	o := status.Owned{
		Address: p.Addr.String(), State: status.AddressState(f.State.String()), Services: names(p.Services),
		Since: f.Since.UTC(), Reason: f.Cause.String(),
		From: f.From, Elected: p.Owner, Interfaces: []string{}, Leaving: f.State == ownership.Draining,
	}
	if f.Inherited {
		o.Reason = inheritedReason
	}
	if on := s.opt.Announcer.Answering(p.Addr); len(on) > 0 {
		o.Interfaces = on
	}
	return o
}

// watcher explains why this node does not answer for an address.
type watcher struct {
	*Status
	self  string
	nodes *placement.Nodes
	// proxied reports whether kube-proxy gives an address to the kernel of this node.
	proxied func(netip.Addr) bool
}

func (w watcher) watched(p *placement.Placement, last ownership.Sighting) status.Watched {
	x := status.Watched{
		Address: p.Addr.String(), State: status.AddressState(w.facts(p.Addr).State.String()),
		Services: names(p.Services), Elected: p.Owner,
	}
	if !last.At.IsZero() {
		x.Answers = &status.Sighting{Node: w.view.Station(last.MAC).Name, MAC: last.MAC.String(), At: last.At.UTC()}
	}
	x.Reason, x.Message = w.explain(p)
	switch {
	case p.Reason == reason.NoEligibleNode:
		x.Exclusions = exclusionWords(w.nodes.Exclusions(p.Addr))
	case p.Reason == reason.Announced && !p.Eligible(w.self):
		x.Exclusion = w.exclusion(p.Addr).String()
	}
	return x
}

// explain returns the reason why this node does not answer for the address, as a word and as a sentence.
func (w watcher) explain(p *placement.Placement) (word, message string) {
	f := w.facts(p.Addr)
	switch {
	case p.Reason != reason.Announced:
		return p.Reason.String(), p.Detail
	case !p.Eligible(w.self):
		return reason.NotEligible.String(), "this node is not eligible: " + w.exclusion(p.Addr).Text()
	case f.State == ownership.Conflict && f.Foreign.Node != "" && w.proxied(p.Addr):
		return reason.ForeignHost.String(), fmt.Sprintf("the kernel of node %s answers for the address, because kube-proxy runs "+
			"there in IPVS mode without strictARP", f.Foreign.Node)
	case f.State == ownership.Conflict && f.Foreign.Node != "":
		return reason.ForeignHost.String(), fmt.Sprintf("the kernel of node %s answers for the address, which no speaker announces", f.Foreign.Node)
	case f.State == ownership.Conflict && f.Foreign.Known():
		return reason.ForeignHost.String(),
			fmt.Sprintf("the host with the MAC address %s, which is no node, answers since %s", f.Foreign.MAC, clock(f.ConflictSince))
	case f.State == ownership.Backup:
		return reason.NotElected.String(), fmt.Sprintf(
			"the election names node %s; nobody is known to have the address, and this node asks for it at %s as backup", p.Owner, clock(f.Due))
	case p.Owner != w.self && p.Preferred:
		return reason.NotElected.String(), fmt.Sprintf("a Service asks for node %s", p.Owner)
	case p.Owner != w.self && p.NearEndpoint:
		return reason.NotElected.String(), fmt.Sprintf("the election names node %s, which has a ready endpoint (announce-from)", p.Owner)
	case p.Owner != w.self:
		return reason.NotElected.String(), fmt.Sprintf("the election names node %s", p.Owner)
	case f.State == ownership.Deferred && f.Due.Equal(ownership.Never):
		why, message := w.explainNever(p, f.Holder)
		return why.String(), message
	case f.State == ownership.Deferred:
		return reason.Waiting.String(), fmt.Sprintf("node %s answers, and is left alone until %s", f.Holder, clock(f.Due))
	case f.State == ownership.Standby:
		return reason.Asking.String(), "this node does not know yet which other speakers there are"
	case f.Unprobed:
		return reason.Asking.String(), "the address cannot be asked for on any interface; the log says why"
	case f.Holder != "":
		return reason.Asking.String(), fmt.Sprintf("node %s has answered last, and is asked again", f.Holder)
	}
	return reason.Asking.String(), "this node asks on the wire whether anybody has it"
}

// explainNever explains why this node waits without end for the node that answers.
func (w watcher) explainNever(p *placement.Placement, holder string) (why reason.Watch, message string) {
	switch {
	case w.snapshot.Config == nil:
		return reason.Unconfigured, fmt.Sprintf("node %s answers, and this node has no valid configuration", holder)
	case w.view.Peer(holder).Newer:
		return reason.Outdated, fmt.Sprintf("node %s answers, and has seen changes of the cluster that this node has not seen yet", holder)
	case p.KeepsNear(holder):
		return reason.Waiting, fmt.Sprintf("node %s answers, and keeps it while it has a ready endpoint (announce-from)", holder)
	}
	return reason.Waiting, fmt.Sprintf("node %s answers, and keeps it while it may (failback: never)", holder)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// exclusion returns why this node may not answer for a.
func (w watcher) exclusion(a netip.Addr) reason.Exclusion {
	if why := w.nodes.Exclusion(w.self, a); why != reason.Eligible {
		return why
	}
	return reason.NoServingEndpoint
}

// exclusionWords returns the counts by the words of the exclusions.
func exclusionWords(counts map[reason.Exclusion]int) map[string]int {
	words := make(map[string]int, len(counts))
	for why, n := range counts {
		words[why.String()] = n
	}
	return words
}

// describeUnreached lists the nodes that gossip does not reach, by name.
func (s *Speaker) describeUnreached() []status.Unreached {
	list := []status.Unreached{}
	for _, u := range s.opt.Peers.Unreached() {
		x := status.Unreached{Node: u.Name, Message: u.String(), Blocked: s.blocked(u), Port: u.Port()}
		if u.Addr.IsValid() {
			x.Address = u.Addr.String()
		}
		list = append(list, x)
	}
	return list
}

// describeMembers lists the members and the nodes that were members, by name.
func (s *Speaker) describeMembers(st *Status) []status.Member {
	list := []status.Member{}
	for _, e := range st.entries {
		m := status.Member{Node: e.Name, State: e.State.String(), Links: describeLinks(e.Links), Self: e.Name == s.opt.Self}
		if e.Addr.IsValid() {
			m.Address = e.Addr.String()
		}
		if at, ok := s.detector.LastHeard(e.Name); ok {
			m.LastHeard = at.UTC()
		}
		switch {
		case e.Gone:
			m.State, m.Address, m.LastHeard = goneState, "", e.LastSign.UTC()
		case e.Suspected:
			m.Suspected, m.LastHeard = true, e.LastSign.UTC()
		}
		list = append(list, m)
	}
	return list
}

func describeLinks(links []membership.Link) []status.Link {
	list := make([]status.Link, 0, len(links))
	for _, l := range links {
		x := status.Link{Name: l.Name, MAC: l.MAC.String(), Subnets: []string{}}
		for _, p := range l.Subnets {
			x.Subnets = append(x.Subnets, p.String())
		}
		if l.Beacon.IsValid() {
			x.Beacon = l.Beacon.String()
		}
		list = append(list, x)
	}
	return list
}
