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
	// quiet is the time without changes after which the Notifier returns Events; quietBound limits the delay by further
	// changes. The addresses of one node move within a moment, but not at once.
	quiet      = time.Second
	quietBound = 5 * time.Second
	// fewServices is the number of Services up to which each Service gets an Event.
	fewServices = 10
	// namedAddrs is the number of addresses named in an Event about a Node.
	namedAddrs = 5
	// departureMemory limits how long the Notifier remembers the departures from a node.
	departureMemory = 10 * time.Second
)

// Notifier gathers changes and returns Events.
type Notifier struct {
	self        string
	items       []item
	first, last time.Time
	// departures counts, by node, the Services with an address that recent decisions moved away from the node. All
	// nodes count alike.
	departures map[string]departure
	// unannounced holds the addresses that no node may announce.
	unannounced unannouncedSet
	// reports is Round.First of the last Review.
	reports bool
	// blocked lists the nodes in the last Event about gossip.
	blocked []string
}

type departure struct {
	services int
	last     time.Time
}

// New returns a Notifier for the node self.
func New(self string) *Notifier {
	return &Notifier{self: self, departures: map[string]departure{}, unannounced: newUnannouncedSet()}
}

// Review processes a round of decisions, after the changes of the round, and returns the due Events. dark lists the
// placements that stay unannounced and are due for a report by this node.
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
		if x.reason == ConflictReason && r.Foreign(x.addr) != x.host {
			continue // gossip has named the host meanwhile, or the host is gone
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

// Next returns the time of the next Review, zero for never. The Review is due even if nothing happens.
func (n *Notifier) Next() time.Time {
	next, at := n.due(), n.unannounced.due(n.reports)
	if next.IsZero() || !at.IsZero() && at.Before(next) {
		return at
	}
	return next
}

// reviewUnannounced updates the unannounced addresses, and returns the placements to report.
func (n *Notifier) reviewUnannounced(now time.Time, r Round) (tell []*placement.Placement) {
	n.reports = r.First
	tell = n.unannounced.review(now, r)
	for _, p := range tell {
		n.add(now, notAnnounced(p, n.unannounced.byAddr[p.Addr].owner))
	}
	return tell
}

// Gained records that this node answers for an address now.
func (n *Notifier) Gained(now time.Time, c ownership.Change, p *placement.Placement) {
	n.add(now, gained(n.self, c, p))
	if p.Everywhere && c.Peer == "" {
		n.add(now, noSubnet(n.self, p))
	}
}

// ForeignHost records that a host wrongly answers for an address. proxied is true when kube-proxy gives the address to
// the kernels of the nodes (IPVS mode).
func (n *Notifier) ForeignHost(now time.Time, a netip.Addr, h ownership.Host, p *placement.Placement, proxied bool) {
	n.add(now, foreignHost(a, h, p, proxied))
}

// KernelsAnswer records that the kernels of the nodes answer for an address because of kube-proxy (IPVS mode without
// strictARP).
func (n *Notifier) KernelsAnswer(now time.Time, p *placement.Placement) { n.add(now, kernelsAnswer(p)) }

// NodeKernel returns an Event about this Node. The kernel of the Node answers for an address that another node must
// announce, because of kube-proxy in IPVS mode without strictARP.
func (n *Notifier) NodeKernel(snap cluster.Snapshot, a netip.Addr) cluster.Event {
	return cluster.Event{
		Object: nodeRef(snap, n.self), Warning: true, Reason: KernelsReason,
		Message: fmt.Sprintf("the kernel of node %q answers ARP requests for addresses that other nodes announce, such as %s, "+
			"because kube-proxy runs there%s", n.self, a, strictARP),
	}
}

// Bond returns an Event about this Node, on which an interface is a bond or on a bond in the mode, with a fault.
func (n *Notifier) Bond(snap cluster.Snapshot, name, mode string, f reason.BondFault) cluster.Event {
	return cluster.Event{
		Object: nodeRef(snap, n.self), Warning: f.Certain, Reason: BondReason,
		Message: fmt.Sprintf("the interface %s of node %q is on a bond in mode %s: %s; %s", name, n.self, mode, f.Text, f.Mend),
	}
}

func (n *Notifier) add(now time.Time, x item) {
	if len(n.items) == 0 {
		n.first = now
	}
	n.items, n.last = append(n.items, x), now
}

// due returns the time to report the items, zero for no items.
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

// countDepartures counts the addresses taken from their previous owners by the new placements.
func (n *Notifier) countDepartures(now time.Time, r Round) {
	for node, d := range n.departures {
		if now.Sub(d.last) > departureMemory {
			delete(n.departures, node)
		}
	}
	for _, addr := range r.Touched {
		p := placement.Find(r.Placements, addr)
		if p == nil {
			continue
		}
		if owner := r.PrevOwner(addr); owner != "" && owner != p.Owner {
			n.departures[owner] = departure{n.departures[owner].services + len(p.Services), now}
		}
	}
}

// tell returns the Events for a group: one Event for each of a few Services, or one Event for the Node.
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
	noun := "addresses"
	if len(items) == 1 { // of many Services
		noun = "address"
	}
	text := fmt.Sprintf("%s %d %s (%s", items[0].head, len(items), noun, strings.Join(addrs, ", "))
	if rest := len(items) - len(addrs); rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return []cluster.Event{{
		Object: nodeRef(snap, cmp.Or(g.node, n.self)), Warning: g.warning, Reason: g.reason,
		Message: text + ")" + items[0].tail,
	}}
}

// GossipBlocked returns an Event after a change of the set of nodes without gossip contact.
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
		Message: fmt.Sprintf("gossip with %s %s does not pass: open TCP and UDP port %d between the nodes, in both "+
			"directions", noun, named, port),
	}}
}
