package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/status"
)

// The reasons for which this node does not answer for an address that some node is to answer for; the other ones are of [Reason].
const (
	// notElected: another node has more right to it.
	notElected = "NotElected"
	// notEligible: this node may not have it.
	notEligible = "NotEligible"
	// asking: this node is to have it, and asks the wire who has it.
	asking = "Asking"
	// waiting: this node is to have it, and leaves it to the node that has it for a while.
	waiting = "Waiting"
	// facing: this node is to have it, and a host that is no node has it.
	facing = "ForeignHost"
	// inheritedReason is why a node holds an address that a process of it has announced before this one.
	inheritedReason = "inherited"
	// goneState is the state of a member that gossip has lost.
	goneState = "gone"
)

// Describe tells of the addresses, the interfaces and the members: as the loop has seen and decided it last, and who was heard since. It
// costs the loop nothing. What of a process it does not know is left to the caller.
func (s *Speaker) Describe() status.Speaker {
	st := s.Status()
	told := status.Speaker{
		State: st.State.String(), Since: st.since.UTC(),
		Owned: []status.Owned{}, Watched: []status.Watched{}, Changes: []status.Change{}, Conflicts: []status.Conflict{},
		Interfaces: Interfaces(s.Announcer), Members: s.describeMembers(&st),
	}
	if s.status.Load() == nil {
		told.State = membership.Joining.String()
	}
	w := newWitness(s.Self, &st)
	for i := range st.Decisions {
		d := &st.Decisions[i]
		if t, held := st.held[d.Addr]; held {
			told.Owned = append(told.Owned, s.owned(d, t))
		} else {
			told.Watched = append(told.Watched, w.watched(d, s.sightings.of(d.Addr)))
		}
	}
	for _, c := range slices.Backward(st.changes) {
		told.Changes = append(told.Changes, status.Change{
			At: c.At.UTC(), Address: c.Addr.String(), Change: c.what.String(), Reason: c.why.String(), Peer: c.Peer,
			After: c.After.Milliseconds(),
		})
	}
	for _, x := range st.Strangers {
		told.Conflicts = append(told.Conflicts, status.Conflict{
			Address: x.Addr.String(), MAC: x.MAC, Quarantine: x.Quarantine, LastHeard: st.strangers[x.Addr].UTC(),
		})
	}
	return told
}

func (s *Speaker) owned(d *Decision, t tenure) status.Owned {
	o := status.Owned{
		Address: d.Addr.String(), Services: names(d.Services), Since: t.took.UTC(), Reason: t.why.String(), From: t.from, Elected: d.Owner,
		Interfaces: []string{}, Leaving: t.leaving,
	}
	if t.inherited {
		o.Reason = inheritedReason
	}
	if on := s.Announcer.Answering(d.Addr); len(on) > 0 {
		o.Interfaces = on
	}
	return o
}

func names(services []cluster.Key) []string {
	list := make([]string, len(services))
	for i, key := range services {
		list[i] = key.String()
	}
	return list
}

// witness tells why this node does not answer for an address.
type witness struct {
	*Status
	self  string
	nodes *electorate
}

func newWitness(self string, st *Status) witness {
	return witness{st, self, newElectorate(st.snapshot, st.ready)}
}

func (w witness) watched(d *Decision, last sighting) status.Watched {
	told := status.Watched{Address: d.Addr.String(), Services: names(d.Services), Elected: d.Owner}
	if !last.at.IsZero() {
		told.Answers = &status.Sighting{Node: w.stations[membership.MAC(last.mac)], MAC: last.mac.String(), At: last.at.UTC()}
	}
	told.Reason, told.Message = w.whyNot(d)
	return told
}

// whyNot says in one word and in a sentence why this node does not answer for the address.
func (w witness) whyNot(d *Decision) (reason, message string) {
	q, pursued := w.pursued[d.Addr]
	switch {
	case d.Reason != Announced:
		return d.Reason.String(), d.Detail
	case !d.allows(w.self):
		return notEligible, "this node is not eligible: " + w.obstacle(d.Addr)
	case d.Owner != w.self && q.standsIn:
		return notElected, fmt.Sprintf("the election names node %s; nobody is known to have the address, and this node asks for it at %s to stand in",
			d.Owner, clock(q.due))
	case d.Owner != w.self && d.Wished:
		return notElected, fmt.Sprintf("a Service asks for node %s", d.Owner)
	case d.Owner != w.self:
		return notElected, fmt.Sprintf("the election names node %s", d.Owner)
	case !pursued:
		return asking, "this node does not know yet which other speakers there are"
	case !q.facing.IsZero():
		return facing, fmt.Sprintf("the host with the MAC address %s, which is no node, answers since %s", q.stranger, clock(q.facing))
	case q.waiting && q.due.Equal(never):
		return waiting, fmt.Sprintf("node %s answers, and keeps it while it may (failback: never)", q.holder)
	case q.waiting:
		return waiting, fmt.Sprintf("node %s answers, and is left alone until %s", q.holder, clock(q.due))
	case q.warned:
		return asking, "the address cannot be asked for on any interface; the log says why"
	case q.holder != "":
		return asking, fmt.Sprintf("node %s has answered last, and is asked again", q.holder)
	}
	return asking, "this node asks on the wire whether anybody has it"
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// obstacle says what keeps this node from answering for a.
func (w witness) obstacle(a netip.Addr) string {
	i, found := slices.BinarySearchFunc(w.nodes.voters, w.self, func(v voter, name string) int { return strings.Compare(v.Name, name) })
	if !found {
		return "not a Node of the cluster"
	}
	var pool *config.Pool
	if cfg := w.snapshot.Config; cfg != nil {
		pool = cfg.PoolOf(a)
	}
	if why := w.nodes.voters[i].unfit(a, pool, w.nodes.holding(a) != ""); why != "" {
		return why
	}
	return noServingEndpoint
}

// describeMembers lists the members and those that are gone, by name.
func (s *Speaker) describeMembers(st *Status) []status.Member {
	list := []status.Member{}
	for _, m := range st.members {
		told := status.Member{
			Node: m.Name, State: m.State.String(), Address: m.Addr.String(), Links: describeLinks(m.Links), Self: m.Name == s.Self,
		}
		if at, ok := s.neighbours.Load(m.Name); ok {
			told.LastHeard = at.(time.Time).UTC()
		}
		if x, ok := st.suspected[m.Name]; ok && x.until.After(time.Now()) {
			told.Suspected, told.LastHeard = true, x.sign.UTC()
		}
		list = append(list, told)
	}
	for name, m := range st.gone {
		list = append(list, status.Member{Node: name, State: goneState, Links: describeLinks(m.Links), LastHeard: m.sign.UTC()})
	}
	slices.SortFunc(list, func(x, y status.Member) int { return strings.Compare(x.Node, y.Node) })
	return list
}

func describeLinks(links []membership.Link) []status.Link {
	list := make([]status.Link, 0, len(links))
	for _, l := range links {
		told := status.Link{Name: l.Name, MAC: l.MAC.String(), Subnets: []string{}}
		for _, p := range l.Subnets {
			told.Subnets = append(told.Subnets, p.String())
		}
		if l.Beacon.IsValid() {
			told.Beacon = l.Beacon.String()
		}
		list = append(list, told)
	}
	return list
}
