package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// The raw types hold a document as written: every value with its place. Only the type of each value is checked.

type rawConfig struct {
	pools       value[[]rawPool]
	peers       value[[]rawPeer]
	communities value[[]entry]
	profiles    value[[]rawProfile]
	classes     value[[]value[string]]

	releaseDelay value[time.Duration]
	avoidNetwork value[bool]
	allowNode    value[bool]
	withdrawAll  value[bool]
	// withdrawDelay has no default, because Config records whether the key is given.
	withdrawDelay value[time.Duration]
	refresh       value[time.Duration]
	rate          value[int64]
	ping          value[bool]
	failback      value[time.Duration]
	moveOnCordon  value[bool]
	pathProbe     value[time.Duration]
	drain         value[time.Duration]
	// layer2Excluded and bgpExcluded hold the key excluded-nodes of layer2 and of bgp.
	layer2Excluded value[string]
	bgpExcluded    value[string]
}

type rawPool struct {
	at             place
	name           value[string]
	protocol       value[string]
	protocols      value[[]value[string]]
	addresses      value[[]value[string]]
	avoidBuggyIPs  value[bool]
	autoAssign     value[bool]
	advertisements value[[]rawAdvertisement]
	// MetalLB does not have the following keys.
	priority           value[int64]
	disabled           value[bool]
	exclude            value[[]value[string]]
	namespaces         value[[]value[string]]
	namespaceSelectors value[[]rawSelector]
	serviceSelectors   value[[]rawSelector]
	reserve            value[[]rawReservation]
	quota              rawQuota
	shareAcross        value[bool]
	nodeSelectors      value[[]rawSelector]
	preferredNodes     value[[]rawPreference]
	interfaces         value[[]value[string]]
	spread             value[int64]
	excludedNodes      value[string]
	announceFrom       value[string]
}

// rawReservation is an address as written by the user, with the Services of the reservation.
type rawReservation struct {
	at       place
	addr     string
	services []value[string]
}

type rawQuota struct {
	at place
	// wrong is true when a part of the quota could not be read.
	wrong      bool
	each       value[int64]
	namespaces value[[]rawLimit]
}

// rawLimit is the quota of a namespace.
type rawLimit struct {
	namespace string
	limit     value[int64]
}

type rawSelector struct {
	at          place
	labels      value[[]entry]
	expressions value[[]rawExpression]
}

type rawExpression struct {
	at       place
	key      value[string]
	operator value[string]
	values   value[[]value[string]]
}

// config reads the whole document; root is nil for an empty document.
func (r reader) config(root *yaml.Node) rawConfig {
	var c rawConfig
	if root == nil {
		return c
	}
	r.mapping(root, place{line: root.Line}, []field{
		{"address-pools", list(r, &c.pools, r.pool)},
		{"peers", list(r, &c.peers, r.peer)},
		{"bgp-communities", r.named(&c.communities)},
		{"bfd-profiles", list(r, &c.profiles, r.profile)},
		{"announce-classes", r.texts(&c.classes)},
		{"allocation", func(n *yaml.Node, at place) {
			r.mapping(n, at, []field{
				{"release-delay", r.duration(&c.releaseDelay)},
				{"avoid-network-addresses", r.boolean(&c.avoidNetwork)},
				{"withdraw-all", r.boolean(&c.withdrawAll)},
				{"allow-node-addresses", r.boolean(&c.allowNode)},
				{"withdraw-delay", r.duration(&c.withdrawDelay)},
			})
		}},
		{"layer2", func(n *yaml.Node, at place) {
			r.mapping(n, at, []field{
				{"refresh", r.duration(&c.refresh)},
				{"rate", r.number(&c.rate, 10, 1_000_000)},
				{"ping", r.boolean(&c.ping)},
				{"failback", r.durationOrNever(&c.failback)},
				{"move-on-cordon", r.boolean(&c.moveOnCordon)},
				{"path-probe", r.duration(&c.pathProbe)},
				{"excluded-nodes", r.text(&c.layer2Excluded)},
			})
		}},
		{"bgp", func(n *yaml.Node, at place) {
			r.mapping(n, at, []field{
				{"drain", r.duration(&c.drain)},
				{"excluded-nodes", r.text(&c.bgpExcluded)},
			})
		}},
	})
	return c
}

func (r reader) pool(n *yaml.Node, at place) (rawPool, bool) {
	at.pool = nameIn(n)
	p := rawPool{at: at}
	ok := r.mapping(n, at, []field{
		{"name", r.text(&p.name)},
		{"protocol", r.protocol(&p.protocol)},
		{"addresses", r.texts(&p.addresses)},
		{"avoid-buggy-ips", r.boolean(&p.avoidBuggyIPs)},
		{"auto-assign", r.boolean(&p.autoAssign)},
		{"bgp-advertisements", list(r, &p.advertisements, r.advertisement)},
		{"priority", r.number(&p.priority, 0, 1_000_000)},
		{"exclude", r.texts(&p.exclude)},
		{"disabled", r.boolean(&p.disabled)},
		{"namespaces", r.texts(&p.namespaces)},
		{"namespace-selectors", list(r, &p.namespaceSelectors, r.selector)},
		{"service-selectors", list(r, &p.serviceSelectors, r.selector)},
		{"reserve", r.reservations(&p.reserve)},
		{"quota", r.quota(&p.quota)},
		{"share-across-namespaces", r.boolean(&p.shareAcross)},
		{"node-selectors", list(r, &p.nodeSelectors, r.selector)},
		{"preferred-nodes", list(r, &p.preferredNodes, r.preference)},
		{"interfaces", r.texts(&p.interfaces)},
		{"protocols", r.texts(&p.protocols)},
		{"spread", r.spread(&p.spread)},
		{"excluded-nodes", r.text(&p.excludedNodes)},
		{"announce-from", r.text(&p.announceFrom)},
	})
	return p, ok
}

// nameIn returns the name of the pool n before the pool is read, so that problems found during the read can name the
// pool.
func nameIn(n *yaml.Node) string {
	n = follow(n)
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i < len(n.Content); i += 2 {
		if name := follow(n.Content[i+1]); n.Content[i].Value == "name" && name.Kind == yaml.ScalarNode && !isNull(name) {
			return name.Value
		}
	}
	return ""
}

// reservations reads a mapping from addresses to the name of a Service or a list of names.
func (r reader) reservations(to *value[[]rawReservation]) read {
	return func(n *yaml.Node, at place) {
		pairs, ok := r.pairs(n, at)
		to.at, to.given, to.ok = at, !isNull(follow(n)), ok
		for _, p := range pairs {
			raw := rawReservation{at: at.key(p.key, p.line), addr: p.key}
			if follow(p.value).Kind == yaml.SequenceNode {
				var names value[[]value[string]]
				r.texts(&names)(p.value, raw.at)
				raw.services = names.v
			} else {
				var name value[string]
				r.text(&name)(p.value, raw.at)
				name.ok = name.ok || !name.given
				raw.services = []value[string]{name}
			}
			to.v = append(to.v, raw)
		}
	}
}

// maxQuota limits a quota. A user who wants a larger quota can omit the quota.
const maxQuota = 1_000_000

func (r reader) quota(to *rawQuota) read {
	return func(n *yaml.Node, at place) {
		to.at = at
		if lone := follow(n); lone.Kind == yaml.ScalarNode && !isNull(lone) {
			r.fail(at, "must be a mapping, and is %s; write {each: %s}", describe(lone), lone.Value)
			to.wrong = true
			return
		}
		before := len(r.problems)
		r.mapping(n, at, []field{
			{"each", r.number(&to.each, 0, maxQuota)},
			{"namespaces", func(n *yaml.Node, at place) {
				pairs, ok := r.pairs(n, at)
				to.namespaces.at, to.namespaces.given, to.namespaces.ok = at, !isNull(follow(n)), ok
				for _, p := range pairs {
					limit := rawLimit{namespace: p.key}
					r.number(&limit.limit, 0, maxQuota)(p.value, at.key(p.key, p.line))
					to.namespaces.v = append(to.namespaces.v, limit)
				}
			}},
		})
		to.wrong = len(r.problems) > before
	}
}

func (r reader) selector(n *yaml.Node, at place) (rawSelector, bool) {
	s := rawSelector{at: at}
	ok := r.mapping(n, at, r.selectorFields(&s))
	return s, ok
}

func (r reader) selectorFields(s *rawSelector) []field {
	return []field{
		{"match-labels", r.named(&s.labels)},
		{"match-expressions", list(r, &s.expressions, r.expression)},
	}
}

func (r reader) expression(n *yaml.Node, at place) (rawExpression, bool) {
	e := rawExpression{at: at}
	ok := r.mapping(n, at, []field{
		{"key", r.text(&e.key)},
		{"operator", r.text(&e.operator)},
		{"values", r.texts(&e.values)},
	})
	return e, ok
}

// applyDefaults sets the defaults of the keys that the document does not have. The defaults of bgp-advertisements and
// of the names of peers depend on other values; advertisements and setNames set them.
func (c *rawConfig) applyDefaults() {
	c.releaseDelay.or(60 * time.Second)
	c.avoidNetwork.or(true)
	c.refresh.or(90 * time.Second)
	c.rate.or(5000)
	c.ping.or(true)
	c.failback.or(60 * time.Second)
	c.drain.or(2 * time.Second)
	c.layer2Excluded.or(skipNodes)
	c.bgpExcluded.or(skipNodes)
	for i := range c.pools.v {
		p := &c.pools.v[i]
		p.autoAssign.or(true)
		p.shareAcross.or(true)
		p.announceFrom.or(fromAny)
		for j := range p.advertisements.v {
			p.advertisements.v[j].length4.or(32)
			p.advertisements.v[j].length6.or(128)
		}
	}
	for i := range c.peers.v {
		c.peers.v[i].applyDefaults()
	}
	for i := range c.profiles.v {
		p := &c.profiles.v[i]
		p.receive.or(300)
		p.transmit.or(300)
		p.multiplier.or(3)
		p.minimumTTL.or(254)
	}
}

func (p *rawPeer) applyDefaults() {
	if p.port.v == 0 {
		p.port.v = 179
	}
	p.holdTime.or(90 * time.Second)
	// A given time counts in whole seconds. A third of the hold time need not be a whole number of seconds.
	if p.keepaliveTime.v = p.keepaliveTime.v.Truncate(time.Second); p.keepaliveTime.v == 0 {
		p.keepaliveTime.v = p.holdTime.v.Truncate(time.Second) / 3
	}
	if p.profile.v != "" {
		p.gracefulRestart.or(15 * time.Second)
	}
}
