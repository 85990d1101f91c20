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

// factsLinger is how long what a speaker has said counts after its Pod has gone or says it no more. A rollout replaces
// every Pod, and a node that starts again takes minutes; meanwhile nobody is to get the address of the gateway. A fact that
// is kept too long only keeps an address back, or goes on telling of a stranger, or of none where a node's card is another host's now.
const factsLinger = 10 * time.Minute

// fact is one thing that the speaker of a node has said: one of the others is set.
type fact struct {
	node     string
	gateway  netip.Addr
	subnet   netip.Prefix
	mac      string
	stranger cluster.Stranger
}

// saying is how many Pods say a fact now, and when it is over if none does.
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

// takesBack tells whether p, which says f no more, means that f is over. A speaker that still understands itself knows when
// a stranger has gone; that a gateway or a subnet has gone may be a cable that was pulled.
func (p *podRow) takesBack(f fact) bool {
	return p != nil && p.problem == nil && p.node == f.node && f.stranger.Addr.IsValid()
}

// podChanged is called with Store.mu held.
func (s *Store) podChanged(key cluster.Key, _ string, old, row *podRow) (wake bool) {
	if row != nil && old != nil && old.warned {
		row.warned = true
	}
	if row != nil && row.problem != nil && !row.warned {
		s.opt.Log.Warn("what a speaker says of its networks is not understood, and left out",
			"pod", key, "node", row.node, "annotation", NetworksAnnotation, "err", row.problem)
		row.warned = true
	}
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

// forgetUntil removes the facts whose time is over at now, and returns whether there were any, and how long it is to the
// next look.
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
		}
	}
	return forgot, next
}

// WaitNetworks waits until a speaker has told of its node's networks, at most for d, and returns whether one has. In a cluster
// where a Service has an address from us already there is nothing to wait for, and it returns at once: gateways that get known
// later are taken from whoever has them, but the first addresses of a new cluster should not be among them.
func (s *Store) WaitNetworks(ctx context.Context, d time.Duration) (known bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		s.mu.Lock()
		known, settled, passed := len(s.facts) > 0, s.assigned(), s.pods.passed
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

// assigned tells whether any Service has an address from us. It is called with Store.mu held.
func (s *Store) assigned() bool {
	for _, row := range s.services.rows {
		if row.service.AllocatedFrom != "" {
			return true
		}
	}
	return false
}

// publishFacts brings the lists of the snapshot up to date. What several nodes say is there once: a gateway with the first
// of their names, and a stranger at it not at all. Nor is a stranger there that is a node: a speaker that has just started takes
// a node for one that gossip does not reach. It is called with Store.mu held.
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
	for f := range s.facts {
		switch {
		case f.mac != "", nodes[f.stranger.MAC]:
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
