package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// catalog holds the pools of the configuration and the rules on which Services may use a pool.
type catalog struct {
	cfg    *config.Config
	pools  []pool
	byName map[string]int
	// namespaces maps a namespace to its labels. The map is empty unless a pool has namespace selectors.
	namespaces map[string]map[string]string
	// selective holds the indices of the pools with service selectors, labels the label keys that these selectors read.
	selective []int
	labels    []string
	// spans holds the ranges of all pools, ascending.
	spans []span
}

// poolOf returns the index of the pool with a range that contains addr, -1 for none.
func (c *catalog) poolOf(addr netip.Addr) int {
	after, found := slices.BinarySearchFunc(c.spans, addr, func(s span, addr netip.Addr) int { return s.From.Compare(addr) })
	if found {
		return c.spans[after].pool
	}
	if after == 0 || c.spans[after-1].To.Less(addr) {
		return -1
	}
	return c.spans[after-1].pool
}

// leavesOut reports whether pool i does not hand out addr, although a range of the pool contains addr.
func (c *catalog) leavesOut(i int, addr netip.Addr) bool {
	return c.pools[i].AvoidBuggyIPs && isBuggy(addr)
}

// admits reports whether svc may use pool i.
func (c *catalog) admits(i int, svc *cluster.Service) bool {
	p := &c.pools[i]
	return !p.restricted || c.admitsNamespace(p, svc.Key.Namespace) && p.AdmitsService(svc.Labels)
}

func (c *catalog) admitsNamespace(p *pool, namespace string) bool {
	return p.AdmitsNamespace(namespace, c.namespaces[namespace])
}

// prepareSelectors collects the labels that selectors read.
func (c *catalog) prepareSelectors(namespaces []cluster.Namespace) {
	if c.cfg.NamespaceLabels() {
		c.namespaces = make(map[string]map[string]string, len(namespaces))
		for _, n := range namespaces {
			c.namespaces[n.Name] = n.Labels
		}
	}
	for i := range c.pools {
		p := &c.pools[i]
		if len(p.ServiceSelectors) > 0 {
			c.selective = append(c.selective, i)
		}
		for _, selector := range p.ServiceSelectors {
			requirements, _ := selector.Requirements()
			for _, r := range requirements {
				c.labels = append(c.labels, r.Key())
			}
		}
	}
	slices.Sort(c.labels)
	c.labels = slices.Compact(c.labels)
}
