package routes

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// newAddress returns the decision on an address that the node does not announce for now.
func newAddress(a netip.Addr, services []cluster.Key) Address {
	return Address{Addr: a, Services: services, Rank: -1}
}

// held sets the Services with the address.
func (a *Address) held(services []cluster.Key) { a.Services = services }

// explain sets the reason, with its own text if there is no detail.
func (a *Address) explain(why reason.Route, detail string) {
	if detail == "" && why != reason.Routed {
		detail = why.Text()
	}
	a.Reason, a.Detail, a.Exclusion = why, detail, reason.Eligible
}

// exclude sets the exclusion of the node as the reason. detail is excludedText of the exclusion.
func (a *Address) exclude(why reason.Exclusion, detail string) {
	a.explain(reason.NodeNotEligible, detail)
	a.Exclusion = why
}

// excludedText says the exclusion of the node in a sentence.
func excludedText(why reason.Exclusion) string { return "the node is " + why.Text() }

// announce sets the peers that get routes for the address, and the rank of the node.
func (a *Address) announce(peers []string, rank int) { a.Peers, a.Rank = peers, rank }

// withdraw removes the routes for the address.
func (a *Address) withdraw() { a.announce(nil, -1) }

// Find returns the decision on a, nil if there is none.
func (t *Table) Find(a netip.Addr) *Address {
	i, ok := slices.BinarySearchFunc(t.Addresses, a, func(x Address, a netip.Addr) int { return x.Addr.Compare(a) })
	if !ok {
		return nil
	}
	return &t.Addresses[i]
}

// Prefixes returns the prefixes that the node announces for each address, to any peer, sorted and each once. Addresses
// without a route are missing.
func (t *Table) Prefixes() map[netip.Addr][]netip.Prefix {
	all := map[netip.Addr][]netip.Prefix{}
	for i, p := range t.Peers {
		if i > 0 && cluster.SameList(p.Routes, t.Peers[i-1].Routes) {
			continue
		}
		for _, r := range p.Routes {
			for _, a := range r.Addrs {
				list := all[a]
				if at, found := slices.BinarySearchFunc(list, r.Prefix, netip.Prefix.Compare); !found {
					all[a] = slices.Insert(list, at, r.Prefix)
				}
			}
		}
	}
	return all
}
