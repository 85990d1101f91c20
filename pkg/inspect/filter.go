package inspect

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Filter selects Services. The zero Filter selects all Services.
type Filter struct {
	// Namespace is the namespace of the Services; empty for all namespaces.
	Namespace string
	// Keys lists the Services; empty for all Services.
	Keys []cluster.Key
	// Selector selects by labels; nil for all Services.
	Selector labels.Selector
	// Pool selects the Services with an address of the pool; empty for all pools.
	Pool string
	// Node selects the Services with an address that the node announces; empty for all nodes.
	Node string
	// Problems selects the Services that lack an address, or have an address that is not announced for certain.
	Problems bool
}

// FilteredServices lists the Services that the filter selects, and the Keys of the filter that Lanlord does not manage.
func FilteredServices(c *Cluster, f Filter) (list ServiceList, unknown []cluster.Key) {
	list = ServiceList{Services: []ServiceRow{}, NotKnown: c.gaps(OfServices, OfOthers, OfProcesses), at: c.At}
	view := newView(c)
	for i := range c.Services {
		s := &c.Services[i]
		if !f.selects(s) {
			continue
		}
		if row := view.service(s); f.selectsRow(&row) {
			list.Services = append(list.Services, row)
		}
	}
	list.filtered = len(list.Services) < len(c.Services)
	for _, key := range f.Keys {
		if c.Service(key) == nil {
			unknown = append(unknown, key)
		}
	}
	return list, unknown
}

func (f *Filter) selects(s *cluster.Service) bool {
	if len(f.Keys) > 0 {
		return slices.Contains(f.Keys, s.Key)
	}
	return (f.Namespace == "" || s.Key.Namespace == f.Namespace) && (f.Selector == nil || f.Selector.Matches(labels.Set(s.Labels)))
}

func (f *Filter) selectsRow(row *ServiceRow) bool {
	if f.Pool != "" && !slices.ContainsFunc(row.Addresses, func(a AddressRow) bool { return a.Pool == f.Pool }) {
		return false
	}
	if f.Node != "" && !slices.ContainsFunc(row.Addresses, func(a AddressRow) bool { return a.AnnouncedBy(f.Node) }) {
		return false
	}
	return !f.Problems || !row.Assigned || slices.ContainsFunc(row.Addresses, func(a AddressRow) bool { return !isWell(a.State) })
}

// AnnouncedBy reports whether the node answers for the address, or announces the address by BGP.
func (a *AddressRow) AnnouncedBy(node string) bool {
	if slices.Contains(a.Nodes, node) {
		return true
	}
	return a.Routing != nil &&
		slices.ContainsFunc(a.Routing.Routers, func(r RouterNodes) bool { return slices.Contains(r.Nodes, node) })
}

// Only returns the pools with the names, and the names without a pool. Without names, Only returns all pools.
func (l PoolList) Only(names []string) (some PoolList, unknown []string) {
	if len(names) == 0 {
		return l, nil
	}
	some = l
	some.Pools = []PoolRow{}
	for _, name := range names {
		before := len(some.Pools)
		for _, p := range l.Pools {
			if p.Name == name {
				some.Pools = append(some.Pools, p)
			}
		}
		if len(some.Pools) == before {
			unknown = append(unknown, name)
		}
	}
	return some, unknown
}

// Only returns the sessions of the node, or of all nodes if node is empty. With problems, Only returns the sessions
// that are not established.
func (l PeerList) Only(node string, problems bool) PeerList {
	some := l
	some.Sessions = []PeerRow{}
	for _, row := range l.Sessions {
		if (node == "" || row.Node == node) && (!problems || !row.Up) {
			some.Sessions = append(some.Sessions, row)
		}
	}
	some.filtered = len(some.Sessions) < len(l.Sessions)
	return some
}
