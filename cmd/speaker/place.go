package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// handOverBound is how long the process that follows may take to confirm that it has the place.
	handOverBound = 5 * time.Second
	// placePause is how long this process waits before it asks for the place again, when it could not understand who has it.
	placePause = time.Second
	// answerCheck is how often it is looked whether the announcer answers for a place by now, and answerBound for how long. An
	// address whose interface is down is answered for by neither process.
	answerCheck = 5 * time.Millisecond
	answerBound = 2 * time.Second
)

// inheritance is what this process has from the one before it.
type inheritance struct {
	succeeds bool
	addrs    []netip.Addr
	known    []membership.Member
}

// waitForPlace waits until this process has the place of its node. While another one has it, this one answers beside it for the same addresses, so
// that nothing is dark when that one ends. Without a place it returns nil: starting was done before.
func (p *program) waitForPlace(ctx, starting context.Context) (*handover.Holder, inheritance, error) {
	var i inheritance
	name := fmt.Sprintf("lanlord/speaker/%s/%d", p.Namespace, p.gossipPort)
	for {
		holder, successor, err := handover.Begin(starting, name, handover.Options{Log: p.log})
		if holder != nil {
			return holder, i, nil
		}
		if starting.Err() != nil {
			return nil, i, nil
		}
		if err == nil {
			end, place, runErr := p.follow(starting, successor)
			p.log.Info("the process before this one", "end", end, "addresses", len(place.Addrs))
			switch end {
			case handover.HandedOver, handover.Vanished:
				i = inheritance{succeeds: true, addrs: place.Addrs, known: knownOf(place, p.nodeName)}
				continue
			case handover.Replaced:
				p.announcer.Set(nil)
				return nil, i, fmt.Errorf("another process of this node follows instead of this one")
			case handover.Stopped:
				return nil, i, nil
			}
			err = runErr
		}
		// It leaves in the ordinary way then, and the other nodes take over.
		p.announcer.Set(nil)
		p.standby.Store(true)
		p.log.Warn("waiting for the process before this one to end, without taking over from it", "err", err)
		select {
		case <-starting.Done():
			return nil, i, nil
		case <-time.After(placePause):
		}
	}
}

// follow answers for what the process that has the place answers for, until that one ends.
func (p *program) follow(ctx context.Context, successor *handover.Successor) (handover.End, handover.Place, error) {
	ran := make(chan error, 1)
	go func() { ran <- successor.Run(ctx) }()
	var place handover.Place
	for offer := range successor.Places() {
		place = offer.Place
		p.announcer.Set(p.targets(place.Addrs))
		p.awaitAnswers(ctx, place.Addrs)
		successor.Answering(offer)
		p.standby.Store(true)
	}
	err := <-ran
	return successor.End(), place, err
}

// awaitAnswers waits until the announcer answers for all of the addresses, or for long enough.
func (p *program) awaitAnswers(ctx context.Context, addrs []netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	tick := time.NewTicker(answerCheck)
	defer tick.Stop()
	for !p.announcer.Answers(addrs) {
		select {
		case <-ctx.Done():
			p.log.Warn("not all addresses of this node are answered for", "addresses", len(addrs), "waited", answerBound)
			return
		case <-tick.C:
		}
	}
}

// targets returns the addresses as another process of this node has announced them.
func (p *program) targets(addrs []netip.Addr) []layer2.Target {
	cfg := p.store.Snapshot().Config
	targets := make([]layer2.Target, 0, len(addrs))
	for _, a := range addrs {
		t := layer2.Target{Addr: a, Announced: true}
		if cfg != nil {
			if pool := cfg.PoolOf(a); pool != nil {
				t.Interfaces = pool.Interfaces
			}
		}
		targets = append(targets, t)
	}
	return targets
}

// placeOf returns what the process that follows is to know.
func placeOf(held []netip.Addr, members []membership.Member) handover.Place {
	place := handover.Place{Addrs: held}
	for _, m := range members {
		known := handover.Member{Name: m.Name}
		for _, l := range m.Links {
			known.MACs = append(known.MACs, l.MAC.String())
		}
		place.Members = append(place.Members, known)
	}
	return place
}

// knownOf returns the members beside self that the place tells of. What is no MAC address is left out.
func knownOf(place handover.Place, self string) (known []membership.Member) {
	for _, m := range place.Members {
		if m.Name == self {
			continue
		}
		member := membership.Member{Name: m.Name, State: membership.Ready}
		for _, text := range m.MACs {
			if mac, err := net.ParseMAC(text); err == nil && len(mac) == len(membership.MAC{}) {
				member.Links = append(member.Links, membership.Link{MAC: membership.MAC(mac)})
			}
		}
		known = append(known, member)
	}
	return known
}
