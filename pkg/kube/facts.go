package kube

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// factsLinger is how long a fact counts after the last speaker's Pod that reported it is gone or reports it no more. A rollout replaces
// every Pod, a node takes minutes to restart, and a virtual address of keepalived is on no node while it moves; meanwhile no Service may
// get the address. A fact that is kept too long only withholds an address, or reports a foreign host that has left.
const factsLinger = 10 * time.Minute

// fact is one thing that the speaker of a node has reported. Exactly one of the fields after node is set.
type fact struct {
	node     string
	gateway  netip.Addr
	address  netip.Addr
	subnet   netip.Prefix
	mac      string
	stranger cluster.Stranger
}

// saying counts the Pods that report a fact. A fact that no Pod reports ends at end.
type saying struct {
	pods int
	end  time.Time
}

func (p *podRow) facts() []fact {
	if p == nil {
		return nil
	}
	var fs []fact
	for _, a := range p.networks.Gateways {
		fs = append(fs, fact{node: p.node, gateway: a})
	}
	for _, a := range p.networks.Addresses {
		fs = append(fs, fact{node: p.node, address: a})
	}
	for _, s := range p.networks.Subnets {
		fs = append(fs, fact{node: p.node, subnet: s})
	}
	for _, mac := range p.networks.MACs {
		fs = append(fs, fact{node: p.node, mac: mac})
	}
	for _, s := range p.networks.Strangers {
		fs = append(fs, fact{node: p.node, stranger: s})
	}
	return fs
}

// takesBack reports whether f is over because p, which reports f no more, has a readable annotation. That ends a foreign host. A gateway,
// a subnet or an address may be missing because somebody pulled a cable.
func (p *podRow) takesBack(f fact) bool {
	return p != nil && p.problem == nil && p.node == f.node && f.stranger.Addr.IsValid()
}

// podChanged is called with Store.mu held.
func (s *Store) podChanged(key cluster.Key, _ string, old, row *podRow) (wake bool) {
	if row != nil && old != nil && old.warned {
		row.warned = true
	}
	if row != nil && row.problem != nil && !row.warned {
		s.opt.Log.Warn("the annotation of a speaker's Pod is not valid and is ignored",
			"pod", key, "node", row.node, "annotation", NetworksAnnotation, "err", row.problem)
		row.warned = true
	}
	s.dirtyRouted = s.dirtyRouted || routedChanged(old, row)
	for _, f := range row.facts() {
		said, known := s.facts[f]
		wake = wake || !known
		s.facts[f] = saying{pods: said.pods + 1}
	}
	for _, f := range old.facts() {
		said := s.facts[f]
		switch said.pods--; {
		case said.pods > 0:
		case row.takesBack(f):
			delete(s.facts, f)
			wake = true
			continue
		default:
			said.end = time.Now().Add(factsLinger)
			s.fading.ring()
		}
		s.facts[f] = said
	}
	s.dirtyFacts = s.dirtyFacts || wake
	s.keeping.ring()
	return wake
}

// forgetFacts removes facts when their time is over, until ctx ends.
func (s *Store) forgetFacts(ctx context.Context) {
	timer := time.NewTimer(factsLinger)
	defer timer.Stop()
	for {
		forgot, next := s.forgetUntil(time.Now())
		if forgot {
			s.moved(true)
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-s.fading:
		case <-timer.C:
		}
	}
}

// forgetUntil removes the facts that have ended at now. It reports whether there were any, and returns the time until the next look.
func (s *Store) forgetUntil(now time.Time) (forgot bool, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = factsLinger
	for f, said := range s.facts {
		switch {
		case said.pods > 0:
		case said.end.After(now):
			next = min(next, said.end.Sub(now))
		default:
			delete(s.facts, f)
			s.dirtyFacts, forgot = true, true
			s.keeping.ring()
		}
	}
	return forgot, next
}

// WaitNetworks waits until a speaker has reported the networks of its node, at most for d, and returns whether one has. It returns at once
// in a cluster where a Service has an address of Lanlord: a gateway that is reported later is taken from the Service that has it. Only
// the first addresses of a new cluster wait, so that no gateway is among them.
func (s *Store) WaitNetworks(ctx context.Context, d time.Duration) (known bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		s.mu.Lock()
		known, settled, passed := s.reported(), s.assigned(), s.pods.passed
		s.mu.Unlock()
		if known || settled {
			return known
		}
		select {
		case <-passed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// reported reports whether a speaker's Pod reports any fact. It is called with Store.mu held.
func (s *Store) reported() bool {
	for _, said := range s.facts {
		if said.pods > 0 {
			return true
		}
	}
	return false
}

// assigned reports whether any Service has an address of Lanlord. It is called with Store.mu held.
func (s *Store) assigned() bool {
	for _, row := range s.services.rows {
		if row.service.AllocatedFrom != "" {
			return true
		}
	}
	return false
}

// publishFacts brings the lists of the snapshot up to date. Each address is in Taken once, with the first of the nodes' names, and not if
// it is an InternalIP, which the Nodes of the snapshot have. An address of a node goes before a gateway, and a gateway before a foreign
// host. A MAC address of a node is never a foreign host: a speaker that has just started may not know every node. It is called with
// Store.mu held.
func (s *Store) publishFacts() {
	if !s.dirtyFacts {
		return
	}
	var taken []cluster.Taken
	var subnets []netip.Prefix
	var conflicts []cluster.Stranger
	nodes := make(map[string]bool)
	for f := range s.facts {
		if f.mac != "" {
			nodes[f.mac] = true
		}
	}
	internal := make(map[netip.Addr]bool)
	for _, n := range s.nodes.rows {
		for _, a := range n.Addresses {
			internal[a] = true
		}
		for _, a := range n.External {
			taken = append(taken, cluster.Taken{Addr: a, By: cluster.TakenByNode, Name: n.Name})
		}
	}
	for f := range s.facts {
		switch {
		case f.mac != "", nodes[f.stranger.MAC]:
		case f.address.IsValid():
			taken = append(taken, cluster.Taken{Addr: f.address, By: cluster.TakenByNode, Name: f.node})
		case f.gateway.IsValid():
			taken = append(taken, cluster.Taken{Addr: f.gateway, By: cluster.TakenByGateway, Name: f.node})
		case f.stranger.Quarantine:
			taken = append(taken, cluster.Taken{Addr: f.stranger.Addr, By: cluster.TakenByStranger, Name: f.stranger.MAC})
		case f.stranger.Addr.IsValid():
			conflicts = append(conflicts, f.stranger)
		default:
			subnets = append(subnets, f.subnet)
		}
	}
	taken = slices.DeleteFunc(taken, func(t cluster.Taken) bool { return internal[t.Addr] })
	slices.SortFunc(taken, func(a, b cluster.Taken) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.By, b.By), strings.Compare(a.Name, b.Name))
	})
	slices.SortFunc(subnets, netip.Prefix.Compare)
	slices.SortFunc(conflicts, cluster.Stranger.Compare)
	s.publishedConflicts = slices.Compact(conflicts)
	s.publishedTaken = slices.CompactFunc(taken, func(a, b cluster.Taken) bool { return a.Addr == b.Addr })
	s.publishedSubnets = slices.Compact(subnets)
	s.dirtyFacts = false
}
