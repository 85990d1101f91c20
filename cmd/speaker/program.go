package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/gossip"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/pace"
	"github.com/lanlord/lanlord/pkg/processors"
	"github.com/lanlord/lanlord/pkg/serviceproxy"
	"github.com/lanlord/lanlord/pkg/speaker"
	"github.com/lanlord/lanlord/pkg/status"
	"github.com/lanlord/lanlord/pkg/succession"
)

// program holds the parts of the speaker. Parts that call each other find each other here.
type program struct {
	flags
	log        *slog.Logger
	registry   *prometheus.Registry
	processors *processors.Processors
	store      *kube.Store
	announcer  *layer2.Announcer
	publisher  *kube.Publisher
	proxy      *serviceproxy.Check
	gossip     *gossip.Gossip
	succession *succession.Succession
	routers    routers
	server     *daemon.Server
	loop       atomic.Pointer[speaker.Speaker] // nil while another process of this node has the place

	begun time.Time
	wake  pace.Wake     // wakes wait, and later the loop
	start chan struct{} // closed when gossip can start
}

func newProgram(f flags, client kube.Client, log *slog.Logger, registry *prometheus.Registry) *program {
	p := &program{flags: f, log: log, registry: registry, begun: time.Now(), wake: pace.NewWake(),
		processors: processors.New(processors.ForProcess()),
		start:      make(chan struct{}), routers: newRouters()}
	p.proxy = serviceproxy.New(serviceproxy.Options{
		Metrics: f.proxyMetrics, Forwarded: kube.ThroughClusterIP(client, f.Kubeconfig), Log: log, Wake: p.wake.Poke,
	})
	p.store = kube.New(kube.Options{
		Client: client, Namespace: f.Namespace, ConfigMap: f.ConfigMap, MetalLB: f.MetalLB(), LoadBalancerClass: f.LoadBalancerClass,
		Nodes: true, Endpoints: true, Secret: true, Passwords: true, Component: name, Host: f.nodeName,
		Log: log, Wake: p.clusterChanged(), Busy: p.busy, Registerer: registry,
	})
	p.announcer = layer2.New(layer2.Options{
		Log: log, Registerer: registry, Wake: func() { p.wake.Poke(); p.publisher.Wake() }, Stood: p.stood,
		Heard: p.heard, Busy: p.asked,
	})
	p.publisher = kube.NewPublisher(kube.PublisherOptions{
		Client: client, Namespace: f.Namespace, Pod: f.podName, Component: name, Log: log,
		Networks: func() cluster.Networks {
			n := speaker.Networks(p.announcer)
			if loop := p.loop.Load(); loop != nil {
				n.Strangers = loop.Status().Foreign
			}
			return n
		},
		Routed: func() (sets []cluster.RoutedSet, says bool) {
			if loop := p.loop.Load(); loop != nil {
				return loop.Routed()
			}
			return nil, false
		},
	})
	p.gossip = gossip.New(gossip.Options{
		Member: membership.Options{
			Name: f.nodeName, Wake: p.wake.Poke, Log: log, Registerer: registry,
			Suspected: func(name string, silent time.Duration) { p.loop.Load().Suspected(name, silent) },
			Told:      func(name string, versions [8]uint64) { p.loop.Load().Told(name, versions) },
			PathAsked: func(name string, q membership.PathQuestion) { p.loop.Load().PathAsked(name, q) },
			PathAnswered: func(name string, number uint32, there bool) {
				p.loop.Load().PathAnswered(name, number, there)
			},
		},
		Address: f.gossipAddress, Port: f.gossipPort, Source: p.store, Secret: f.Namespace + "/" + kube.GossipSecret,
	})
	p.succession = succession.New(succession.Options{
		Self: f.nodeName, Place: fmt.Sprintf("lanlord/speaker/%s/%d", f.Namespace, f.gossipPort), Wait: p.wait,
		Start: p.work, Log: log,
		Config: p.store, Adopt: p.adopt,
		Answerer: succession.Beside{Announcer: p.announcer,
			Pools: func() *config.Config { return p.store.Snapshot().Config }, Log: log},
	})
	return p
}

// stood wakes the loop after a process stall. Before the loop exists, another process of this node sends this process
// the addresses to answer for.
func (p *program) stood() {
	if p.loop.Load() == nil {
		p.announcer.Resume(p.announcer.Standstills())
	}
	p.wake.Poke()
}

func (p *program) heard(c layer2.Claim) {
	if loop := p.loop.Load(); loop != nil {
		loop.Heard(c)
	}
}

// afterStart runs a task as soon as gossip can start.
func (p *program) afterStart(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-p.start:
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// wait blocks until no other installation uses the ports of this one, and gossip can start.
func (p *program) wait(ctx context.Context) error {
	if err := p.server.WaitForPorts(ctx); err != nil {
		return err
	}
	err := p.gossip.Wait(ctx, p.wake)
	if err == nil {
		snapshot := p.store.Snapshot()
		if n := snapshot.Node(p.nodeName); n != nil {
			p.announcer.SetNodeAddrs(n.Addresses) // before this process answers at the same time as another process
		}
		close(p.start)
	}
	return err
}

// work makes the loop.
func (p *program) work(i succession.Inheritance, held func([]netip.Addr)) (succession.Work, error) {
	if err := p.gossip.Open(); err != nil {
		return nil, err
	}
	p.speak(nil)
	loop := speaker.New(speaker.Options{
		Self: p.nodeName, Wake: p.wake, Source: p.store, Peers: p.gossip, Announcer: p.announcer, Event: p.store.Event,
		Log: p.log, Registerer: p.registry, AddressMetrics: p.AddressMetrics,
		Predecessor: speaker.Predecessor{Succeeds: i.Succeeds, Addrs: i.Addrs, Members: i.Members, Since: i.Since},
		Informed:    p.store.Connected, Forwards: p.proxy.Ready,
		Hooks: speaker.Hooks{
			Held: held, Foreign: p.publisher.Wake, Reached: p.proxy.Reached, Deciding: p.decides,
		},
		Routing: p.routing(),
	})
	p.loop.Store(loop)
	return node{loop, p.gossip, p.routers.Speaker}, nil
}

// node combines the loop, its gossip and its sessions with routers into a [succession.Work].
type node struct {
	*speaker.Speaker
	gossip  *gossip.Gossip
	routers *bgp.Speaker
}

func (n node) Decide(ctx context.Context) error { return n.Run(ctx) }
func (n node) Gossip(ctx context.Context) error { return n.gossip.Run(ctx) }
func (n node) Members() []membership.Member     { return n.gossip.Members() }
func (n node) Held() []netip.Addr               { return n.Status().Held }

// Detach passes the sessions with routers to the next process.
func (n node) Detach(ctx context.Context) []bgp.Detached { return n.routers.Detach(ctx) }

func (n node) HandOver() {
	n.Speaker.HandOver()
	n.gossip.HandOver()
}

// probePath probes the path from this node to an address.
func (p *program) probePath(ctx context.Context, addr netip.Addr) status.Path {
	if loop := p.loop.Load(); loop != nil {
		return loop.ProbePath(ctx, addr)
	}
	return status.Path{
		Node: p.nodeName, Address: addr.String(), Stations: []status.Station{}, Probes: []status.PathProbe{},
		Problem: "this process does not have the place of its node yet",
	}
}

// status returns the status of this speaker.
func (p *program) status() status.Speaker {
	s := status.Speaker{
		State: "joining", Since: p.begun.UTC(), Owned: []status.Owned{}, Watched: []status.Watched{}, Changes: []status.Change{},
		Interfaces: []status.Interface{}, Members: []status.Member{}, Conflicts: []status.Conflict{},
		Unreached: []status.Unreached{}, Peers: []status.Peer{}, Routes: []status.Route{},
	}
	if loop := p.loop.Load(); loop != nil {
		s = loop.Describe()
	} else if phase := p.succession.Phase(); phase != succession.Waiting {
		// The announcer runs from here on.
		s.Interfaces = speaker.Interfaces(p.announcer)
		if phase == succession.Standby {
			s.State = status.SpeakerStandby
		}
	}
	s.Process = status.Process{
		Kind: status.KindSpeaker, Format: status.Format, Time: time.Now().UTC(), Version: daemon.Version(),
		Pod: p.podName, Node: p.nodeName,
		Started: p.begun.UTC(), Connected: p.store.Connected(), Configuration: p.store.Configuration(),
	}
	err := cmp.Or(p.server.PortProblem(), p.succession.Ready())
	if s.Ready = err == nil; err != nil {
		s.NotReady = err.Error()
	}
	return s
}
