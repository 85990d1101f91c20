package controller

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// namedInNote is the number of names in a note; the note counts the others.
const namedInNote = 5

// Notes returns sentences about the meaning of cfg in this cluster, in addition to the changes that [Preview] returns:
// nodes that may not announce, addresses of Nodes in pools, and addresses of other controllers outside all pools. Notes
// changes nothing.
func Notes(snapshot cluster.Snapshot, cfg *config.Config) []string {
	snapshot.Config = cfg
	return slices.Concat(excludedNotes(snapshot), nodeAddressNotes(snapshot), announceNotes(snapshot))
}

// excludedNotes warns of pools that no node announces, because all nodes that could announce the pool have the exclude
// label.
func excludedNotes(snapshot cluster.Snapshot) (notes []string) {
	for _, x := range []struct {
		key       string
		announced func(*config.Pool) bool
		used      func(*config.Pool) bool
	}{
		{"layer2", func(p *config.Pool) bool { return p.Layer2 }, func(p *config.Pool) bool { return p.UseExcluded.Layer2 }},
		{"bgp", func(p *config.Pool) bool { return p.BGP }, func(p *config.Pool) bool { return p.UseExcluded.BGP }},
	} {
		var pools []string
		for i := range snapshot.Config.Pools {
			if p := &snapshot.Config.Pools[i]; x.announced(p) && !x.used(p) && allExcluded(p, snapshot.Nodes) {
				pools = append(pools, fmt.Sprintf("%q", p.Name))
			}
		}
		if len(pools) > 0 {
			notes = append(notes, fmt.Sprintf("no node would announce the addresses of pool %s by %s: all nodes that could have the "+
				"label node.kubernetes.io/exclude-from-external-load-balancers. MetalLB v0.9 to v0.12 ignored that label. Write "+
				"%s: {excluded-nodes: use}, or remove the label from a node", named(pools), x.key, x.key))
		}
	}
	return notes
}

// allExcluded reports whether at least one node could announce addresses of the pool, and all such nodes have the
// exclude label.
func allExcluded(p *config.Pool, nodes []cluster.Node) bool {
	found := false
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.Labels["kubernetes.io/os"] == "windows" || n.Deleting || !fits(p.NodeSelectors, n.Labels):
		case !n.Excluded:
			return false
		default:
			found = true
		}
	}
	return found
}

func fits(selectors []labels.Selector, has map[string]string) bool {
	return len(selectors) == 0 ||
		slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(has)) })
}

// nodeAddressNotes returns notes about addresses of Nodes in pools: about pools where Services may have such addresses,
// and about pools without any other address.
func nodeAddressNotes(snapshot cluster.Snapshot) (notes []string) {
	own := map[*config.Pool][]string{}
	seen := map[netip.Addr]bool{}
	for i := range snapshot.Nodes {
		n := &snapshot.Nodes[i]
		for _, a := range slices.Concat(n.Addresses, n.External) {
			if p := snapshot.Config.PoolOf(a); p != nil && !seen[a] {
				seen[a] = true
				own[p] = append(own[p], fmt.Sprintf("%s (node %s)", a, n.Name))
			}
		}
	}
	for i := range snapshot.Config.Pools {
		p := &snapshot.Config.Pools[i]
		v4, v6 := p.Size()
		all := v4.Add(v4, v6).Cmp(big.NewInt(int64(len(own[p])))) == 0
		switch {
		case len(own[p]) == 0:
		case snapshot.Config.Allocation.AllowNodeAddresses:
			notes = append(notes, fmt.Sprintf("pool %q has addresses of Nodes, and Services may have them (allow-node-addresses): %s. "+
				"Lanlord does not announce such an address: the kernel of its node answers, no other node takes over, and a Service "+
				"takes its ports from the node itself", p.Name, named(own[p])))
		case all:
			notes = append(notes, fmt.Sprintf("pool %q has addresses of Nodes only, and Lanlord gives these to no Service: %s. Use "+
				"addresses that no host has; or write allocation: {allow-node-addresses: true}, and only that node serves the "+
				"address", p.Name, named(own[p])))
		}
	}
	return notes
}

// announceNotes returns a note about addresses that other controllers assigned and that no pool contains.
func announceNotes(snapshot cluster.Snapshot) []string {
	var outside []string
	for _, s := range snapshot.AnnounceOnly() {
		for _, a := range s.Ingress {
			if snapshot.Config.PoolOf(a) == nil {
				outside = append(outside, fmt.Sprintf("%s of %s", a, s.Key))
			}
		}
	}
	if len(outside) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("these addresses of Services in announce-classes are in no pool, so Lanlord would not announce "+
		"them: %s", named(outside))}
}

// named joins the first texts, up to namedInNote, and counts the others.
func named(texts []string) string {
	if more := len(texts) - namedInNote; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:namedInNote], ", "), more)
	}
	return strings.Join(texts, ", ")
}
