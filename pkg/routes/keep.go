package routes

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Keep returns the table of a node without a configuration, which announces what it announced by the last table that
// Decide made for it. Of these addresses Keep withdraws those without a Service or a serving endpoint, and all when the
// node is excluded for a reason that needs no configuration. Nothing new is announced, and peers and attributes stay.
// Keep ignores in.Pending, because the addresses are not new.
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
	items := gather(in.Snapshot.Services, func(a netip.Addr) (*config.Pool, bool) { return nil, last.find(a) != nil })
	keys := keysOf(items)
	t := Table{Peers: make([]Peer, len(last.Peers)), Addresses: make([]Address, len(items))}
	kept := make(map[netip.Addr]bool, len(items))
	for i := range items {
		n := len(items[i].holders)
		t.Addresses[i] = keepAddress(*last.find(items[i].addr), &items[i], exclusion, in)
		t.Addresses[i].Services, keys = keys[:n:n], keys[n:]
		kept[items[i].addr] = len(t.Addresses[i].Peers) > 0
	}
	for i, p := range last.Peers {
		t.Peers[i] = Peer{Config: p.Config, Routes: keepRoutes(p.Routes, kept)}
	}
	return t
}

// find returns the decision on a, nil if there is none.
func (t *Table) find(a netip.Addr) *Address {
	i, ok := slices.BinarySearchFunc(t.Addresses, a, func(x Address, a netip.Addr) int { return x.Addr.Compare(a) })
	if !ok {
		return nil
	}
	return &t.Addresses[i]
}

// keepAddress returns the decision on an address of the last table that still has a Service.
func keepAddress(a Address, it *item, exclusion reason.Exclusion, in Input) Address {
	if len(a.Peers) == 0 {
		return a
	}
	why, detail := it.idle(in.Self)
	a.Reason, a.Detail, a.Exclusion = why, detail, reason.Eligible
	announces := why == reason.Routed
	if announces {
		announces = exclusion == reason.Eligible || in.Draining && keepsDraining(exclusion)
		switch {
		case exclusion != reason.Eligible:
			a.Reason, a.Detail, a.Exclusion = reason.NodeNotEligible, excludedText(exclusion), exclusion
		case in.Draining:
			a.Reason, a.Detail = reason.DrainingNode, reason.DrainingNode.Text()
		}
	}
	if !announces {
		a.Peers = nil
	}
	if !announces || exclusion != reason.Eligible {
		a.Rank = -1
	}
	return a
}

func excludedText(why reason.Exclusion) string { return "the node is " + why.Text() }

// keepRoutes returns the routes for at least one of the kept addresses, with these addresses.
func keepRoutes(routes []Route, kept map[netip.Addr]bool) (left []Route) {
	for _, r := range routes {
		if r.Addrs = keptAddrs(r.Addrs, kept); len(r.Addrs) > 0 {
			left = append(left, r)
		}
	}
	return left
}

// keptAddrs returns the kept ones of addrs, in the same slice if all are.
func keptAddrs(addrs []netip.Addr, kept map[netip.Addr]bool) []netip.Addr {
	gone := func(a netip.Addr) bool { return !kept[a] }
	if !slices.ContainsFunc(addrs, gone) {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), gone)
}
