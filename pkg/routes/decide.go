package routes

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Input holds all inputs of a decision.
type Input struct {
	// Snapshot is the cluster. Nobody may change what it holds.
	Snapshot cluster.Snapshot
	// Ready lists the members able to answer now, in any order.
	Ready []membership.Member
	// Self is the name of this node.
	Self string
	// Pending reports whether the service proxy of this node may lack the rules of a new address or a new endpoint; such
	// an address is not announced. nil means that the service proxy has all rules.
	Pending func(netip.Addr) bool
	// Draining means that this node shuts down: it stops, or it may not serve any longer. The node announces its routes
	// as the last choice, also while Drains of its exclusion is true.
	Draining bool
}

// Decide returns the routes of the node Self. Without a configuration it returns an empty Table; see [Keep].
func Decide(in Input) Table { return DecideWith(placement.NewNodes(in.Snapshot, in.Ready), in) }

// DecideWith is Decide for a caller that has the nodes of in.Snapshot and in.Ready already.
func DecideWith(nodes *placement.Nodes, in Input) Table {
	t := decide(nodes, in)
	if in.Draining {
		t = t.shutDown()
	}
	return t
}

// decide returns the table with the attributes of the configuration.
func decide(nodes *placement.Nodes, in Input) Table {
	if in.Snapshot.Config == nil {
		return Table{}
	}
	d := newDecider(nodes, in)
	t := Table{Peers: make([]Peer, len(d.peers))}
	if slices.ContainsFunc(d.config.Pools, func(p config.Pool) bool { return p.BGP }) {
		d.items = gather(in.Snapshot.Services, d.poolOf)
		t.Addresses = d.addresses()
	}
	for i := range d.classes {
		d.classes[i].finish()
	}
	for i, p := range d.peers {
		t.Peers[i] = Peer{Config: p, Routes: d.classes[d.classOf[i]].routes}
	}
	return t
}

// Drains reports whether a node with this exclusion, that announces routes, shuts them down before the withdrawal. With
// any other exclusion the node cannot forward, so its routes are withdrawn at once.
func Drains(why reason.Exclusion) bool {
	switch why {
	case reason.NotANode, reason.Deleting, reason.OutOfService, reason.ExcludedByLabel, reason.Cordoned:
		return true
	}
	return false
}

// decider makes one decision.
type decider struct {
	in     Input
	config *config.Config
	nodes  *placement.Nodes
	// exclusion excludes this node from every address. has are the labels of this node.
	exclusion reason.Exclusion
	has       labels.Set
	// peers are the peers of this node, classOf the index in classes for each of them.
	peers   []*config.Peer
	classOf []int
	classes []class
	plans   map[*config.Pool]*plan
	// fitting are the peers of other nodes, for the ranks.
	fitting map[*cluster.Node][]*config.Peer
	first   map[aggregate]bool
	items   []item
}

func newDecider(nodes *placement.Nodes, in Input) *decider {
	d := &decider{
		in: in, config: in.Snapshot.Config, nodes: nodes, exclusion: nodes.NodeExclusion(in.Self),
		plans: map[*config.Pool]*plan{}, fitting: map[*cluster.Node][]*config.Peer{}, first: map[aggregate]bool{},
	}
	if self := nodes.Node(in.Self); self != nil {
		d.has = self.Labels
	}
	d.peers = d.peersOf(d.has)
	d.classify()
	return d
}

// peersOf returns the peers of a node with these labels.
func (d *decider) peersOf(has labels.Set) (peers []*config.Peer) {
	for i := range d.config.Peers {
		if p := &d.config.Peers[i]; fits(p.NodeSelectors, has) {
			peers = append(peers, p)
		}
	}
	return peers
}

// poolOf returns the pool of a, and false when a is for layer 2 only.
func (d *decider) poolOf(a netip.Addr) (*config.Pool, bool) {
	pool := d.config.PoolOf(a)
	return pool, pool == nil || pool.BGP
}

// fits reports whether one of the selectors matches the labels, or there are no selectors.
func fits(selectors []labels.Selector, has labels.Set) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(has) })
}

// addresses decides on all items, and adds their routes to the classes.
func (d *decider) addresses() []Address {
	all := make([]Address, len(d.items))
	addrs := make([]netip.Addr, len(d.items))
	keys := keysOf(d.items)
	for i := range d.items {
		it, n := &d.items[i], len(d.items[i].holders)
		a := &all[i]
		*a, keys = Address{Addr: it.addr, Services: keys[:n:n], Rank: -1}, keys[n:]
		addrs[i] = it.addr
		v := d.judge(it, a)
		if v == nil {
			continue
		}
		a.Peers = v.peers
		a.Rank = d.rank(v, it)
		d.announce(v, it, a.Rank, addrs[i:i+1:i+1])
	}
	return all
}

// judge fills the reason of an address. It returns the variant by which this node announces the address, nil if the node
// does not.
func (d *decider) judge(it *item, a *Address) *variant {
	a.Reason, a.Detail = it.obstacle(d.in.Self)
	if a.Reason != reason.Routed {
		return nil
	}
	p := d.plan(it.pool)
	pending := d.in.Pending != nil && d.in.Pending(it.addr)
	switch {
	case p.exclusion != reason.Eligible:
		a.Reason, a.Detail, a.Exclusion = reason.NodeNotEligible, p.detail, p.exclusion
	case pending:
		a.Reason, a.Detail = reason.RulesNotReady, reason.RulesNotReady.Text()
	case d.in.Draining:
		a.Reason, a.Detail = reason.DrainingNode, reason.DrainingNode.Text()
	}
	if pending || !p.announces {
		return nil
	}
	v := d.variant(p, it)
	if len(v.peers) > 0 {
		return v
	}
	if a.Reason == reason.Routed {
		a.Reason, a.Detail = reason.NoPeer, v.detail
	}
	return nil
}
