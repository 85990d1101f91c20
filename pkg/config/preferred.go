package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/labels"
)

// minWeight and maxWeight limit the weight of preferred nodes, to the same range as the preferred node affinity of a
// Pod.
const (
	minWeight = 1
	maxWeight = 100
)

// Preference returns the sum of the weights that the pool gives to a node with the labels has, 0 for no preference.
// Among the nodes that may announce an address of the pool, the nodes with the greatest sum should announce.
func (p *Pool) Preference(has map[string]string) int {
	sum := 0
	for _, preferred := range p.PreferredNodes {
		if preferred.Selector.Matches(labels.Set(has)) {
			sum += preferred.Weight
		}
	}
	return sum
}

// rawPreference is an entry of preferred-nodes: a node selector with a weight.
type rawPreference struct {
	at       place
	weight   value[int64]
	selector rawSelector
}

func (r reader) preference(n *yaml.Node, at place) (rawPreference, bool) {
	p := rawPreference{at: at, selector: rawSelector{at: at}}
	ok := r.mapping(n, at, append([]field{{"weight", r.number(&p.weight, minWeight, maxWeight)}}, r.selectorFields(&p.selector)...))
	return p, ok
}

// preferences returns the entries of preferred-nodes.
func (b *builder) preferences(raw value[[]rawPreference]) []PreferredNodes {
	if raw.ok && len(raw.v) == 0 && raw.present() {
		b.fail(raw.at, "the list is empty; remove the key to prefer no nodes")
	}
	var all []PreferredNodes
	for _, p := range raw.v {
		if !p.weight.given {
			b.fail(p.at, "weight is missing; write it like weight: 10")
		}
		selector := b.selector(p.selector)
		if selector.Empty() && p.selector.isEmpty() {
			b.warn(p.at, "this fits every node, so it makes no difference; write match-labels or match-expressions")
		}
		all = append(all, PreferredNodes{int(p.weight.v), selector})
	}
	return all
}

func (s rawSelector) isEmpty() bool { return len(s.labels.v) == 0 && len(s.expressions.v) == 0 }

func (p Pool) preferenceTexts() []string {
	var texts []string
	for _, preferred := range p.PreferredNodes {
		what := selectorTexts([]labels.Selector{preferred.Selector}, "node")[0]
		texts = append(texts, fmt.Sprintf("%d for %s", preferred.Weight, what))
	}
	return texts
}
