package kube

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// AddEndpoints fills the endpoints of Services (HasServing, ServingNodes and ReadyNodes) from the EndpointSlices of the
// cluster, as a Store with Options.Endpoints does.
func AddEndpoints(services []*cluster.Service, all []discoveryv1.EndpointSlice) {
	of := map[cluster.Key]*sliceRow{}
	for i := range all {
		row, ok := convertSlice(&all[i])
		if !ok {
			continue
		}
		sum := of[row.service]
		if sum == nil {
			sum = &sliceRow{service: row.service}
			of[row.service] = sum
		}
		sum.serving = sum.serving || row.serving
		sum.nodes, sum.ready = append(slices.Clone(sum.nodes), row.nodes...), append(slices.Clone(sum.ready), row.ready...)
	}
	for _, s := range services {
		sum := of[s.Key]
		if sum == nil {
			s.HasServing, s.ServingNodes, s.ReadyNodes = false, nil, nil
			continue
		}
		s.HasServing = sum.serving
		s.ServingNodes, s.ReadyNodes = compactNodes(sum.nodes, sum.ready)
	}
}
