package routes

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Keep returns the table of a node without a configuration. last is the last table that Decide made with a
// configuration. Peers, routes and attributes stay, and nothing new is announced. Keep withdraws an address without a
// Service, without a serving endpoint or, with policy Local, without a ready endpoint on this node. Keep withdraws
// all addresses when the node is excluded; a cordon does not count, because only the configuration makes a cordon an
// exclusion. Keep ignores in.Pending, because the addresses are not new.
func Keep(last Table, nodes *placement.Nodes, in Input) Table {
	t := keep(last, nodes, in)
	if in.Draining {
		t = t.shutDown()
	}
	return t
}

func keep(last Table, nodes *placement.Nodes, in Input) Table {
	exclusion := nodes.NodeExclusion(in.Self)
	if exclusion == reason.NoConfiguration {
		exclusion = reason.Eligible
	}
	items := gather(&in.Snapshot, func(a netip.Addr) (*config.Pool, bool) { return nil, last.Find(a) != nil })
	keys := keysOf(items)
	addresses, peers := make([]Address, len(items)), make([]Peer, len(last.Peers))
	kept := make(map[netip.Addr]bool, len(items))
	for i := range items {
		n := len(items[i].holders)
		a := *last.Find(items[i].addr)
		a.held(keys[:n:n])
		a.reconsider(&items[i], exclusion, &in)
		addresses[i], keys = a, keys[n:]
		kept[a.Addr] = len(a.Peers) > 0
	}
	for i, p := range last.Peers {
		peers[i] = Peer{Config: p.Config, Routes: keepRoutes(p.Routes, kept)}
	}
	return Table{Peers: peers, Addresses: addresses}
}

// reconsider changes the decision on an address of the last table that still has a Service.
func (a *Address) reconsider(it *item, exclusion reason.Exclusion, in *Input) {
	if len(a.Peers) == 0 {
		return
	}
	why, detail := it.idle(in.Self)
	switch {
	case why != reason.Routed:
		a.explain(why, detail)
		a.withdraw()
		return
	case exclusion != reason.Eligible:
		a.exclude(exclusion, excludedText(exclusion))
	case in.Draining:
		a.explain(reason.DrainingNode, "")
	default:
		a.explain(reason.Routed, "")
	}
	switch {
	case !in.mayAnnounce(exclusion):
		a.withdraw()
	case exclusion != reason.Eligible:
		a.announce(a.Peers, -1)
	}
}
