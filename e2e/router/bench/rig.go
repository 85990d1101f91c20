package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	// settleLimit bounds the wait for a cluster at rest.
	settleLimit = time.Minute
	// flows is the number of ports of each client, rate the number of datagrams per second of all clients.
	flows, rate = 40, 4000
	// after is the time for which a client sends after an event.
	after = 500 * time.Millisecond
)

// place describes a router of a rig.
type place struct {
	kind router.Kind
	// bfd is the interval of BFD, hold the hold time; 0 for none, and the default.
	bfd, hold time.Duration
	password  string
	// label tells two routers of one kind apart.
	label string
	// first makes node 0 the only neighbour.
	first bool
}

// keys are the keys of the peer in the configuration.
func (p place) keys(number int) []string {
	keys := []string{fmt.Sprintf("name: r%d", number)}
	if p.hold > 0 {
		keys = append(keys, fmt.Sprintf("hold-time: %s", p.hold))
	}
	if p.bfd > 0 {
		keys = append(keys, "bfd-profile: fast")
	}
	if p.first {
		keys = append(keys, "node-selectors: [{match-labels: {first: \"yes\"}}]")
	}
	if p.password != "" {
		keys = append(keys, fmt.Sprintf("password: %q", p.password))
	}
	return keys
}

// rig is a cluster with routers and a client behind each of them.
type rig struct {
	*router.Cluster
	sites []*site
	nodes []int
}

// site is a router of a rig.
type site struct {
	*router.Router
	name   string
	client *wire.Station
	prober *router.Prober
	watch  *router.RouteWatch
}

// options describe a rig.
type options struct {
	nodes  int
	places []place
	// service is created unless the name is empty.
	service   router.Service
	endpoints []router.Endpoint
}

// newRig makes a rig. Its speakers are not started.
func (b *bench) newRig(ctx context.Context, o options) (*rig, error) {
	peers := "peers:\n"
	for i, p := range o.places {
		peers += router.Peer(4+i, p.keys(i)...)
	}
	if len(o.places) == 0 {
		peers = ""
	}
	profiles := "bfd-profiles: [{name: fast, receive-interval: 50, transmit-interval: 50}]\n"
	logs, err := os.MkdirTemp(b.Logs, "rig-")
	if err != nil {
		return nil, err
	}
	c, err := router.NewCluster(
		wire.Options{
			Speaker:   b.Speaker,
			Nodes:     o.nodes,
			Config:    peers + router.Pool() + profiles,
			Logs:      logs,
			Unstarted: true,
		},
	)
	if err != nil {
		return nil, err
	}
	r := &rig{Cluster: c}
	for i := range o.nodes {
		r.nodes = append(r.nodes, i)
	}
	if err := r.Label(0, map[string]string{"first": "yes"}); err != nil {
		r.close()
		return nil, err
	}
	for i, p := range o.places {
		if err := r.place(ctx, 4+i, p); err != nil {
			r.close()
			return nil, err
		}
	}
	if o.service.Name != "" {
		if err := r.Put(o.service, o.endpoints); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// place adds a router.
func (r *rig) place(ctx context.Context, station int, p place) error {
	if why := p.kind.Missing(); why != "" {
		return errors.New(why)
	}
	neighbors := r.Neighbors(router.NodeASN)
	for i := range neighbors {
		neighbors[i].BFD, neighbors[i].HoldTime, neighbors[i].Password = p.bfd, p.hold, p.password
		neighbors[i].GracefulRestart = p.bfd > 0
	}
	started, err := router.Start(
		ctx,
		r.Lab,
		router.Options{Kind: p.kind, Station: station, ASN: router.RouterASN, Neighbors: neighbors},
	)
	if err != nil {
		return err
	}
	s := &site{Router: started, name: p.kind.String() + p.label}
	r.sites = append(r.sites, s)
	if s.watch, err = s.WatchRoutes(ctx, netip.Prefix{}); err == nil {
		s.client, err = r.Client(started)
	}
	return err
}

// start starts all speakers and waits until all routers send to the address by all nodes.
func (r *rig) start(ctx context.Context) error {
	for _, n := range r.nodes {
		if err := r.Start(n, nil); err != nil {
			return err
		}
	}
	return r.rest(ctx)
}

// rest waits until all routers send to address 0 by all nodes, and BFD is up.
func (r *rig) rest(ctx context.Context) error {
	for _, s := range r.sites {
		if err := s.AwaitKernel(ctx, settleLimit, router.VIP4(0), r.nodes...); err != nil {
			return err
		}
		if s.Neighbors[0].BFD == 0 {
			continue
		}
		err := router.Await(ctx, settleLimit, "BFD", func(ctx context.Context) error {
			all, err := s.Sessions(ctx)
			for _, one := range all {
				if one.BFD != "Up" {
					return fmt.Errorf("%+v", one)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// probe begins to send by all routers.
func (r *rig) probe(ctx context.Context) (err error) {
	for _, s := range r.sites {
		if s.prober, err = router.Probe(s.client, router.Load{Target: router.VIP4(0), Flows: flows, Rate: rate / len(r.sites)}); err != nil {
			return err
		}
	}
	for _, s := range r.sites {
		if err := s.prober.AwaitAnswers(ctx, 5*flows); err != nil {
			return err
		}
	}
	return nil
}

// others returns the nodes but one.
func (r *rig) others(but int) (all []int) {
	for _, n := range r.nodes {
		if n != but {
			all = append(all, n)
		}
	}
	return all
}

// since returns the start of each session of a router; zero for a session that is down.
func (s *site) since(ctx context.Context) (map[netip.Addr]time.Time, error) {
	all, err := s.Sessions(ctx)
	since := make(map[netip.Addr]time.Time)
	for _, one := range all {
		since[one.Neighbor] = one.Since
	}
	return since, err
}

// resets counts the sessions that began anew. The times of the daemons are off by at most a second.
func resets(before, now map[netip.Addr]time.Time) (n int) {
	for neighbor, at := range before {
		if now[neighbor].Sub(at).Abs() > 2*time.Second {
			n++
		}
	}
	return n
}

func (r *rig) close() {
	for _, s := range r.sites {
		if s.watch != nil {
			s.watch.Close()
		}
		s.Close()
	}
	r.Cluster.Close()
}
