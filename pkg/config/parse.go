package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Parse parses the text under the ConfigMap's key. An empty document is valid, and has no pools. The error is a
// *Problems with all errors in the document.
func Parse(document []byte) (*Config, error) {
	config, problems := parse(document)
	if problems != nil {
		return nil, &Problems{List: problems}
	}
	return config, nil
}

// parse returns the configuration, or the errors in the document.
func parse(document []byte) (*Config, []Problem) {
	root, problem := parseDocument(document)
	if problem != nil {
		return nil, []Problem{*problem}
	}
	if isManifest(root) {
		return nil, []Problem{*problemAt(root, "", "this is a whole manifest; only the text under its key data.%s belongs here, "+
			"which begins with address-pools:", dataKey)}
	}
	b := &builder{findings: new(findings)}
	raw := reader{b.findings}.config(root)
	raw.applyDefaults()
	config := b.config(raw)
	if len(b.problems) > 0 {
		return nil, inOrder(b.problems)
	}
	return config, nil
}

// builder builds a Config from a rawConfig, and reports errors in the combination of values.
type builder struct {
	*findings
	communities map[string]community
	profiles    map[string]*BFDProfile
	// usedProfiles holds the names of the BFD profiles that peers name.
	usedProfiles map[string]bool
	peers        map[string]*Peer
	// entries holds the entries under addresses of all pools so far, in the order of the document.
	entries []addressEntry
	// pieces holds the parts of entries that exclude does not remove.
	pieces []piece
}

func (b *builder) config(raw rawConfig) *Config {
	c := &Config{
		Allocation: Allocation{
			ReleaseDelay: raw.releaseDelay.v, AvoidNetworkAddresses: raw.avoidNetwork.v, AllowNodeAddresses: raw.allowNode.v,
			WithdrawDelay: raw.withdrawDelay.v, WithdrawDelayGiven: raw.withdrawDelay.given,
		},
		Layer2: Layer2{
			Refresh: raw.refresh.v, Rate: int(raw.rate.v), Ping: raw.ping.v,
			Failback: raw.failback.v, MoveOnCordon: raw.moveOnCordon.v, PathProbe: raw.pathProbe.v,
		},
		BGP: BGP{Drain: raw.drain.v},
	}
	b.checkDurations(raw)
	c.AnnounceClasses = b.classes(raw.classes)
	use := Use{Layer2: b.usesExcluded(raw.layer2Excluded), BGP: b.usesExcluded(raw.bgpExcluded)}
	c.withdrawAll = raw.withdrawAll.v && raw.pools.given
	if raw.withdrawAll.v && len(raw.pools.v) > 0 {
		b.fail(raw.withdrawAll.at, "the configuration has pools, so not all addresses are withdrawn; remove the key")
	}
	b.setCommunities(raw.communities)
	b.setProfiles(raw.profiles)
	c.Peers = b.setPeers(raw.peers)

	names, bgp := map[string]place{}, map[string]bool{}
	for i, p := range raw.pools.v {
		b.checkName(p.name, p.at, "pool", names)
		pool := b.pool(p, i)
		pool.UseExcluded = b.poolUse(p.excludedNodes, use)
		c.Pools = append(c.Pools, pool)
		bgp[pool.Name] = pool.BGP || !pool.Layer2 // a pool with a bad protocol is reported once
	}
	b.checkOverlaps()
	b.checkPeerPools(raw.peers, bgp)
	b.checkUse(raw, c)

	slices.SortFunc(c.Pools, comparePools)
	c.Warnings = inOrder(b.warnings)
	c.index = newIndex(c.Pools)
	return c
}

// comparePools orders pools in the order of Config.Pools.
func comparePools(a, b Pool) int {
	unrestricted := func(p Pool) int {
		if p.Restricted() {
			return 0
		}
		return 1
	}
	// As an unsigned number, priority 0 minus 1 is the greatest number, so priority 0 comes last.
	return cmp.Or(cmp.Compare(uint(a.Priority-1), uint(b.Priority-1)), unrestricted(a)-unrestricted(b), strings.Compare(a.Name, b.Name))
}

func (b *builder) checkDurations(raw rawConfig) {
	if d := raw.releaseDelay; d.ok && (d.v < 0 || d.v > 24*time.Hour) {
		b.fail(d.at, "must be 0s to 24h, and is %s", d.v)
	}
	if d := raw.withdrawDelay; d.ok && (d.v < 0 || d.v > 24*time.Hour) {
		b.fail(d.at, "must be 0s to 24h, and is %s", d.v)
	}
	if d := raw.failback; d.ok && d.v != FailbackNever && (d.v < 0 || d.v > 24*time.Hour) {
		b.fail(d.at, "must be 0s to 24h, or never, and is %s", d.v)
	}
	if d := raw.drain; d.ok && (d.v < 0 || d.v > 10*time.Second) {
		b.fail(d.at, "must be 0s to 10s, and is %s", d.v)
	}
	if d := raw.pathProbe; d.ok && d.v != 0 && (d.v < 10*time.Second || d.v > 24*time.Hour) {
		b.fail(d.at, "must be 10s to 24h, or 0s for never, and is %s", d.v)
	}
	if d := raw.refresh; d.ok && d.v != 0 && (d.v < 10*time.Second || d.v > 24*time.Hour) {
		b.fail(d.at, "must be 10s to 24h, or 0s for never, and is %s", d.v)
	}
}

// checkName reports a missing name, and a name that names already contains; checkName adds any other name to names.
func (b *builder) checkName(name value[string], owner place, what string, names map[string]place) {
	switch first, twice := names[name.v]; {
	case !name.given:
		b.fail(owner, "the %s has no name; give it one that no other %s has", what, what)
	case !name.ok:
	case name.v == "":
		b.fail(name.at, "the name is empty; write one that no other %s has", what)
	case twice:
		b.fail(name.at, "%q is also the name of the %s on line %d; names must differ", name.v, what, first.line)
	default:
		names[name.v] = name.at
	}
}

// required reports a text that is missing or empty. required returns true if the text can be checked further.
func (b *builder) required(v value[string], owner place, key, example string) bool {
	if !v.given || v.ok && v.v == "" {
		b.fail(owner, "%s is missing; write it like %s", key, example)
		return false
	}
	return v.ok
}

// distinct returns the texts of a list, sorted and without duplicates. distinct reports an empty list, because the
// meaning of an empty list is unclear, and the errors of check; distinct warns of duplicates. Only keys unknown to
// MetalLB use distinct.
func (b *builder) distinct(items value[[]value[string]], check func(string) error) []string {
	if items.ok && len(items.v) == 0 && items.present() {
		b.fail(items.at, "the list is empty; remove the key to mean all")
	}
	var texts []string
	seen := map[string]bool{}
	for _, item := range items.v {
		if !item.ok {
			continue
		}
		if err := check(item.v); err != nil {
			b.fail(item.at, "%s", err)
			continue
		}
		if seen[item.v] {
			b.warn(item.at, "%q is in the list twice", item.v)
			continue
		}
		seen[item.v] = true
		texts = append(texts, item.v)
	}
	slices.Sort(texts)
	return texts
}

// oneOf returns the index of v in choices. For an unknown v, oneOf reports an error with a proposal, and returns -1.
func (b *builder) oneOf(v value[string], choices ...string) int {
	i := slices.Index(choices, v.v)
	if i < 0 {
		last := len(choices) - 1
		mend := fmt.Sprintf("write %s or %s", strings.Join(choices[:last], ", "), choices[last])
		if near := Nearest(v.v, choices); near != "" {
			mend = fmt.Sprintf("did you mean %s?", near)
		}
		b.fail(v.at, "%q is not known here; %s", v.v, mend)
	}
	return i
}
