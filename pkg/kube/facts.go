package kube

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// factsLinger is how long what a speaker has said counts after its Pod has gone or says it no more. A rollout replaces
// every Pod, and a node that starts again takes minutes; meanwhile nobody is to get the address of the gateway. A fact that
// is kept too long only keeps an address back.
const factsLinger = 10 * time.Minute

// fact is one thing that the speaker of a node has said: either of the other two is set.
type fact struct {
	node    string
	gateway netip.Addr
	subnet  netip.Prefix
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
	return fs
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
		if _, known := s.facts[f]; !known {
			wake = true
		}
		s.facts[f] = time.Time{}
	}
	for _, f := range old.facts() {
		if !s.isSaid(f) {
			s.facts[f] = time.Now().Add(factsLinger)
			s.fading.ring()
		}
	}
	s.dirtyFacts = s.dirtyFacts || wake
	return wake
}

// isSaid tells whether a Pod says f now.
func (s *Store) isSaid(f fact) bool {
	for _, row := range s.pods.rows {
		if row.node == f.node && slices.Contains(row.facts(), f) {
			return true
		}
	}
	return false
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
	for f, end := range s.facts {
		switch {
		case end.IsZero():
		case end.After(now):
			next = min(next, end.Sub(now))
		default:
			delete(s.facts, f)
			s.dirtyFacts, forgot = true, true
		}
	}
	return forgot, next
}

// publishFacts brings the lists of the snapshot up to date. A gateway of several nodes is there once, with the first of
// their names. It is called with Store.mu held.
func (s *Store) publishFacts() {
	if !s.dirtyFacts {
		return
	}
	var taken []cluster.Taken
	var subnets []netip.Prefix
	for f := range s.facts {
		if f.gateway.IsValid() {
			taken = append(taken, cluster.Taken{Addr: f.gateway, By: cluster.TakenByGateway, Name: f.node})
		} else {
			subnets = append(subnets, f.subnet)
		}
	}
	slices.SortFunc(taken, func(a, b cluster.Taken) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	slices.SortFunc(subnets, netip.Prefix.Compare)
	s.publishedTaken = slices.CompactFunc(taken, func(a, b cluster.Taken) bool { return a.Addr == b.Addr })
	s.publishedSubnets = slices.Compact(subnets)
	s.dirtyFacts = false
}
