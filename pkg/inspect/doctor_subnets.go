package inspect

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// subnets returns the subnets of the nodes, as the speakers report them.
func (c *Cluster) subnets() (list []netip.Prefix) {
	for i := range c.Speakers {
		s := &c.Speakers[i]
		list = append(list, s.Networks.Subnets...)
		if s.Says == nil {
			continue
		}
		for _, link := range s.Says.Interfaces {
			for _, text := range link.Subnets {
				if p, err := netip.ParsePrefix(text); err == nil && link.Used {
					list = append(list, p.Masked())
				}
			}
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// routed reports whether only routers learn of the address, because its pool has protocol bgp alone.
func (c *Cluster) routed(a netip.Addr) bool {
	if c.Config.Config == nil {
		return false
	}
	p := c.Config.Config.PoolOf(a)
	return p != nil && !p.Layer2
}

// checkSubnets looks for pools with a protocol that does not fit the subnets of the nodes.
func checkSubnets(c *Cluster, f *findings) string {
	subnets := c.subnets()
	if c.Config.Config == nil {
		return "no pools to look at"
	}
	if len(subnets) == 0 {
		f.unchecked("no speaker has told of the subnets of its node")
		return ""
	}
	well := "all addresses of the pools are in subnets of the nodes"
	held := holdersOf(c)
	for i := range c.Config.Config.Pools {
		if p := &c.Config.Config.Pools[i]; p.Layer2 {
			checkOutside(p, subnets, held, f)
		} else {
			checkInside(p, subnets, f)
		}
		if c.Config.Config.Pools[i].BGP {
			well = "each pool goes with its protocols: layer2 alone inside the subnets of the nodes, bgp alone outside of them"
		}
	}
	return well
}

// checkOutside looks for addresses of a layer2 pool outside all subnets. A pool with protocol bgp too is fine, because
// routers know the way.
func checkOutside(p *config.Pool, subnets []netip.Prefix, held map[netip.Addr][]cluster.Key, f *findings) {
	within := func(a netip.Addr) bool {
		return slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	var outside, used []string
	for _, r := range p.Ranges {
		if !within(r.From) || !within(r.To) {
			outside = append(outside, r.String())
		}
	}
	for a, keys := range held {
		if p.Contains(a) && !within(a) {
			used = append(used, fmt.Sprintf("%s (%s)", a, keys[0]))
		}
	}
	slices.Sort(used)
	if len(outside) == 0 || p.BGP {
		return
	}
	text := ""
	if len(used) > 0 {
		text = "; in use of them: " + listed(used)
	}
	const mend = "clients need a route to these addresses by way of the nodes' network; without one, use addresses of a " +
		"subnet that the nodes are in"
	f.remark(mend, "addresses of the pool %q are in no subnet of any node, so they are announced on all interfaces: %s%s",
		sentence(p.Name), listed(outside), text)
}

// checkInside looks for addresses of a bgp pool inside a subnet. The hosts of the subnet ask by ARP and NDP, and get no
// answer.
func checkInside(p *config.Pool, subnets []netip.Prefix, f *findings) {
	for _, subnet := range subnets {
		whole := config.Range{From: subnet.Addr(), To: last(subnet)}
		for _, r := range p.Ranges {
			if inside, ok := common(r, whole); ok {
				f.remark("write protocols: [layer2, bgp] in the pool, if hosts of the subnet are to reach the addresses",
					"addresses of the pool %q, which has protocol bgp alone, are in the subnet %s, "+
						"whose hosts get no answer to ARP and NDP: %s", sentence(p.Name), subnet, inside)
			}
		}
	}
}

// last returns the last address of the subnet.
func last(subnet netip.Prefix) netip.Addr {
	bytes := subnet.Addr().AsSlice()
	for bit := subnet.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
