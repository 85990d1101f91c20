package notify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// quiet is how long nothing must have happened before Events are sent; quietBound is how long that puts them off at most. The addresses
	// of one node move within a moment, but not at once.
	quiet      = time.Second
	quietBound = 5 * time.Second
	// fewServices is the number of Services up to which each gets its own Event.
	fewServices = 10
	// namedAddrs is how many addresses an Event about a Node names.
	namedAddrs = 5
	// departureMemory is how long the Notifier remembers how many addresses a node was to lose.
	departureMemory = 10 * time.Second
	// newService is the age up to which a Service gets its first Event alone.
	newService = time.Minute
)

// The reasons of Events about hosts and subnets.
const (
	// ConflictReason is about an address that another host has.
	ConflictReason = "AddressConflict"
	// NoSubnetReason is about an address that is in no subnet of any node.
	NoSubnetReason = "NoSubnet"
	// GossipReason is about nodes that gossip does not reach.
	GossipReason = "GossipBlocked"
)

// group is what some items have in common. Many items of one group make one Event.
type group struct {
	reason  string
	warning bool
	// node had the addresses before, empty for none; why is the cause.
	node, why string
}

// item is what happened to one address.
type item struct {
	group
	addr netip.Addr
	// message is for the Services that have the address. head and tail begin and end a sentence about several addresses.
	message, head, tail string
	// placement names the Services to tell. An address that no Service has any longer is not told of.
	placement *placement.Placement
}

// Notifier gathers changes and returns Events.
type Notifier struct {
	self        string
	items       []item
	first, last time.Time
	// departures counts, by node, the Services whose addresses the decisions took from it lately. All nodes count alike.
	departures map[string]departure
	// unannounced are the addresses that no node may announce.
	unannounced map[netip.Addr]unannounced
	// blocked are the nodes that gossip did not reach when that was last told.
	blocked []string
}

type departure struct {
	services int
	last     time.Time
}

// New returns a Notifier for the node self.
func New(self string) *Notifier {
	return &Notifier{self: self, departures: map[string]departure{}, unannounced: map[netip.Addr]unannounced{}}
}

// Round is what one round of decisions came to.
type Round struct {
	Snapshot   cluster.Snapshot
	Placements []placement.Placement
	// PrevOwners maps each address to its owner in the previous round.
	PrevOwners map[netip.Addr]string
	// First is true on the node that tells of addresses which no node may announce: the first of the ready ones.
	First bool
	// Owned reports whether this node answers for an address now.
	Owned func(netip.Addr) bool
}

// Review takes in a round of decisions, after the changes that it brought, and returns the Events that are due. dark are the placements that
// no node may announce and that it begins to tell of.
func (n *Notifier) Review(now time.Time, r Round) (events []cluster.Event, dark []*placement.Placement) {
	n.countDepartures(now, r)
	dark = n.reviewUnannounced(now, r)
	if due := n.due(); due.IsZero() || due.After(now) {
		return nil, dark
	}
	groups := map[group][]item{}
	var order []group
	for _, x := range n.items {
		if p := placement.Find(r.Placements, x.addr); p != nil {
			x.placement = p
		}
		if x.reason == reason.Announced.String() && !r.Owned(x.addr) || x.placement == nil {
			continue // the address is gone again
		}
		if x.node == "" && isNew(x.placement, r.Snapshot, now) {
			events = append(events, x.events(r.Snapshot)...)
			continue
		}
		if groups[x.group] == nil {
			order = append(order, x.group)
		}
		groups[x.group] = append(groups[x.group], x)
	}
	n.items = nil
	for _, g := range order {
		events = append(events, n.tell(g, groups[g], r.Snapshot)...)
	}
	return events, dark
}

// Next returns when to call Review although nothing has happened, zero for never.
func (n *Notifier) Next() time.Time {
	next := n.due()
	for _, u := range n.unannounced {
		if at := u.since.Add(unannouncedDelay); !u.told && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

func (n *Notifier) add(now time.Time, x item) {
	if len(n.items) == 0 {
		n.first = now
	}
	n.items, n.last = append(n.items, x), now
}

// due returns when to tell of the items, zero if there are none.
func (n *Notifier) due() time.Time {
	if len(n.items) == 0 {
		return time.Time{}
	}
	if bound, at := n.first.Add(quietBound), n.last.Add(quiet); at.Before(bound) {
		return at
	} else {
		return bound
	}
}

// countDepartures notes which addresses the new placements take from their previous owners.
func (n *Notifier) countDepartures(now time.Time, r Round) {
	for node, d := range n.departures {
		if now.Sub(d.last) > departureMemory {
			delete(n.departures, node)
		}
	}
	for i := range r.Placements {
		p := &r.Placements[i]
		if owner := r.PrevOwners[p.Addr]; owner != "" && owner != p.Owner {
			n.departures[owner] = departure{n.departures[owner].services + len(p.Services), now}
		}
	}
}

// tell returns the Events for a group: one for each Service of a few, or one for the Node.
func (n *Notifier) tell(g group, items []item, snap cluster.Snapshot) (events []cluster.Event) {
	services := 0
	for _, x := range items {
		services += len(x.placement.Services)
	}
	if max(services, n.departures[g.node].services) <= fewServices {
		for _, x := range items {
			events = append(events, x.events(snap)...)
		}
		return events
	}
	var addrs []string
	for _, x := range items[:min(len(items), namedAddrs)] {
		addrs = append(addrs, x.addr.String())
	}
	text := fmt.Sprintf("%s %d addresses (%s", items[0].head, len(items), strings.Join(addrs, ", "))
	if rest := len(items) - len(addrs); rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return []cluster.Event{{
		Object: nodeRef(snap, cmp.Or(g.node, n.self)), Warning: g.warning, Reason: g.reason, Message: text + ")" + items[0].tail,
	}}
}

// events returns an Event for each Service that has the address.
func (x *item) events(snap cluster.Snapshot) (events []cluster.Event) {
	for _, key := range x.placement.Services {
		i, found := findService(snap, key)
		if !found {
			continue // the Service was deleted meanwhile
		}
		events = append(events, cluster.Event{
			Object:  cluster.ObjectRef{Kind: "Service", Namespace: key.Namespace, Name: key.Name, UID: snap.Services[i].UID},
			Warning: x.warning, Reason: x.reason, Message: x.message,
		})
	}
	return events
}

func nodeRef(snap cluster.Snapshot, name string) cluster.ObjectRef {
	ref := cluster.ObjectRef{Kind: "Node", Name: name}
	if i := slices.IndexFunc(snap.Nodes, func(n cluster.Node) bool { return n.Name == name }); i >= 0 {
		ref.UID = snap.Nodes[i].UID
	}
	return ref
}

func findService(snap cluster.Snapshot, key cluster.Key) (int, bool) {
	return slices.BinarySearchFunc(snap.Services, key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
}

// isNew reports whether a Service that has the address was created a short while ago.
func isNew(p *placement.Placement, snap cluster.Snapshot, now time.Time) bool {
	return slices.ContainsFunc(p.Services, func(key cluster.Key) bool {
		i, found := findService(snap, key)
		return found && now.Sub(snap.Services[i].Created) < newService
	})
}

// Gained notes that this node answers for an address now.
func (n *Notifier) Gained(now time.Time, c ownership.Change, p *placement.Placement) {
	x := item{
		group: group{reason: reason.Announced.String(), node: c.Peer, why: c.Cause.String()}, addr: c.Addr,
		message: fmt.Sprintf("node %q answers for %s", n.self, c.Addr), head: fmt.Sprintf("node %q answers for", n.self), placement: p,
	}
	switch {
	case c.Cause == ownership.CauseSpread:
		x.node, x.why = "", ownership.CauseNew.String() // the first node had the address for a moment only
	case c.Cause == ownership.CauseBackup:
		x.why += " for " + p.Owner
		x.tail = fmt.Sprintf(" in place of node %q, which did not take", p.Owner)
		x.message += x.tail + " it"
		x.tail += " them"
	case c.Peer != "":
		x.tail = fmt.Sprintf(", which node %q had: %s", c.Peer, c.Cause)
		x.message += x.tail
	}
	n.add(now, x)
	if p.Everywhere && c.Peer == "" {
		n.add(now, item{
			group: group{reason: NoSubnetReason, warning: true}, addr: c.Addr, placement: p,
			message: fmt.Sprintf("no node has an interface in a subnet that holds %s, so it is announced on all interfaces: clients need a route to it",
				c.Addr),
			head: fmt.Sprintf("node %q announces on all interfaces", n.self),
			tail: ": no node has an interface in a subnet that holds them, so clients need a route",
		})
	}
}

// ForeignHost notes that a host answers for an address and should not.
func (n *Notifier) ForeignHost(now time.Time, a netip.Addr, h ownership.Host, p *placement.Placement) {
	x := item{group: group{reason: ConflictReason, warning: true, why: h.MAC.String()}, addr: a, placement: p}
	if h.Node != "" {
		x.why = h.Node
		x.head = fmt.Sprintf("the kernel of node %q answers for", h.Node)
		x.message = fmt.Sprintf("%s %s, which no speaker announces: remove the address from that node, or take it out of the pool with exclude", x.head, a)
		x.tail = ", which no speaker announces: remove them from that node, or take them out of the pool with exclude"
	} else {
		x.head = fmt.Sprintf("the host with the MAC address %s, which is no node, answers for", h.MAC)
		x.message = fmt.Sprintf("%s %s: give that host another address, or take this one out of the pool with exclude", x.head, a)
		x.tail = ": give that host another address, or take these out of the pool with exclude"
	}
	n.add(now, x)
}

// GossipBlocked returns an Event about the nodes that gossip does not reach, when these are others than before. The first of several Events
// of a process comes only with a node.
func (n *Notifier) GossipBlocked(snap cluster.Snapshot, nodes []string, port uint16) []cluster.Event {
	if slices.Equal(nodes, n.blocked) {
		return nil
	}
	n.blocked = slices.Clone(nodes)
	if len(nodes) == 0 {
		return nil
	}
	named := strings.Join(nodes[:min(len(nodes), namedAddrs)], ", ")
	if rest := len(nodes) - namedAddrs; rest > 0 {
		named += fmt.Sprintf(" and %d more", rest)
	}
	noun := "node"
	if len(nodes) > 1 {
		noun = "nodes"
	}
	return []cluster.Event{{
		Object: nodeRef(snap, n.self), Warning: true, Reason: GossipReason,
		Message: fmt.Sprintf("gossip with %s %s does not pass: open TCP and UDP port %d between the nodes, in both directions", noun, named, port),
	}}
}
