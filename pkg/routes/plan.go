package routes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// decider makes one decision.
type decider struct {
	in     Input
	config *config.Config
	nodes  *placement.Nodes
	// exclusion excludes this node from every address. has are the labels of this node.
	exclusion reason.Exclusion
	has       labels.Set
	// peers are the peers of this node, classOf the index in classes for each of them.
	peers   []*config.Peer
	classOf []int
	classes []class
	plans   map[*config.Pool]*plan
	// fitting are the peers of other nodes, for the ranks.
	fitting map[*cluster.Node][]*config.Peer
	first   map[aggregate]bool
	items   []item
}

func newDecider(nodes *placement.Nodes, in Input) *decider {
	d := &decider{
		in: in, config: in.Snapshot.Config, nodes: nodes, exclusion: nodes.NodeExclusion(in.Self),
		plans: map[*config.Pool]*plan{}, fitting: map[*cluster.Node][]*config.Peer{}, first: map[aggregate]bool{},
	}
	if self := nodes.Node(in.Self); self != nil {
		d.has = self.Labels
	}
	d.peers = d.peersOf(d.has)
	d.classify()
	return d
}

// peersOf returns the peers of a node with these labels.
func (d *decider) peersOf(has labels.Set) (peers []*config.Peer) {
	for i := range d.config.Peers {
		if p := &d.config.Peers[i]; fits(p.NodeSelectors, has) {
			peers = append(peers, p)
		}
	}
	return peers
}

// poolOf returns the pool of a, and false when a is for layer 2 only.
func (d *decider) poolOf(a netip.Addr) (*config.Pool, bool) {
	pool := d.config.PoolOf(a)
	return pool, pool == nil || pool.BGP
}

// aggregate is an aggregate of one pool.
type aggregate struct {
	pool   *config.Pool
	prefix netip.Prefix
}

// plan holds the part of the decision that all addresses of a pool share.
type plan struct {
	pool *config.Pool
	// exclusion excludes this node from the pool, and detail says so in a sentence.
	exclusion reason.Exclusion
	detail    string
	// announces is true when this node is eligible, or shuts down and is selected by the pool.
	announces bool
	// selective is true when an advertisement has service selectors. variants are then found by the advertisements that
	// fit the Services.
	selective bool
	variants  map[string]*variant
}

// variant holds the part of the decision that the addresses of a pool share whose Services fit the same advertisements.
type variant struct {
	pool *config.Pool
	// ads are the advertisements for these Services, on any node.
	ads []*config.Advertisement
	// offers are the prefixes of an address, for each class of peers.
	offers []offers
	// peers are the names of the peers of this node that get a prefix, in the order of the configuration. detail explains
	// an empty list.
	peers  []string
	detail string
	// candidates are the nodes with a peer that gets a prefix. ranked is true when they are known.
	candidates []election.Candidate
	ranked     bool
}

func (d *decider) plan(pool *config.Pool) *plan {
	p := d.plans[pool]
	if p == nil {
		p = d.newPlan(pool)
		d.plans[pool] = p
	}
	return p
}

func (d *decider) newPlan(pool *config.Pool) *plan {
	p := &plan{pool: pool, exclusion: d.nodes.PoolExclusion(d.in.Self, pool), variants: map[string]*variant{}}
	// A node that announces the addresses of other pools has no routes of this one to shut down.
	excluded := p.exclusion == reason.ExcludedByLabel && d.exclusion != reason.ExcludedByLabel
	selected := fits(pool.NodeSelectors, d.has)
	if p.exclusion == reason.Eligible && !selected {
		p.exclusion = reason.NotSelected
	}
	if p.exclusion != reason.Eligible {
		p.detail = excludedText(p.exclusion)
	}
	p.announces = selected && !excluded && d.in.mayAnnounce(p.exclusion)
	p.selective = slices.ContainsFunc(pool.Advertisements,
		func(a config.Advertisement) bool { return len(a.ServiceSelectors) > 0 })
	return p
}

// variant returns the variant of the address, which is in the pool of p.
func (d *decider) variant(p *plan, it *item) *variant {
	var key string
	if p.selective {
		key = matching(p.pool, it)
	}
	v := p.variants[key]
	if v == nil {
		v = d.newVariant(p.pool, it)
		p.variants[key] = v
	}
	return v
}

// matching identifies the advertisements that fit the Services of the address.
func matching(pool *config.Pool, it *item) string {
	fit := make([]byte, len(pool.Advertisements))
	for i := range pool.Advertisements {
		if it.admitted(&pool.Advertisements[i]) {
			fit[i] = 1
		}
	}
	return string(fit)
}

// admitted reports whether an advertisement is for one of the serving Services of the address.
func (it *item) admitted(ad *config.Advertisement) bool {
	for s := range it.serving {
		if fits(ad.ServiceSelectors, s.Labels) {
			return true
		}
	}
	return false
}

func (d *decider) newVariant(pool *config.Pool, it *item) *variant {
	v := &variant{pool: pool, offers: make([]offers, len(d.classes))}
	here := []*config.Advertisement(nil)
	for i := range pool.Advertisements {
		ad := &pool.Advertisements[i]
		if !it.admitted(ad) {
			continue
		}
		v.ads = append(v.ads, ad)
		if fits(ad.NodeSelectors, d.has) {
			here = append(here, ad)
		}
	}
	for i := range d.classes {
		v.offers[i] = newOffers(slices.DeleteFunc(slices.Clone(here), func(ad *config.Advertisement) bool {
			return !reaches(ad, pool, d.classes[i].sample)
		}))
	}
	for i, p := range d.peers {
		if !v.offers[d.classOf[i]].empty() {
			v.peers = append(v.peers, p.Name)
		}
	}
	if len(v.peers) == 0 {
		v.detail = d.noPeer(v, here)
	}
	return v
}

// reaches reports whether an advertisement of the pool is for the peer.
func reaches(ad *config.Advertisement, pool *config.Pool, peer *config.Peer) bool {
	return (len(peer.AddressPools) == 0 || slices.Contains(peer.AddressPools, pool.Name)) &&
		(len(ad.Peers) == 0 || slices.Contains(ad.Peers, peer.Name))
}

// noPeer explains why no peer of this node gets a prefix by the advertisements here.
func (d *decider) noPeer(v *variant, here []*config.Advertisement) string {
	switch {
	case len(d.config.Peers) == 0:
		return "the configuration has no peers"
	case len(d.peers) == 0:
		return "the node-selectors of no peer match this node"
	case len(v.ads) == 0:
		return fmt.Sprintf("the service-selectors of no advertisement of pool %q match the Service", v.pool.Name)
	case len(here) == 0:
		return fmt.Sprintf("the node-selectors of no advertisement of pool %q match this node", v.pool.Name)
	}
	return fmt.Sprintf("no advertisement of pool %q is for a peer of this node (address-pools and peers)", v.pool.Name)
}

// classify groups the peers of this node. Peers of one class get the same routes.
func (d *decider) classify() {
	found := map[string]int{}
	for _, p := range d.peers {
		var key strings.Builder
		for pool := range d.config.Announced() {
			for j := range pool.Advertisements {
				if reaches(&pool.Advertisements[j], pool, p) {
					key.WriteByte('+')
				} else {
					key.WriteByte('-')
				}
			}
		}
		i, known := found[key.String()]
		if !known {
			i = len(d.classes)
			found[key.String()] = i
			d.classes = append(d.classes, class{sample: p})
		}
		d.classOf = append(d.classOf, i)
	}
}

// reachable returns the eligible nodes with a peer that gets a prefix of the variant, with the weights of the pool.
func (d *decider) reachable(v *variant) []election.Candidate {
	if !v.ranked {
		v.ranked = true
		v.candidates = d.nodes.Routing(v.pool, func(n *cluster.Node) bool { return d.hasRoute(v, n) })
	}
	return v.candidates
}

// hasRoute reports whether a peer of the node gets a prefix of the variant.
func (d *decider) hasRoute(v *variant, n *cluster.Node) bool {
	peers, known := d.fitting[n]
	if !known {
		peers = d.peersOf(labels.Set(n.Labels))
		d.fitting[n] = peers
	}
	return slices.ContainsFunc(v.ads, func(ad *config.Advertisement) bool {
		return fits(ad.NodeSelectors, n.Labels) &&
			slices.ContainsFunc(peers, func(p *config.Peer) bool { return reaches(ad, v.pool, p) })
	})
}
