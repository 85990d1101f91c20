package speaker

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// newsQuiet is how long nothing of the kind must have happened until Events tell of it, newsBound how long that is put off: the
	// addresses of one node move within a moment, but not at once.
	newsQuiet = time.Second
	newsBound = 5 * time.Second
	// fewServices is up to how many Services get an Event each when something happens to the addresses of one node. Of more the Node
	// gets one.
	fewServices = 10
	// namedAddrs is how many addresses an Event on a Node names.
	namedAddrs = 5
	// departureMemory is how long it is remembered how many addresses a node was to lose.
	departureMemory = 10 * time.Second
	// newService is how long a Service counts as new: its first Event is always its own.
	newService = time.Minute
)

// story is what is alike in some pieces of news, and makes one Event if there are many.
type story struct {
	reason  string
	warning bool
	// node had the addresses before, empty for nobody; why is the cause.
	node, why string
}

// piece is what has happened to one address.
type piece struct {
	story
	addr netip.Addr
	// message is for the Services that have the address; rest is what a sentence that begins with "node x answers for 9 addresses" or
	// the like ends with.
	message, head, rest string
	// of is the decision whose Services are told. What happened to an address that nobody has any more is no news, except that a
	// stranger has it: for that it was taken from its Services.
	of *Decision
}

// news are what Events are to tell.
type news struct {
	pieces      []piece
	first, last time.Time
	// departures are how many Services' addresses each node was to lose lately, by all decisions of all nodes alike.
	departures map[string]departure
}

type departure struct {
	services int
	last     time.Time
}

func (n *news) add(p piece, now time.Time) {
	if len(n.pieces) == 0 {
		n.first = now
	}
	n.pieces, n.last = append(n.pieces, p), now
}

// due returns when to tell, zero if there is nothing.
func (n *news) due() time.Time {
	if len(n.pieces) == 0 {
		return time.Time{}
	}
	return earliest(n.last.Add(newsQuiet), n.first.Add(newsBound))
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// countDepartures notes what the new decisions take from whom those before named.
func (s *Speaker) countDepartures(now time.Time) {
	for node, d := range s.news.departures {
		if now.Sub(d.last) > departureMemory {
			delete(s.news.departures, node)
		}
	}
	for i := range s.decisions {
		d := &s.decisions[i]
		if owner := s.owners[d.Addr]; owner != "" && owner != d.Owner {
			lost := s.news.departures[owner]
			s.news.departures[owner] = departure{lost.services + len(d.Services), now}
		}
	}
}

// tellNews sends what is due: to each Service of a few, and to the Node about many. So a node's death makes one Event for each node
// that takes over from it, whatever it had.
func (s *Speaker) tellNews(snap cluster.Snapshot, now time.Time) {
	if due := s.news.due(); due.IsZero() || due.After(now) {
		return
	}
	stories := map[story][]piece{}
	var order []story
	for _, p := range s.news.pieces {
		if d := s.decision(p.addr); d != nil {
			p.of = d
		}
		if p.reason == Announced.String() && s.held[p.addr] == nil || p.of == nil {
			continue // it is gone again
		}
		if p.node == "" && isNew(p.of, snap, now) {
			s.tell(p.of, snap, p.reason, p.warning, p.message)
			continue
		}
		if stories[p.story] == nil {
			order = append(order, p.story)
		}
		stories[p.story] = append(stories[p.story], p)
	}
	s.news.pieces = nil
	for _, st := range order {
		s.tellStory(st, stories[st], snap)
	}
}

func (s *Speaker) tellStory(st story, pieces []piece, snap cluster.Snapshot) {
	services := 0
	for _, p := range pieces {
		services += len(p.of.Services)
	}
	if max(services, s.news.departures[st.node].services) <= fewServices {
		for _, p := range pieces {
			s.tell(p.of, snap, p.reason, p.warning, p.message)
		}
		return
	}
	var addrs []string
	for _, p := range pieces[:min(len(pieces), namedAddrs)] {
		addrs = append(addrs, p.addr.String())
	}
	text := fmt.Sprintf("%s %d addresses (%s", pieces[0].head, len(pieces), strings.Join(addrs, ", "))
	if more := len(pieces) - len(addrs); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	object := cluster.ObjectRef{Kind: "Node", Name: cmp.Or(st.node, s.Self)}
	if i := slices.IndexFunc(snap.Nodes, func(n cluster.Node) bool { return n.Name == object.Name }); i >= 0 {
		object.UID = snap.Nodes[i].UID
	}
	s.Event(cluster.Event{Object: object, Warning: st.warning, Reason: st.reason, Message: text + ")" + pieces[0].rest})
}

// isNew reports whether a Service of the decision was made a short while ago.
func isNew(d *Decision, snap cluster.Snapshot, now time.Time) bool {
	return slices.ContainsFunc(d.Services, func(key cluster.Key) bool {
		i, found := slices.BinarySearchFunc(snap.Services, key, func(svc *cluster.Service, k cluster.Key) int { return svc.Key.Compare(k) })
		return found && now.Sub(snap.Services[i].Created) < newService
	})
}

// gain is from whom, and why, this node has taken an address.
type gain struct {
	from string
	why  cause
}

// noteGain has Events tell that this node answers for an address now.
func (s *Speaker) noteGain(d *Decision, now time.Time) {
	g := s.gains[d.Addr]
	p := piece{
		story: story{reason: Announced.String(), node: g.from, why: g.why.String()}, addr: d.Addr,
		message: fmt.Sprintf("node %q answers for %s", s.Self, d.Addr), head: fmt.Sprintf("node %q answers for", s.Self),
	}
	if g.from != "" {
		p.rest = fmt.Sprintf(", which node %q had: %s", g.from, g.why)
		p.message += p.rest
	}
	s.news.add(p, now)
	if g.why == causeStandIn {
		p.why += " for " + d.Owner
		p.rest = fmt.Sprintf(" in place of node %q, which did not take", d.Owner)
		p.message += fmt.Sprintf(" in place of node %q, which did not take it", d.Owner)
	}
	if d.Everywhere && g.from == "" {
		const rest = ": no node has an interface in a subnet that holds them, so clients need a route"
		s.news.add(piece{
			story: story{reason: noSubnetReason, warning: true}, addr: d.Addr,
			message: fmt.Sprintf("no node has an interface in a subnet that holds %s, so it is announced on all interfaces: clients need a route to it", d.Addr),
			head:    fmt.Sprintf("node %q announces on all interfaces", s.Self), rest: rest,
		}, now)
	}
}

// noteDark has Events tell that nobody answers for an address, which a node had before.
func (s *Speaker) noteDark(d *Decision, node string, now time.Time) {
	p := piece{
		story: story{reason: d.Reason.String(), warning: true, node: node}, addr: d.Addr,
		message: fmt.Sprintf("nobody answers for %s: %s", d.Addr, d.Detail), head: "nobody answers for", rest: ": " + d.Detail,
	}
	if node != "" {
		p.rest = fmt.Sprintf(", which node %q had: %s", node, d.Detail)
	}
	s.news.add(p, now)
}
