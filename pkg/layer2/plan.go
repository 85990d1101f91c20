package layer2

import (
	"iter"
	"maps"
	"net/netip"
	"path"
	"slices"
	"sync/atomic"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

// table holds all data that a port and its packet readers look up. A table never changes after publication.
type table struct {
	Interface
	// addrs holds the addresses to answer for on the interface.
	addrs byaddr.Map[struct{}]
	// announced holds the part of addrs that another process of this host had already announced here.
	announced byaddr.Map[struct{}]
	// known holds addrs and the watched addresses on the interface.
	known byaddr.Map[Mode]
	// kernel holds the part of addrs that the kernel of this host has too. kernel should be empty.
	kernel byaddr.Map[struct{}]
	// asked holds the addresses being probed.
	asked *inquiries
	// nodes holds the hardware addresses of the other nodes; nil for none.
	nodes *atomic.Pointer[map[MAC]string]
	// macs holds all hardware addresses of this host.
	macs map[MAC]struct{}
	// scope holds all addresses for which frames may concern this host, including addrs.
	scope *scope
}

func (t *table) equal(o *table) bool {
	return t.Interface.equal(o.Interface) && byaddr.Equal(t.known, o.known) && byaddr.Equal(t.announced, o.announced) &&
		byaddr.Equal(t.kernel, o.kernel) && maps.Equal(t.macs, o.macs) && t.scope == o.scope
}

func (t Target) equal(o Target) bool {
	return t.Addr == o.Addr && t.Mode == o.Mode && t.Announced == o.Announced && slices.Equal(t.Interfaces, o.Interfaces)
}

// normalize returns the targets sorted by address, each address once, without invalid addresses. normalize merges
// several targets of one address. The merged target has the interfaces of all targets, or none if one target has none.
// Its Mode is Answer if the Mode of one target is Answer. The merged target is Announced only if all targets in that
// Mode are Announced.
func normalize(targets []Target) []Target {
	list := make([]Target, 0, len(targets))
	for _, t := range targets {
		if addr := t.Addr.Unmap().WithZone(""); addr.IsValid() {
			names := slices.Clone(t.Interfaces)
			slices.Sort(names)
			list = append(list, Target{
				Addr: addr, Interfaces: slices.Compact(names), Mode: t.Mode, Announced: t.Announced && t.Mode == Answer,
			})
		}
	}
	slices.SortStableFunc(list, func(a, b Target) int { return a.Addr.Compare(b.Addr) })
	out := list[:0]
	for _, t := range list {
		if len(out) == 0 || out[len(out)-1].Addr != t.Addr {
			out = append(out, t)
			continue
		}
		last := &out[len(out)-1]
		if last.Mode == t.Mode {
			last.Announced = last.Announced && t.Announced
		} else if t.Mode == Answer {
			last.Mode, last.Announced = t.Mode, t.Announced
		}
		if len(last.Interfaces) == 0 || len(t.Interfaces) == 0 {
			last.Interfaces = nil
			continue
		}
		last.Interfaces = slices.Concat(last.Interfaces, t.Interfaces)
		slices.Sort(last.Interfaces)
		last.Interfaces = slices.Compact(last.Interfaces)
	}
	return out
}

// layout holds the links of a host and their division into networks. A layout never changes after publication.
type layout struct {
	links []Interface
	// network holds, for each link, the position of the first link in the same network.
	network []int
	// node records, for each link, whether the link has an InternalIP of this host's Node.
	node []bool
}

// newLayout divides links into networks. Two links with an equal subnet in one routing domain count as two links to one
// network, and so do two links connected by a third. A route on the link is as good as a subnet. newLayout uses no other evidence: a link without a common subnet
// is a network of its own.
func newLayout(links []Interface, nodeAddrs []netip.Addr) *layout {
	type subnet struct {
		vrf    int
		prefix netip.Prefix
	}
	l := &layout{links: links, network: make([]int, len(links)), node: make([]bool, len(links))}
	first := map[subnet]int{}
	for at, i := range links {
		l.network[at] = at
		for _, p := range i.Prefixes {
			l.node[at] = l.node[at] || slices.Contains(nodeAddrs, p.Addr())
		}
		for _, p := range slices.Concat(i.Prefixes, i.OnLink) {
			// A prefix of a single address or of link-local addresses may occur on unconnected links.
			if p.IsSingleIP() || p.Addr().IsLinkLocalUnicast() {
				continue
			}
			key := subnet{i.VRF, p.Masked()}
			if other, known := first[key]; known {
				l.unite(l.network[other], l.network[at])
			} else {
				first[key] = at
			}
		}
	}
	return l
}

// unite merges two networks.
func (l *layout) unite(a, b int) {
	for at, n := range l.network {
		if n == a || n == b {
			l.network[at] = min(a, b)
		}
	}
}

// serving appends the positions of the links that serve the target to chosen, one link for each network: those with a
// subnet that contains the address, otherwise those with a route on the link to it, otherwise all. Links that are
// down take part: if the subnet of an address is on a link without carrier, the address must not appear in another
// network.
func (l *layout) serving(t Target, chosen []int) []int {
	if len(t.Interfaces) == 0 {
		for _, subnets := range []func(Interface) []netip.Prefix{Interface.subnets, Interface.onLink} {
			for at, i := range l.links {
				if holds(subnets(i), t.Addr) {
					chosen = l.choose(chosen, at, t.Addr)
				}
			}
			if len(chosen) > 0 {
				return chosen
			}
		}
	}
	for at, i := range l.links {
		if t.Wants(i, false) {
			chosen = l.choose(chosen, at, t.Addr)
		}
	}
	return chosen
}

// choose adds a link to the chosen links, or replaces the chosen link of the same network if the new link comes before
// that link.
func (l *layout) choose(chosen []int, at int, addr netip.Addr) []int {
	same := slices.IndexFunc(chosen, func(other int) bool { return l.network[other] == l.network[at] })
	switch {
	case same < 0:
		return append(chosen, at)
	case l.before(at, chosen[same], addr):
		chosen[same] = at
	}
	return chosen
}

// before reports whether link a, rather than b of the same network, serves addr: first the link that can serve addr
// now, then the link with the Node's InternalIP, then the link with the lower index. The other link stands by.
func (l *layout) before(a, b int, addr netip.Addr) bool {
	if x, y := l.links[a].serves(addr), l.links[b].serves(addr); x != y {
		return x
	}
	if l.node[a] != l.node[b] {
		return l.node[a]
	}
	return l.links[a].Index < l.links[b].Index
}

// serves reports whether the link can answer for addr now: the link is up and, for IPv6, has a link-local address.
func (i Interface) serves(addr netip.Addr) bool {
	return i.Up && (addr.Is4() || i.LinkLocal.IsValid())
}

// plan assigns the addresses to links, by interface index.
func plan(targets iter.Seq[Target], l *layout) map[int]map[netip.Addr]Mode {
	assigned := make(map[int]map[netip.Addr]Mode, len(l.links))
	for _, i := range l.links {
		assigned[i.Index] = make(map[netip.Addr]Mode)
	}
	var chosen []int
	for t := range targets {
		chosen = l.serving(t, chosen[:0])
		for _, at := range chosen {
			assigned[l.links[at].Index][t.Addr] = t.Mode
		}
	}
	return assigned
}

// Wants reports whether the announcer may serve the target on i. subnet is true if any interface has a subnet with the
// address. Of several such interfaces in one network, the announcer uses one.
func (t Target) Wants(i Interface, subnet bool) bool {
	if len(t.Interfaces) == 0 {
		return !subnet || i.Holds(t.Addr)
	}
	return slices.ContainsFunc(t.Interfaces, func(pattern string) bool { return matches(pattern, i.Name) })
}

// matches reports whether name equals or matches the pattern. A malformed pattern matches only the same text.
func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return pattern == name || err == nil && ok
}

// diff returns the addresses only in the new set and the addresses only in the old set, in ascending order.
func diff(old, next map[netip.Addr]struct{}) (start, stop []netip.Addr) {
	for addr := range next {
		if _, ok := old[addr]; !ok {
			start = append(start, addr)
		}
	}
	for addr := range old {
		if _, ok := next[addr]; !ok {
			stop = append(stop, addr)
		}
	}
	slices.SortFunc(start, netip.Addr.Compare)
	slices.SortFunc(stop, netip.Addr.Compare)
	return start, stop
}
