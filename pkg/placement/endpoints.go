package placement

import (
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
)

// endpointWeight is added to the weight of a node with a ready endpoint where such nodes go first. The value exceeds any
// sum of the weights of a pool's preferred nodes, and no configured node loses against one without a configuration.
const endpointWeight = 1 << 28

// Near returns the nodes that should announce an address of pool rather than others, sorted: the nodes with a ready
// endpoint of the first of the serving Services that prefers such nodes, by its own annotation or by the pool. It returns
// nothing where no Service does.
func Near(serving []*cluster.Service, pool *config.Pool) []string {
	for _, s := range serving {
		if prefersEndpoints(s, pool) {
			return s.ReadyNodes
		}
	}
	return nil
}

func prefersEndpoints(s *cluster.Service, pool *config.Pool) bool {
	if s.AnnounceFrom == cluster.FromPool {
		return pool != nil && pool.FromEndpoints
	}
	return s.AnnounceFrom == cluster.FromEndpoints
}

// PreferEndpoints returns the candidates with the weight of an endpoint for the named nodes; both lists are sorted by
// name. It returns the same slice when it names no candidate, and otherwise a new one.
func PreferEndpoints(candidates []election.Candidate, near []string) []election.Candidate {
	weighed := candidates
	for _, name := range near {
		i, ok := slices.BinarySearchFunc(candidates, name, byName)
		if !ok {
			continue
		}
		if &weighed[0] == &candidates[0] {
			weighed = slices.Clone(candidates)
		}
		weighed[i] = candidates[i].Weighing(candidates[i].Weight() + endpointWeight)
	}
	return weighed
}

func byName(c election.Candidate, name string) int { return strings.Compare(c.Name(), name) }
