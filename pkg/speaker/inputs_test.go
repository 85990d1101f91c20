package speaker

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// The faults of this file leave some nodes with an old, empty, partial or wrong version of an input.

// lacksConfiguration restarts a speaker that finds no valid ConfigMap. The speaker takes nothing from another node. In
// some histories another node crashes meanwhile.
func (h *history) lacksConfiguration() {
	p, owned := h.someone()
	h.note("%s dies; it has %v", p.name, owned)
	h.all(unanswered, owned, failoverBound)
	h.all(moved, owned, failoverBound+askInterval)
	p.die()
	h.pass(h.lasting())
	h.note("%s starts without a configuration", p.name)
	p.see(unconfigured)
	p.boot()
	h.pass(h.lasting())
	q, owned := h.someone()
	crashes := q != p && h.random.IntN(2) == 0
	if crashes {
		h.note("%s crashes; it has %v", q.name, owned)
		h.all(unanswered, owned, failoverBound)
		h.all(moved, owned, failoverBound+askInterval)
		q.crash()
		h.pass(h.lasting())
	}
	h.note("%s has the configuration", p.name)
	h.excuseFailback()
	p.see(nil)
	if crashes {
		h.note("%s is back", q.name)
		h.lan.Cut(q.name+"/eth0", false)
		h.boot(q)
	}
	h.rest()
}

// sawNoDeletion has some nodes list the Services after a deletion that the others watch. Then the owner of an address loses the right to it.
func (h *history) sawNoDeletion() {
	names := h.some()
	h.change(func(s *cluster.Snapshot) {
		seen := &s.Versions.Services
		seen.Complete += 1000
		seen.Changed = seen.Complete
	})
	deletion := h.truth().Versions.Services.Changed
	for _, name := range names {
		h.speakers[name].see(func(s *cluster.Snapshot) {
			if seen := &s.Versions.Services; seen.Changed == deletion {
				seen.Changed -= 500
			}
		})
	}
	h.note("%v could not see the last deletion of a Service", names)
	h.pass(h.lasting())
	p, owned := h.someone()
	exclude := func(is bool) {
		h.change(func(s *cluster.Snapshot) {
			for i := range s.Nodes {
				if s.Nodes[i].Name == p.name {
					s.Nodes[i].Excluded = is
				}
			}
			advance(&s.Versions.Nodes)
		})
	}
	h.note("%s is excluded; it has %v", p.name, owned)
	h.all(moved, owned, moveBound)
	exclude(true)
	h.pass(h.lasting())
	h.note("%s is not excluded", p.name)
	h.excuseFailback()
	exclude(false)
	h.rest()
	for _, name := range names {
		h.speakers[name].see(nil)
	}
}

// neverMeets restarts a speaker that gossip does not connect with some of the others, in one direction or in both. The controller has
// collected the MAC addresses of all nodes.
func (h *history) neverMeets() {
	h.change(func(s *cluster.Snapshot) { h.collectMACs() })
	p, owned := h.someone()
	directions := h.random.IntN(3)
	h.note("%s dies; it has %v", p.name, owned)
	h.all(unanswered, owned, failoverBound)
	h.all(moved, owned, failoverBound+askInterval)
	p.die()
	h.pass(h.lasting())
	names := slices.DeleteFunc(h.some(), func(name string) bool { return name == p.name })
	for _, name := range names {
		if directions != 1 {
			h.block(p.name, name)
		}
		if directions != 2 {
			h.block(name, p.name)
		}
	}
	h.note("%s starts, and gossip never connects it with %v: %s", p.name, names, []string{"neither way", "it hears nothing", "they hear nothing"}[directions])
	if directions != 0 && h.failback >= 0 {
		// A node that hears the new node, and is not heard, suspects the new node while the new node has no address to
		// probe. The others believe the suspicion until the new node contradicts them.
		for _, f := range []failure{doubled, boasted} {
			h.excuses[f] = append(h.excuses[f], excuse{netip.Addr{}, h.now() + h.failback, h.now() + h.failback + failbackBound})
		}
	}
	h.boot(p)
	h.pass(h.settling() + h.lasting())
	h.note("gossip connects all")
	h.excuse(moved, netip.Addr{}, failbackBound) // what has waited for gossip is due already
	if directions != 0 {
		h.excuse(doubled, netip.Addr{}, failbackBound) // the suspicions end when gossip passes
		h.excuse(boasted, netip.Addr{}, failbackBound)
	}
	h.excuseFailback()
	h.unblock()
	h.rest()
}

// hasManyLinks gives a node more interfaces than gossip has room for, with names before the name of the LAN's
// interface. Nothing moves.
func (h *history) hasManyLinks() {
	p := h.anyone()
	h.note("%s has 20 interfaces more", p.name)
	var more []*lantest.NIC
	for n := range 20 {
		more = append(more, p.machine.Add(fmt.Sprintf("br-0123456789%02d", n), netip.MustParsePrefix(fmt.Sprintf("172.%d.0.1/16", 18+n))))
	}
	h.pass(h.lasting())
	h.note("%s has only its own interface", p.name)
	for _, nic := range more {
		nic.Remove()
	}
	h.rest()
}

// hasInKernel gives the kernel of a node the address of a Service for a while. The owner keeps the address.
func (h *history) hasInKernel() {
	a, p := h.addrs[h.random.IntN(len(h.addrs))], h.anyone()
	owner := h.holder(a)
	h.note("the kernel of %s has %s, which %s has", p.name, a, owner.name)
	lasting := h.lasting()
	if p != owner {
		h.excuse(doubled, a, lasting+askInterval)
	}
	p.machine.SetAddrs(a)
	h.pass(lasting)
	h.note("the kernel of %s has it no longer", p.name)
	h.excuseFailback()
	p.machine.SetAddrs()
	h.rest()
}
