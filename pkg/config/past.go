package config

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Past is a configuration that was in use before a change. Services keep their addresses of a Past until the end of the
// withdraw-delay of the change.
type Past struct {
	// Config is the configuration. No code reads the Past of this Config.
	Config *Config
	// Until is the end of the delay. Only the leading controller reads Until: the other processes use a Past until the
	// leading controller drops the Past.
	Until time.Time
}

// PoolOf returns the pool of the past configuration that may hand out a, or nil.
func (p Past) PoolOf(a netip.Addr) *Pool { return p.Config.current(a) }

// WithPast returns a copy of c with the configurations that were in use before c, the newest first. c does not change.
func (c *Config) WithPast(past []Past) *Config {
	with := *c
	with.Past = past
	return &with
}

// WithdrawDelayAfter returns the withdraw-delay of the change from old to c. If c does not have the key withdraw-delay,
// the key of old counts: a template that loses a part of the document must not lose the delay too.
func (c *Config) WithdrawDelayAfter(old *Config) time.Duration {
	if c.Allocation.WithdrawDelayGiven {
		return c.Allocation.WithdrawDelay
	}
	return old.Allocation.WithdrawDelay
}

// poolBefore returns the pool of the newest Past that may hand out a, or nil.
func (c *Config) poolBefore(a netip.Addr) *Pool {
	for _, past := range c.Past {
		if p := past.PoolOf(a); p != nil {
			return p
		}
	}
	return nil
}

// Announced yields the pools with addresses that may be announced: all Pools, and the pools of each Past.
func (c *Config) Announced() iter.Seq[*Pool] {
	return func(yield func(*Pool) bool) {
		for i := range c.Pools {
			if !yield(&c.Pools[i]) {
				return
			}
		}
		for _, past := range c.Past {
			for i := range past.Config.Pools {
				if !yield(&past.Config.Pools[i]) {
					return
				}
			}
		}
	}
}

// Leaving returns the addresses of each Past that neither Pools nor a newer Past has, as pools with the old names. All
// these pools are Disabled and open to every Service. The ranges of all Pools and all Leaving are disjoint.
func (c *Config) Leaving() []Pool {
	if len(c.Past) == 0 {
		return nil
	}
	covered := allRanges(c.Pools)
	var leaving []Pool
	for _, past := range c.Past {
		for i := range past.Config.Pools {
			p := &past.Config.Pools[i]
			var left []Range
			for _, r := range p.Ranges {
				left = append(left, r.without(covered)...)
			}
			if len(left) > 0 {
				leaving = append(leaving, Pool{
					Name: p.Name, Ranges: left, AvoidBuggyIPs: p.AvoidBuggyIPs, Disabled: true, Layer2: p.Layer2, BGP: p.BGP,
				})
			}
		}
		covered = merged(append(covered, allRanges(past.Config.Pools)...))
	}
	return leaving
}

// allRanges returns the ranges of the pools, ascending and disjoint.
func allRanges(pools []Pool) []Range {
	var all []Range
	for _, p := range pools {
		all = append(all, p.Ranges...)
	}
	return merged(all)
}

// Grants reports whether c lets every Service keep each address that old lets the Service have. Grants compares the
// text of selectors, so false may also mean that the answer depends on labels.
func (c *Config) Grants(old *Config) bool {
	covered := allRanges(c.Pools)
	for i := range old.Pools {
		was := &old.Pools[i]
		for _, r := range was.Ranges {
			if len(r.without(covered)) > 0 {
				return false
			}
			for j := range c.Pools {
				is := &c.Pools[j]
				if slices.ContainsFunc(is.Ranges, r.overlaps) && !is.grants(was) {
					return false
				}
			}
		}
	}
	return true
}

// grants reports whether every Service that was lets have an address in both pools may keep the address under p.
func (p *Pool) grants(was *Pool) bool {
	if p.AvoidBuggyIPs && !was.AvoidBuggyIPs || p.Name != was.Name {
		return false // a Service that requests the pool by its name may lose the address
	}
	for _, r := range p.Reserve {
		if !slices.ContainsFunc(was.Reserve, func(o Reservation) bool {
			return o.Addr == r.Addr && slices.Equal(o.Services, r.Services)
		}) {
			return false
		}
	}
	if len(was.Reserve) > 0 && !slices.EqualFunc(p.Reserve, was.Reserve, func(a, b Reservation) bool { return a.Addr == b.Addr }) {
		return false // a Service that the pool admits only through the reservation may lose the address
	}
	return !p.Restricted() || slices.Equal(p.Namespaces, was.Namespaces) &&
		sameSelectors(p.NamespaceSelectors, was.NamespaceSelectors) && sameSelectors(p.ServiceSelectors, was.ServiceSelectors)
}

func sameSelectors(a, b []labels.Selector) bool {
	return slices.EqualFunc(a, b, func(x, y labels.Selector) bool { return x.String() == y.String() })
}

// ReservedFor reports whether the pool reserves a, and whether the reservation is for the Service name.
func (p *Pool) ReservedFor(a netip.Addr, name ServiceName) (reserved, forService bool) {
	i := slices.IndexFunc(p.Reserve, func(r Reservation) bool { return r.Addr == a })
	if i < 0 {
		return false, false
	}
	return true, slices.Contains(p.Reserve[i].Services, name)
}

// NamespaceLabels reports whether a pool selects namespaces by their labels, including the pools of each Past.
func (c *Config) NamespaceLabels() bool {
	for p := range c.Announced() {
		if len(p.NamespaceSelectors) > 0 {
			return true
		}
	}
	return false
}
