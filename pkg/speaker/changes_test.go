package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// changesService takes a Service or its endpoints away and gives them back, or has it served by some nodes only.
func (h *history) changesService() {
	i := h.random.IntN(len(h.addrs))
	a := h.addrs[i]
	before := h.truth().Services[i]
	switch h.random.IntN(3) {
	case 0:
		h.note("the Service with %s is gone", a)
		h.change(func(s *cluster.Snapshot) { s.Services = slices.Delete(s.Services, i, i+1) })
		h.silence(a)
		h.change(func(s *cluster.Snapshot) { s.Services = slices.Insert(s.Services, i, before) })
		h.note("the Service with %s is back", a)
		h.excuse(unanswered, a, rulesDelay+moveBound)
	case 1:
		h.note("the Service with %s has no endpoints", a)
		h.change(func(s *cluster.Snapshot) { s.Services[i].HasServing = false })
		h.silence(a)
		h.change(func(s *cluster.Snapshot) { s.Services[i].HasServing = true })
		h.note("the Service with %s has endpoints", a)
		h.excuse(unanswered, a, moveBound)
	default:
		nodes := h.some()
		h.note("%s is served at %v only", a, nodes)
		h.excuse(moved, a, moveBound)
		h.change(func(s *cluster.Snapshot) {
			s.Services[i].TrafficPolicy, s.Services[i].ServingNodes = cluster.TrafficLocal, nodes
		})
		h.pass(h.lasting())
		h.note("%s is served everywhere", a)
		h.excuseFailback()
		h.change(func(s *cluster.Snapshot) { s.Services[i] = before })
	}
	h.rest()
}

// isOutdated moves the endpoints of a Service away from the owner of the address. The watch of the owner does not show
// the change.
func (h *history) isOutdated() {
	i := h.random.IntN(len(h.addrs))
	a := h.addrs[i]
	p := h.holder(a)
	if p == nil {
		return
	}
	before := h.truth().Services[i]
	others := slices.DeleteFunc(h.names(), func(name string) bool { return name == p.name })
	h.note("%s does not hear that %s is served at %v only", p.name, a, others)
	h.outdate(p)
	h.excuse(moved, a, moveBound)
	h.excuse(doubled, a, moveBound)
	h.change(func(s *cluster.Snapshot) {
		s.Services[i].TrafficPolicy, s.Services[i].ServingNodes = cluster.TrafficLocal, others
	})
	h.pass(h.lasting())
	h.note("%s hears", p.name)
	h.strand()
	h.pass(h.lasting())
	h.note("%s is served everywhere", a)
	h.excuseFailback()
	h.change(func(s *cluster.Snapshot) { s.Services[i] = before })
	h.rest()
}

// silence lets time pass in which nobody may answer for an address.
func (h *history) silence(a netip.Addr) {
	h.excuse(unanswered, a, askInterval)
	h.excuse(boasted, a, askInterval)
	from := h.now() + time.Millisecond
	h.pass(h.lasting())
	h.silences = append(h.silences, excuse{a, from, h.now() - 1})
}

// changesNode makes a node ineligible for a while.
func (h *history) changesNode() {
	p, owned := h.someone()
	set, what := func(n *cluster.Node, is bool) { n.Excluded = is }, "excluded"
	switch h.random.IntN(3) {
	case 0:
		set, what = func(n *cluster.Node, is bool) { n.Unschedulable = is }, "cordoned"
	case 1:
		set, what = func(n *cluster.Node, is bool) { n.OutOfService = is }, "out of service"
	}
	node := func(is bool) {
		h.change(func(s *cluster.Snapshot) {
			for i := range s.Nodes {
				if s.Nodes[i].Name == p.name {
					set(&s.Nodes[i], is)
				}
			}
		})
	}
	h.note("%s is %s; it has %v", p.name, what, owned)
	h.all(moved, owned, moveBound)
	node(true)
	h.pass(h.lasting())
	h.note("%s is not %s", p.name, what)
	h.excuseFailback()
	node(false)
	h.rest()
}

// prefers asks for a node, and later for none.
func (h *history) prefers() {
	i, p := h.random.IntN(len(h.addrs)), h.anyone()
	h.note("%s prefers %s", h.addrs[i], p.name)
	h.excuse(moved, h.addrs[i], moveBound)
	h.change(func(s *cluster.Snapshot) { s.Services[i].PreferNode = p.name })
	h.pass(h.lasting())
	h.note("%s prefers none", h.addrs[i])
	h.excuseFailback()
	h.change(func(s *cluster.Snapshot) { s.Services[i].PreferNode = "" })
	h.rest()
}

// lacksWord cuts nodes off from the API server and assigns an address that these nodes do not see. The next node in
// rank that sees the address takes over as backup, also when the owner crashes before the others see the address.
func (h *history) lacksWord() {
	i := h.random.IntN(len(h.addrs))
	a := h.addrs[i]
	before := h.truth().Services[i]
	h.note("the Service with %s is gone", a)
	h.change(func(s *cluster.Snapshot) { s.Services = slices.Delete(s.Services, i, i+1) })
	h.silence(a)
	unknowing := h.some()
	h.note("without the API: %v", unknowing)
	h.strand(unknowing...)
	h.note("the Service with %s is new", a)
	h.change(func(s *cluster.Snapshot) { s.Services = slices.Insert(s.Services, i, before) })
	// The next node in rank after all nodes that do not see the address.
	bound := func(order []*testNode) time.Duration {
		rank := slices.IndexFunc(order, func(p *testNode) bool { return !slices.Contains(unknowing, p.name) })
		return max(rulesDelay, time.Duration(rank)*standInDelay+standInBound) + moveBound
	}
	order := h.succession(a)
	h.excuse(unanswered, a, bound(order))
	h.pass(max(bound(order), h.lasting()))
	owner := h.holder(a)
	order = slices.DeleteFunc(order, func(p *testNode) bool { return p == owner })
	crashes := owner != nil && h.random.IntN(2) == 0 && len(unknowing) < len(order)
	if crashes {
		h.note("%s crashes; it has %s", owner.name, a)
		for f := range failures {
			h.excuse(f, netip.Addr{}, failoverBound+askInterval)
		}
		h.excuse(unanswered, a, failoverBound+bound(order))
		h.excuse(moved, a, failoverBound+bound(order)+askInterval)
		owner.crash()
		h.pass(failoverBound + bound(order) + time.Second)
	}
	h.note("with the API again")
	h.excuseFailback()
	h.strand()
	if crashes {
		h.note("%s is back", owner.name)
		h.lan.Cut(owner.name+"/eth0", false)
		h.boot(owner)
	}
	h.rest()
}
