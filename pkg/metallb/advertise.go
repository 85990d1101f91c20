package metallb

import (
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// announce sets the nodes and interfaces that announce the pool. In MetalLB, every node that matches one of the pool's
// advertisements announces the pool, on the interfaces of all advertisements that match the node.
func (r *resources) announce(p *pool, e *poolEntry) {
	layer2, bgp := r.of(p, r.layer2), r.of(p, r.bgp)
	switch {
	case len(layer2) == 0 && len(bgp) > 0:
		e.Protocol = "bgp"
		r.route(p, e, bgp)
		return
	case len(layer2) == 0:
		e.NodeSelectors = noNode()
		r.note("%s: it is in no advertisement, so MetalLB gives its addresses and announces none; node-selectors ask for the label %s, "+
			"which no node has, to the same effect: remove them to have the addresses announced", p, nowhere)
		return
	case len(bgp) > 0:
		e.Protocol, e.Protocols = "", []string{"layer2", "bgp"}
		r.route(p, e, bgp)
		if nodesOf(layer2) != nil {
			r.note("%s: the nodeSelectors of its L2Advertisements (%s) hold for BGP too, since a pool has one set of nodes",
				p, list(names(layer2)))
		}
	}
	e.NodeSelectors, e.Interfaces = nodesOf(layer2), interfacesOf(layer2)
	for _, a := range layer2 {
		for _, preferred := range a.spec.PreferredNodeSelectors {
			e.PreferredNodes = append(e.PreferredNodes, weightedEntry{preferred.Weight, entry(preferred.Preference)})
		}
	}
	if len(layer2) > 1 {
		r.tellOfUnion(p, layer2)
	}
}

// noNode returns node selectors that match no node.
func noNode() []selectorEntry {
	return []selectorEntry{{MatchExpressions: []expressionEntry{{Key: nowhere, Operator: "Exists"}}}}
}

// nodesOf returns the node selectors of all advertisements, or nil (all nodes) if an advertisement has no selector.
func nodesOf(ads []*advertisement) []selectorEntry {
	var all []selectorEntry
	for _, a := range ads {
		if len(a.spec.NodeSelectors) == 0 {
			return nil
		}
		for _, e := range entries(a.spec.NodeSelectors) {
			if !slices.ContainsFunc(all, func(other selectorEntry) bool { return reflect.DeepEqual(e, other) }) {
				all = append(all, e)
			}
		}
	}
	return all
}

// interfacesOf returns the interfaces of all advertisements, or nil (all interfaces) if an advertisement names no
// interface.
func interfacesOf(ads []*advertisement) []string {
	var all []string
	for _, a := range ads {
		if len(a.spec.Interfaces) == 0 {
			return nil
		}
		for _, name := range a.spec.Interfaces {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// tellOfUnion adds notes about the merge of several advertisements into one set of keys: whether the merge changes the
// meaning.
func (r *resources) tellOfUnion(p *pool, ads []*advertisement) {
	same := func(key func(*advertisement) any) bool {
		return !slices.ContainsFunc(ads, func(a *advertisement) bool { return !reflect.DeepEqual(key(a), key(ads[0])) })
	}
	sameNodes := same(func(a *advertisement) any { return a.spec.NodeSelectors })
	sameInterfaces := same(func(a *advertisement) any { return a.spec.Interfaces })
	preferring := slices.ContainsFunc(ads, func(a *advertisement) bool { return len(a.spec.PreferredNodeSelectors) > 0 })
	r.note("%s: %d L2Advertisements (%s) became one: all their nodes, all their interfaces", p, len(ads), list(names(ads)))
	everything := slices.ContainsFunc(ads, func(a *advertisement) bool { return len(a.spec.NodeSelectors)+len(a.spec.Interfaces) == 0 })
	if !sameNodes && !sameInterfaces && !everything {
		r.note("%s: they have different interfaces for different nodes, which one pool cannot: each node announces on all of them that it has", p)
	}
	if !sameNodes && preferring {
		r.note("%s: the weights of preferredNodeSelectors hold for all of its nodes, not for those of one L2Advertisement alone", p)
	}
}

// tellOfAdvertisements adds notes about parts of advertisements that no pool could take over.
func (r *resources) tellOfAdvertisements() {
	for i := range r.layer2 {
		a := &r.layer2[i]
		if len(a.spec.ServiceSelectors) > 0 {
			r.note("%s: serviceSelectors have no counterpart: every Service that has an address of the pool is announced", a)
		}
		r.tellOfMissing(a)
	}
	for i := range r.bgp {
		a := &r.bgp[i]
		r.tellOfMissing(a)
		for _, name := range a.route.Peers {
			if len(r.known([]string{name})) == 0 {
				r.note("%s: there is no BGPPeer %s", a, name)
			}
		}
	}
}

func (r *resources) tellOfMissing(a *advertisement) {
	for _, name := range a.spec.IPAddressPools {
		if !slices.ContainsFunc(r.pools, func(p pool) bool { return p.Metadata.Name == name }) {
			r.note("%s: there is no IPAddressPool %s", a, name)
		}
	}
}

// of returns the advertisements that select the pool: by name or by labels. An advertisement without both selects all
// pools.
func (r *resources) of(p *pool, ads []advertisement) []*advertisement {
	var all []*advertisement
	for i := range ads {
		a := &ads[i]
		chosen := len(a.spec.IPAddressPools) == 0 && len(a.spec.IPAddressPoolSelectors) == 0 ||
			slices.Contains(a.spec.IPAddressPools, p.Metadata.Name)
		for _, s := range a.spec.IPAddressPoolSelectors {
			fits, err := s.fits(p.Metadata.Labels)
			if err != nil {
				r.note("%s: ipAddressPoolSelectors: %v", a, err)
			}
			chosen = chosen || fits
		}
		if chosen {
			all = append(all, a)
		}
	}
	return all
}

func (s labelSelector) fits(has map[string]string) (bool, error) {
	standard := metav1.LabelSelector{MatchLabels: s.MatchLabels}
	for _, x := range s.MatchExpressions {
		standard.MatchExpressions = append(standard.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: x.Key, Operator: metav1.LabelSelectorOperator(x.Operator), Values: x.Values})
	}
	selector, err := metav1.LabelSelectorAsSelector(&standard)
	if err != nil {
		return false, err
	}
	return selector.Matches(labels.Set(has)), nil
}

func names(ads []*advertisement) []string {
	var all []string
	for _, a := range ads {
		all = append(all, a.Metadata.Name)
	}
	return all
}
