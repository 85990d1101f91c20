package routes

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

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
	var addresses []Address
	if slices.ContainsFunc(d.config.Pools, func(p config.Pool) bool { return p.BGP }) {
		d.items = gather(&in.Snapshot, d.poolOf)
		addresses = d.addresses()
	}
	for i := range d.classes {
		d.classes[i].finish()
	}
	peers := make([]Peer, len(d.peers))
	for i, p := range d.peers {
		peers[i] = Peer{Config: p, Routes: d.classes[d.classOf[i]].routes}
	}
	return Table{Peers: peers, Addresses: addresses}
}

// addresses decides on all items, and adds their routes to the classes.
func (d *decider) addresses() []Address {
	all := make([]Address, len(d.items))
	addrs := make([]netip.Addr, len(d.items))
	keys := keysOf(d.items)
	for i := range d.items {
		it, n := &d.items[i], len(d.items[i].holders)
		a := newAddress(it.addr, keys[:n:n])
		addrs[i], keys = it.addr, keys[n:]
		if v := d.judge(it, &a); v != nil {
			a.announce(v.peers, d.rank(v, it))
			d.announce(v, it, a.Rank, addrs[i:i+1:i+1])
		}
		all[i] = a
	}
	return all
}

// judge sets the reason of an address. It returns the variant by which this node announces the address, nil if the node
// does not.
func (d *decider) judge(it *item, a *Address) *variant {
	a.explain(it.obstacle(d.in.Self))
	if own := d.in.Snapshot.OwnAddress(it.addr); own != nil && it.pool != nil {
		a.explain(reason.RouteNodeAddress, placement.OwnAddressText(own))
	}
	if a.Reason != reason.Routed {
		return nil
	}
	p := d.plan(it.pool)
	pending := d.in.Pending != nil && d.in.Pending(it.addr)
	switch {
	case p.exclusion != reason.Eligible:
		a.exclude(p.exclusion, p.detail)
	case pending:
		a.explain(reason.RulesNotReady, "")
	case d.in.Draining:
		a.explain(reason.DrainingNode, "")
	}
	if pending || !p.announces {
		return nil
	}
	v := d.variant(p, it)
	if len(v.peers) > 0 {
		return v
	}
	if a.Reason == reason.Routed {
		a.explain(reason.NoPeer, v.detail)
	}
	return nil
}
