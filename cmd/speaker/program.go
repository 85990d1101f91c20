package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/speaker"
)

// program is what the tasks of the speaker share.
type program struct {
	flags
	client   kubernetes.Interface
	log      *slog.Logger
	registry *prometheus.Registry
	store    *kube.Store
	wake     chan struct{}
	loop     atomic.Pointer[speaker.Speaker]
}

// poke wakes the loop, or what is waited for before there is one.
func (p *program) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// ready is the readiness check.
func (p *program) ready() error {
	loop := p.loop.Load()
	if loop == nil {
		return errors.New("waiting for the cluster, this Node or the gossip key; the log says which")
	}
	if state := loop.Status().State; state != membership.Ready {
		return fmt.Errorf("%s: no socket is open on any interface yet, or it is leaving", state)
	}
	return nil
}

// speak waits for what gossip needs, and then runs the loop and what it works with until leave is done and the loop has
// left.
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
	var loop *speaker.Speaker
	gossip, err := membership.New(membership.Options{
		Name: p.nodeName, Bind: bind, Keys: p.store.GossipKeys(),
		Peers: func() []netip.AddrPort { return peers(p.store.Snapshot().Nodes, bind) }, Wake: p.poke, Log: p.log, Registerer: p.registry,
		Suspected: func(name string, silent time.Duration) { loop.Suspected(name, silent) },
	})
	if err != nil {
		return err
	}
	var announcer *layer2.Announcer
	publisher := kube.NewPublisher(kube.PublisherOptions{
		Client: p.client, Namespace: p.Namespace, Pod: p.podName, Component: name, Log: p.log,
		Networks: func() cluster.Networks {
			n := networks(announcer.Interfaces())
			return n
		},
	})
	announcer = layer2.New(layer2.Options{
		Log: p.log, Registerer: p.registry, Wake: func() { p.poke(); publisher.Wake() }, Heard: func(c layer2.Claim) { loop.Heard(c) },
	})
	loop = speaker.New(speaker.Options{
		Self: p.nodeName, Wake: p.wake, Source: p.store, Peers: gossip, Announcer: announcer, Event: p.store.Event,
		Log: p.log, Registerer: p.registry, Strangers: publisher.Wake,
	})
	p.loop.Store(loop)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "gossip", Run: gossip.Run},
		daemon.Task{Name: "answer", Run: announcer.Run},
		daemon.Task{Name: "tell of the networks", Run: publisher.Run},
		daemon.Task{Name: "decide", Run: func(ctx context.Context) error {
			defer stop()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(leave, cancel)()
			return loop.Run(ctx)
		}},
	)
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
	}
	return n
}
