package speaker

import (
	"reflect"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/routes"
)

// convertAll returns the routes of each peer. Routes that have not changed stay the same slice, so that readers see at
// once that there is nothing to do.
func convertAll(table, last routes.Table, before [][]bgp.Route) [][]bgp.Route {
	all := make([][]bgp.Route, len(table.Peers))
	for i, p := range table.Peers {
		if i > 0 && cluster.SameList(p.Routes, table.Peers[i-1].Routes) {
			all[i] = all[i-1]
			continue
		}
		all[i] = convert(p.Routes)
		for j := range last.Peers {
			if last.Peers[j].Config.Name == p.Config.Name && reflect.DeepEqual(all[i], before[j]) {
				all[i] = before[j]
			}
		}
	}
	return all
}

func convert(list []routes.Route) []bgp.Route {
	converted := make([]bgp.Route, len(list))
	for i := range list {
		x := &list[i]
		converted[i] = bgp.Route{
			Prefix: x.Prefix, MED: x.MED, HasMED: x.HasMED, LocalPref: x.LocalPref, Prepend: x.Prepend,
			Communities: x.Communities,
		}
		if i > 0 && cluster.SameList(x.LargeCommunities, list[i-1].LargeCommunities) {
			converted[i].LargeCommunities = converted[i-1].LargeCommunities
			continue
		}
		for _, c := range x.LargeCommunities {
			converted[i].LargeCommunities = append(converted[i].LargeCommunities, c)
		}
	}
	return converted
}
