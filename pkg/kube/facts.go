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

// factsLinger is the time that a fact still counts after the last speaker's Pod has stopped reporting the fact. A
// rollout replaces every Pod, a node takes minutes to restart, and a virtual address of keepalived is on no node while
// the address moves; meanwhile no Service may get the address. A fact that stays too long only withholds an address, or
// reports a foreign host that has left.
const factsLinger = 10 * time.Minute

// fact is one fact that the speaker of a node has reported. Exactly one of the fields after node is set.
type fact struct {
	node     string
	gateway  netip.Addr
	address  netip.Addr
	subnet   netip.Prefix
	mac      string
	stranger cluster.Stranger
}

// saying counts the Pods that report a fact. A fact without reporting Pods ends at the time end.
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

// takesBack reports whether p withdraws the fact f, which p no longer reports. Only a Pod with a readable annotation
// withdraws a fact, and only a foreign host: a gateway, a subnet or an address may be missing because a cable was
// pulled.
func (p *podRow) takesBack(f fact) bool {
	return p != nil && p.problem == nil && p.node == f.node && f.stranger.Addr.IsValid()
}

// podChanged takes over a row of the table. The caller holds Store.mu.
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

// forgetFacts removes each fact at the end of its time, until ctx ends.
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

// forgetUntil removes the facts that have ended by now. It reports whether there were any, and returns the time until
// the next check.
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

// WaitNetworks waits until a speaker has reported the networks of its node, at most for d, and reports whether a
// speaker has. WaitNetworks returns at once in a cluster where a Service has an address of Lanlord: the controller
// takes a gateway that is reported later away from the Service. Only the first addresses of a new cluster wait, so that
// no gateway is among them.
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

// reported reports whether a speaker's Pod reports any fact. The caller holds Store.mu.
func (s *Store) reported() bool {
	for _, said := range s.facts {
		if said.pods > 0 {
			return true
		}
	}
	return false
}

// assigned reports whether any Service has an address of Lanlord. The caller holds Store.mu.
func (s *Store) assigned() bool {
	for _, row := range s.services.rows {
		if row.service.AllocatedFrom != "" {
			return true
		}
	}
	return false
}

// publishFacts updates the fact lists of the snapshot. Taken lists each address once, with the first of the nodes'
// names, and leaves out the InternalIPs, which the Nodes of the snapshot have. An address of a node takes precedence
// over a gateway, and a gateway over a foreign host. A MAC address of a node never counts as a foreign host: a speaker
// that has just started may not know every node. The caller holds Store.mu.
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
