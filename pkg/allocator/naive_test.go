package allocator

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// naive is a simple reference allocator for pools of about ten addresses: naive lists the addresses and examines each.
type naive struct {
	cluster.Snapshot
	resting []Rest
	// holders lists the holders of each address in the order of arrival, leaving the Services that must give up an
	// address.
	holders map[netip.Addr][]*cluster.Service
	leaving map[netip.Addr]*cluster.Service
	// order lists the addresses held before the round, the addresses of the oldest holders first, and then the
	// addresses assigned in the round.
	order []netip.Addr
}

func newNaive(s cluster.Snapshot, resting []Rest) *naive {
	return &naive{Snapshot: s, resting: resting, holders: map[netip.Addr][]*cluster.Service{}, leaving: map[netip.Addr]*cluster.Service{}}
}

// addrs lists the addresses that a pool hands out.
func (n *naive) addrs(p *config.Pool) []netip.Addr {
	var all []netip.Addr
	for _, r := range p.Ranges {
		for a := range r.All() {
			last := a.AsSlice()[a.BitLen()/8-1]
			if !p.AvoidBuggyIPs || a.Is6() || last != 0 && last != 255 {
				all = append(all, a)
			}
		}
	}
	return all
}

func (n *naive) poolOf(addr netip.Addr) *config.Pool {
	for i := range n.Config.Pools {
		if slices.Contains(n.addrs(&n.Config.Pools[i]), addr) {
			return &n.Config.Pools[i]
		}
	}
	return nil
}

func (n *naive) admits(p *config.Pool, svc *cluster.Service) bool {
	inNamespace := len(p.Namespaces)+len(p.NamespaceSelectors) == 0 || slices.Contains(p.Namespaces, svc.Key.Namespace)
	for _, s := range p.NamespaceSelectors {
		for _, namespace := range n.Namespaces {
			inNamespace = inNamespace || namespace.Name == svc.Key.Namespace && s.Matches(labels.Set(namespace.Labels))
		}
	}
	selected := len(p.ServiceSelectors) == 0
	for _, s := range p.ServiceSelectors {
		selected = selected || s.Matches(labels.Set(svc.Labels))
	}
	return inNamespace && selected
}

// isTaken reports whether a host on the network has addr.
func (n *naive) isTaken(addr netip.Addr) bool {
	return slices.ContainsFunc(n.Taken, func(t cluster.Taken) bool { return t.Addr == addr }) ||
		slices.ContainsFunc(n.Nodes, func(node cluster.Node) bool { return slices.Contains(node.Addresses, addr) })
}

// isTakenByStranger reports whether the first known host with addr is a foreign host.
func (n *naive) isTakenByStranger(addr netip.Addr) bool {
	i := slices.IndexFunc(n.Taken, func(t cluster.Taken) bool { return t.Addr == addr })
	return i >= 0 && n.Taken[i].By == cluster.TakenByStranger &&
		!slices.ContainsFunc(n.Nodes, func(node cluster.Node) bool { return slices.Contains(node.Addresses, addr) })
}

func (n *naive) isEdge(addr netip.Addr) bool {
	return n.Config.Allocation.AvoidNetworkAddresses && slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool {
		first := p.Masked().Addr() == addr
		last := p.Contains(addr) && addr.Is4() && !p.Contains(addr.Next())
		return (first || last) && addr.BitLen()-p.Bits() > 1
	})
}

// reservedFor returns the Services that addr is reserved for, nil for an address without a reservation.
func (n *naive) reservedFor(addr netip.Addr) []cluster.Key {
	var keys []cluster.Key
	for _, p := range n.Config.Pools {
		for _, r := range p.Reserve {
			for _, name := range r.Services {
				if r.Addr == addr {
					keys = append(keys, cluster.Key{Namespace: name.Namespace, Name: name.Name})
				}
			}
		}
	}
	return keys
}

func naiveShare(x, y *cluster.Service) bool {
	if x.SharingKey == "" || x.SharingKey != y.SharingKey || x.TrafficPolicy != y.TrafficPolicy {
		return false
	}
	for _, port := range x.Ports {
		if slices.Contains(y.Ports, port) {
			return false
		}
	}
	return x.TrafficPolicy == cluster.TrafficCluster || x.Key.Namespace == y.Key.Namespace && x.Selector == y.Selector
}

// mayShare reports whether two Services may both have addr.
func (n *naive) mayShare(x, y *cluster.Service, addr netip.Addr) bool {
	p := n.poolOf(addr)
	return naiveShare(x, y) && (x.Key.Namespace == y.Key.Namespace || p == nil || !p.SeparateNamespaces)
}

// isClaimed reports whether a claim keeps addr from svc.
func (n *naive) isClaimed(svc *cluster.Service, addr netip.Addr) bool {
	return slices.ContainsFunc(n.Claims, func(c cluster.Claim) bool {
		if c.Addr != addr {
			return false
		}
		if n.isUsed(addr) && (c.Managed || c.By == cluster.ClaimedByGateway) {
			return false
		}
		if c.Managed {
			return c.Holder != svc.Key && !slices.Contains(svc.ExternalIPs, addr)
		}
		return c.By != cluster.ClaimedByGateway || c.Holder != svc.Gateway && !n.restsFor(svc, addr)
	})
}

func (n *naive) hasClaim(addr netip.Addr) bool {
	return slices.ContainsFunc(n.Claims, func(c cluster.Claim) bool { return c.Addr == addr })
}

func (n *naive) restsFor(svc *cluster.Service, addr netip.Addr) bool {
	return slices.ContainsFunc(n.resting, func(r Rest) bool { return r.Addr == addr && r.Holder == svc.Key })
}

// wishFor returns the requested address of the family, explicit or implicit; the zero Addr for none.
func (n *naive) wishFor(svc *cluster.Service, f cluster.Family) netip.Addr {
	for _, addr := range slices.Concat(svc.Requested, svc.GatewayAddresses, svc.ExternalIPs) {
		switch p := n.poolOf(addr); {
		case cluster.FamilyOf(addr) != f:
		case slices.Contains(svc.Requested, addr):
			return netip.Addr{}
		case p != nil && (svc.RequestedPool == "" || svc.RequestedPool == p.Name):
			return addr
		}
	}
	return netip.Addr{}
}

func naiveWanted(svc *cluster.Service) []cluster.Family {
	if svc.FamilyPolicy == cluster.SingleStack && len(svc.Families) > 1 {
		return svc.Families[:1]
	}
	return svc.Families
}

func naiveOf(held []Assignment, f cluster.Family) *Assignment {
	for i := range held {
		if held[i].Addr.Is4() == (f == cluster.IPv4) {
			return &held[i]
		}
	}
	return nil
}

// sharesWithAll reports whether svc may share addr with all holders of addr.
func (n *naive) sharesWithAll(svc *cluster.Service, addr netip.Addr) bool {
	for _, holder := range n.holders[addr] {
		if !n.mayShare(svc, holder, addr) {
			return false
		}
	}
	return n.leaving[addr] == nil
}

// perhaps returns the Services that perhaps have addr.
func (n *naive) perhaps(addr netip.Addr) []*cluster.Service {
	var all []*cluster.Service
	for _, r := range n.resting {
		if r.Addr == addr && r.Firm {
			all = append(all, lookUp(n.Services, r.Holder))
		}
	}
	return all
}

// isOpen reports whether svc may share addr with all Services that have addr or perhaps have addr.
func (n *naive) isOpen(svc *cluster.Service, addr netip.Addr) bool {
	for _, holder := range n.perhaps(addr) {
		if holder.Key != svc.Key && !n.mayShare(svc, holder, addr) {
			return false
		}
	}
	return n.sharesWithAll(svc, addr)
}

// mayHave reports whether the configuration and the network allow addr for svc.
func (n *naive) mayHave(svc *cluster.Service, addr netip.Addr) bool {
	p := n.poolOf(addr)
	if p == nil || n.isTaken(addr) {
		return false
	}
	if keys := n.reservedFor(addr); keys != nil {
		return slices.Contains(keys, svc.Key)
	}
	return n.admits(p, svc)
}

// counts reports whether addr counts for the quota of a namespace.
func (n *naive) counts(namespace string, addr netip.Addr) bool {
	for _, holder := range append(n.perhaps(addr), n.holders[addr]...) {
		if holder.Key.Namespace == namespace {
			return true
		}
	}
	return false
}

// withinQuota reports whether the quota allows addr for a Service of the namespace, in addition to the addresses in
// getting.
func (n *naive) withinQuota(namespace string, addr netip.Addr, getting map[cluster.Family]Assignment) bool {
	p := n.poolOf(addr)
	limit, limited := p.Quotas[namespace]
	if all, ok := p.Quotas[""]; ok && !limited {
		limit, limited = all, true
	}
	count := 0
	for _, a := range n.addrs(p) {
		got := slices.ContainsFunc([]cluster.Family{cluster.IPv4, cluster.IPv6}, func(f cluster.Family) bool { return getting[f].Addr == a })
		if got || n.counts(namespace, a) {
			count++
		}
	}
	return !limited || n.counts(namespace, addr) || count < limit
}

func (n *naive) hold(svc *cluster.Service, addr netip.Addr) {
	if len(n.holders[addr]) == 0 {
		n.order = append(n.order, addr)
	}
	n.holders[addr] = append(n.holders[addr], svc)
}

func (n *naive) adopt(svc *cluster.Service, held []Assignment, addr netip.Addr) (Assignment, bool) {
	p, family := n.poolOf(addr), cluster.FamilyOf(addr)
	if !slices.Contains(naiveWanted(svc), family) || naiveOf(held, family) != nil || !n.mayHave(svc, addr) || !n.sharesWithAll(svc, addr) {
		return Assignment{}, false
	}
	if svc.RequestProblem == "" {
		for _, r := range svc.Requested {
			if r != addr && r.Is4() == addr.Is4() {
				return Assignment{}, false
			}
		}
		if n.Config.Pool(svc.RequestedPool) != nil && p.Name != svc.RequestedPool {
			return Assignment{}, false
		}
	}
	n.hold(svc, addr)
	return Assignment{Addr: addr, Pool: p.Name}, true
}

func (n *naive) leave(svc *cluster.Service, addr netip.Addr) {
	if n.poolOf(addr) != nil {
		n.leaving[addr] = svc
	}
}

// adopted ends the adoption of held addresses: adopted sorts order by the age of the holders.
func (n *naive) adopted() {
	slices.SortFunc(n.order, func(x, y netip.Addr) int {
		if c := Older(slices.MinFunc(n.holders[x], Older), slices.MinFunc(n.holders[y], Older)); c != 0 {
			return c
		}
		return x.Compare(y)
	})
}

// isUsed reports whether a Service holds addr or must give up addr.
func (n *naive) isUsed(addr netip.Addr) bool {
	return len(n.holders[addr]) > 0 || n.leaving[addr] != nil
}

// String lists the holders of all addresses.
func (n *naive) String() string { return fmt.Sprint(n.holders, n.leaving) }
