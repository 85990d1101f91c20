package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/serviceproxy"
	"github.com/lanlord/lanlord/pkg/speaker"
)

// program is what the tasks of the speaker share.
type program struct {
	flags
	client   kube.Client
	log      *slog.Logger
	registry *prometheus.Registry
	store    *kube.Store
	wake     chan struct{}
	loop     atomic.Pointer[speaker.Speaker]
	// standby is true while this process answers beside the one that it is to follow.
	standby   atomic.Bool
	announcer *layer2.Announcer
	proxy     *serviceproxy.Check
	// started is when the process began, and announcing the announcer for who asks from another goroutine.
	started    time.Time
	announcing atomic.Pointer[layer2.Announcer]
}

// poke wakes the loop, or what is waited for before there is one.
func (p *program) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// stood wakes the loop after a standstill. Before there is one this process answers for what another one of the node tells it to.
func (p *program) stood() {
	if p.loop.Load() == nil {
		p.announcer.Resume(p.announcer.Standstills())
	}
	p.poke()
}

// ready is the readiness check.
func (p *program) ready() error {
	loop := p.loop.Load()
	if loop == nil && p.standby.Load() {
		return nil
	}
	if loop == nil {
		return errors.New("waiting for the cluster, this Node or the gossip key; the log says which")
	}
	switch st := loop.Status(); {
	case st.State == membership.Ready:
		return nil
	case st.State == membership.Leaving:
		return fmt.Errorf("%s: told to stop", st.State)
	case len(st.Lacks) == 0:
		return errors.New("the first look at the cluster is still to come")
	default:
		return fmt.Errorf("%s: %s", st.State, strings.Join(st.Lacks, "; "))
	}
}

// speak waits for what gossip needs, and for this process's turn if another one has its node's place, and then runs the loop and
// what it works with until leave is done and the loop has left.
func (p *program) speak(ctx, leave context.Context) error {
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leave, cancel)()
	bind, err := p.prerequisites(starting)
	if err != nil {
		if leave.Err() != nil {
			return nil
		}
		return err
	}
	var publisher *kube.Publisher
	p.announcer = layer2.New(layer2.Options{
		Log: p.log, Registerer: p.registry, Wake: func() { p.poke(); publisher.Wake() }, Stood: p.stood, Heard: func(c layer2.Claim) {
			if loop := p.loop.Load(); loop != nil {
				loop.Heard(c)
			}
		},
	})
	p.announcing.Store(p.announcer)
	publisher = kube.NewPublisher(kube.PublisherOptions{
		Client: p.client, Namespace: p.Namespace, Pod: p.podName, Component: name, Log: p.log, Networks: func() cluster.Networks {
			n := networks(p.announcer.Interfaces())
			if loop := p.loop.Load(); loop != nil {
				n.Strangers = loop.Status().Strangers
			}
			return n
		},
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "answer", Run: p.announcer.Run},
		daemon.Task{Name: "tell of the networks", Run: publisher.Run},
		daemon.Task{Name: "wait for kube-proxy", Run: func(ctx context.Context) error {
			p.proxy.Run(ctx)
			p.poke()
			<-ctx.Done()
			return nil
		}},
		daemon.Task{Name: "take part", Run: func(ctx context.Context) error {
			defer stop()
			place, inheritance, err := p.waitForPlace(ctx, starting)
			if place == nil {
				return err
			}
			return p.takePart(ctx, leave, bind, place, inheritance, publisher.Wake)
		}},
	)
}

// takePart runs gossip and the loop until leave is done and the loop has left, or has handed over to the process that follows.
func (p *program) takePart(ctx, leave context.Context, bind netip.AddrPort, place *handover.Holder, i inheritance, strangers func()) error {
	keys := p.store.GossipKeys()
	var loop *speaker.Speaker
	gossip, err := membership.New(membership.Options{
		Name: p.nodeName, Bind: bind, Keys: keys, Wake: p.poke, Log: p.log, Registerer: p.registry,
		Peers:     func() []netip.AddrPort { return peers(p.store.Snapshot().Nodes, bind) },
		Suspected: func(name string, silent time.Duration) { loop.Suspected(name, silent) },
		Told:      func(name string, known [4]uint64) { loop.Told(name, known) },
	})
	if err != nil {
		return err
	}
	loop = speaker.New(speaker.Options{
		Self: p.nodeName, Wake: p.wake, Source: p.store, Peers: gossip, Announcer: p.announcer, Event: p.store.Event,
		Log: p.log, Registerer: p.registry, AddressMetrics: p.AddressMetrics, Strangers: strangers,
		Succeeds: i.succeeds, Inherit: i.addrs, Known: i.known, Informed: p.store.Connected, Forwards: p.proxy.Ready,
		Held: func(held []netip.Addr) { place.Set(placeOf(held, gossip.Members())) },
	})
	p.loop.Store(loop)
	place.Set(placeOf(i.addrs, i.known)) // also without any address there is a place to hand over

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	gossiping, stopGossip := context.WithCancel(ctx)
	defer stopGossip()
	gossipEnded := make(chan struct{})
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "hand over", Run: place.Serve},
		daemon.Task{Name: "gossip", Run: func(ctx context.Context) error {
			defer context.AfterFunc(ctx, stopGossip)()
			// What the others hear first is what the loop has to say.
			select {
			case <-loop.Reported():
			case <-gossiping.Done():
			}
			err := gossip.Run(gossiping)
			close(gossipEnded)
			if err == nil {
				<-ctx.Done() // it ends before the rest when the place is handed over
			}
			return err
		}},
		daemon.Task{Name: "follow the gossip keys", Run: func(ctx context.Context) error { return p.followKeys(ctx, gossip, keys) }},
		daemon.Task{Name: "decide", Run: func(ctx context.Context) error {
			defer stop()
			deciding, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(leave, func() {
				if place.Successor() {
					loop.HandOver()
					gossip.HandOver()
				}
				cancel()
			})()
			if err := loop.Run(deciding); err != nil || !loop.HandedOver() {
				return err
			}
			place.Set(placeOf(loop.Status().Held, gossip.Members()))
			stopGossip()
			select {
			case <-gossipEnded:
			case <-ctx.Done():
				return nil
			}
			bound, cancel := context.WithTimeout(ctx, handOverBound)
			defer cancel()
			if err := place.HandOver(bound); err != nil {
				p.log.Error("the process that follows is gone, and the other nodes take over", "err", err)
			}
			return nil
		}},
	)
}

// followKeys hands gossip the keys of the Secret whenever they have changed.
func (p *program) followKeys(ctx context.Context, gossip *membership.Membership, keys [][]byte) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := p.store.GossipKeys()
		if len(now) == 0 || slices.EqualFunc(now, keys, bytes.Equal) {
			continue // a Secret that is gone takes no key away
		}
		keys = now
		if err := gossip.SetKeys(now); err != nil {
			p.log.Error("the new gossip keys are not used", "secret", p.Namespace+"/"+kube.GossipSecret, "err", err)
			continue
		}
		p.log.Info("gossip keys changed", "keys", len(now))
	}
}

// prerequisites waits until the cluster is known, and in it a gossip key and an address of this Node, which it returns.
func (p *program) prerequisites(ctx context.Context) (bind netip.AddrPort, err error) {
	if err := p.store.WaitSynced(ctx); err != nil {
		return bind, err
	}
	for said := ""; ; {
		missing := ""
		address := p.gossipAddress
		for _, n := range p.store.Snapshot().Nodes {
			if n.Name == p.nodeName && len(n.Addresses) > 0 && !address.IsValid() {
				address = n.Addresses[0]
			}
		}
		switch {
		case len(p.store.GossipKeys()) == 0:
			missing = "the Secret " + p.Namespace + "/" + kube.GossipSecret + ", which the controller creates"
		case !address.IsValid():
			missing = "an InternalIP of the Node " + p.nodeName
		default:
			return netip.AddrPortFrom(address, p.gossipPort), nil
		}
		if missing != said {
			p.log.Info("waiting", "for", missing)
			said = missing
		}
		select {
		case <-ctx.Done():
			return bind, ctx.Err()
		case <-p.wake:
		}
	}
}

// peers returns where the other speakers are to be found: on each Node's first address of the family that this one
// gossips in, on the same port.
func peers(nodes []cluster.Node, bind netip.AddrPort) []netip.AddrPort {
	var peers []netip.AddrPort
	for _, n := range nodes {
		for _, a := range n.Addresses {
			if a.Is4() == bind.Addr().Is4() {
				peers = append(peers, netip.AddrPortFrom(a, bind.Port()))
				break
			}
		}
	}
	return peers
}

// networks returns what the interfaces in use show of the networks that the node is on.
func networks(list []layer2.Interface) (n cluster.Networks) {
	for _, i := range list {
		for _, p := range i.Prefixes {
			n.Subnets = append(n.Subnets, p.Masked())
		}
		n.Gateways = append(n.Gateways, i.Gateways...)
		n.MACs = append(n.MACs, i.MAC.String())
	}
	return n
}
